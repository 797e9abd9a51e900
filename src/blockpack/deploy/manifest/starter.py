"""A first manifest for the directory at hand, with comments: what ``blockpack init`` writes.

Each directory at the top becomes a volume; a directory that is a web site itself, or has no others
in it, becomes one. Its format is the first that holds all of it as it is:
for large files tar, for others what MirageOS reads from a FAT, else what it reads from a tar, else
any tar. That is found out by planning, which opens no file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from ...errors import BlockpackError, Problems, UsageError, printable
from ...formats.registry import format_named
from ...model.entry import File, decode
from ...model.tree import Tree
from ...sources.scan import scan
from ..file_names import MANIFEST
from ..record import VOLUME_NAME
from .parser import DEPLOYMENT_NAME, MOST_VOLUMES, RESERVED, Manifest

LARGE = 64 << 20
"""Bytes from which a file, or a directory as a whole, goes into a tar."""

_SMALL: tuple[dict[str, str | int], ...] = (
    {"format": "fat", "profile": "mirage"},
    {"format": "tar", "profile": "mirage"},
    {"format": "tar"},
)
_LARGE: tuple[dict[str, str | int], ...] = (
    {"format": "tar", "profile": "mirage", "align": 4096},
    {"format": "tar", "align": 4096},
)
_INDEX = ("index.html", "index.htm")
_LEFT_OUT = ("node_modules", "__pycache__")
_OWN = (f"/{MANIFEST}", ".git*")
"""What is no part of the data where a volume is made of the whole directory."""

_WHY = {
    "source": "a path in this directory, or a list of { path = …, at = … } to join",
    "format": "tar: read-only data of any size; fat: a file system; git: a commit",
    "profile": "who reads it; what that reader cannot hold is an error",
    "align": "large files begin on a multiple of this many bytes",
    "exclude": "leave out, as lines of a .gitignore",
    "secret": "files that end in .age are decrypted while it is built",
    "cipher": "the image is encrypted; without it, it may only be in RAM",
    "free": "room to leave",
}

_HEAD = """\
# What this directory is built into. Every key is told in blockpack's docs/deploy/manifest.md.

[deployment]
name = {name}
# Who can open the secrets: public keys of age or SSH.
{recipients}

# One table a volume; its name is the name of the device: letters and digits.
"""


@frozen
class Draft:
    """One volume of a starter: the keys of its table in order, and notes about it."""

    name: str
    keys: dict[str, object]
    notes: tuple[str, ...] = ()

    def lines(self, told: set[str]) -> Iterator[str]:
        """The table. Keys are explained unless they are `told` already."""
        yield f"[volumes.{self.name}]"
        yield from (f"# {printable(note)}" for note in self.notes)
        written = {key: f"{key} = {_toml(value)}" for key, value in self.keys.items()}
        if self.keys["format"] == "fat":
            written["free"] = '# free = "16M"'
        for key, line in written.items():
            yield line if key in told else f"{line:<27} # {_WHY[key]}"
        told.update(written)


@frozen
class Starter:
    """A manifest to begin with: its text, and what is in it."""

    text: str
    manifest: Manifest


def starter(directory: str | os.PathLike[str]) -> Starter:
    """The starter for `directory`.

    Raises `UsageError` if there is nothing to pack, and `SourceError` or `OSError` if it cannot
    be read.
    """
    root = Path(directory)
    entries = _entries(root)
    drafts: list[Draft] = []
    if any(name.lower() in _INDEX for name in entries) or not any(entries.values()):
        whole = _draft(root, ".", "site", _OWN)
        drafts, entries = ([whole], {}) if whole else ([], entries)
    left_out = []
    for name, is_directory in entries.items():
        draft = None
        if is_directory and _is_source(name) and len(drafts) < MOST_VOLUMES:
            draft = _draft(root, name, _volume_name(name, drafts))
        if draft is None:
            left_out.append(f"{name}/" if is_directory else name)
        else:
            drafts.append(draft)
    if not drafts:
        raise UsageError(str(root), "there is nothing to pack", "put files there first")
    text = _text(root, drafts, left_out)
    return Starter(text, Manifest.parse(text))


def _entries(root: Path) -> dict[str, bool]:
    """What is at the top and not hidden, in order, and whether it is a directory."""
    with os.scandir(root) as entries:
        found = {
            decode(os.fsencode(entry.name)): entry.is_dir(follow_symlinks=False)
            for entry in entries
            if entry.name[0] != "." and entry.name != MANIFEST
        }
    return dict(sorted(found.items()))


def _is_source(name: str) -> bool:
    """Whether a manifest can, and should, have the directory `name` as a source."""
    with suppress(UnicodeEncodeError):
        name.encode()
        return "\\" not in name and name not in _LEFT_OUT
    return False


def _draft(root: Path, source: str, name: str, exclude: tuple[str, ...] = ()) -> Draft | None:
    """The volume for the directory `source` of `root`; None if there is no file in it."""
    keys: dict[str, object] = {"source": source, "exclude": [*exclude]}
    tree = Tree()
    notes: list[str] = []
    try:
        tree = scan(root / source, exclude=exclude)
    except Problems as problems:
        notes.append(f"Some of it cannot be packed: {problems.exceptions[0]}")
        return _ordered(name, {**keys, "format": "tar"}, notes)
    encrypted = [file for file in _files(tree) if file.path.endswith(".age")]
    if len(encrypted) == len(_files(tree)):
        secret = {**keys, "format": "tar", "secret": True, "cipher": "aes-ccm"}
        return _ordered(name, secret, notes) if encrypted else None
    if encrypted:
        keys["exclude"] = [*exclude, "*.age"]
        notes.append("Encrypted files are left out: give them a directory and volume of their own.")
        for file in encrypted:
            tree.remove(file.path)
    return _ordered(name, {**keys, **_fitting(tree, notes)}, notes)


def _files(tree: Tree) -> list[File]:
    return [entry for entry in tree if isinstance(entry, File)]


def _fitting(tree: Tree, notes: list[str]) -> dict[str, str | int]:
    """The format that holds `tree` as it is, with its options; `notes` gets why no earlier one."""
    large = sum(file.size for file in _files(tree)) >= LARGE
    for candidate in _LARGE if large else _SMALL:
        options: dict[str, Any] = dict(candidate)
        volume = format_named(options.pop("format")).volume_class()(**options)
        try:
            volume.plan(tree)
        except BlockpackError as error:
            if not notes:
                first = error.exceptions[0] if isinstance(error, Problems) else error
                tried = f"the format {candidate['format']} for {volume.profile.name}"
                notes.append(f"It does not fit {tried}: {first}")
            continue
        break
    return candidate


def _ordered(name: str, keys: dict[str, object], notes: list[str]) -> Draft:
    """The draft with its keys in the order in which they are explained."""
    return Draft(name, {key: keys[key] for key in _WHY if keys.get(key)}, tuple(notes))


def _volume_name(name: str, others: Iterable[Draft]) -> str:
    """A name like `name` that a volume may have, and none has yet."""
    taken = {*RESERVED, *(draft.name.lower() for draft in others)}
    base = re.sub(r"[^A-Za-z0-9]", "", name)[:50] or "volume"
    if not VOLUME_NAME.fullmatch(base):
        base = f"v{base}"
    found, number = base, 1
    while found.lower() in taken:
        number += 1
        found = f"{base}{'x' if base[-1].isdecimal() else ''}{number}"
    return found


def _deployment_name(root: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(os.path.realpath(root)).name)
    name = name.lstrip(".-_")[:63]
    return name if DEPLOYMENT_NAME.fullmatch(name) else "www"


def _text(root: Path, drafts: list[Draft], left_out: list[str]) -> str:
    secret = any("secret" in draft.keys for draft in drafts)
    recipients = "recipients = []" if secret else '# recipients = ["age1…"]'
    parts = [_HEAD.format(name=_toml(_deployment_name(root)), recipients=recipients)]
    told: set[str] = set()
    parts += ["\n".join(draft.lines(told)) + "\n" for draft in drafts]
    if left_out:
        names = "".join(f"\n#   {printable(name)}" for name in left_out[:50])
        more = f"\n#   and {len(left_out) - 50:,} more" if len(left_out) > 50 else ""
        parts.append(f"# In no volume:{names}{more}\n")
    return "\n".join(parts)


def _toml(value: object) -> str:
    """`value` as TOML writes it: as JSON does, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
