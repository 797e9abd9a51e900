"""A first manifest for the directory at hand, with comments: what ``blockpack init`` writes.

Each directory of data at the top becomes a volume; a directory that is a web site itself, or has no
others in it, becomes one. What looks private (`exposure`) is in no volume that is not secret: a
directory that mostly is becomes a secret one, and of others it is left out. So is source code.
The format is tar, which every consumer of a profile reads best: for MirageOS if it can have all of
the files as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from ...errors import BlockpackError, Problems, UsageError, printable
from ...formats.tar.volume import TarVolume
from ...model.entry import File, decode, name_of
from ...model.tree import Tree
from ...sources.scan import scan
from ..exposure import ENCRYPTED, Exposed, exposed
from ..file_names import MANIFEST
from ..record import VOLUME_NAME
from .document import toml
from .parser import DEPLOYMENT_NAME, MOST_VOLUMES, RESERVED, Manifest

LARGE = 64 << 20
"""Bytes from which a directory's files are aligned, so that they can be cloned into the image."""

_INDEX = ("index.html", "index.htm")
_BUILT = {"node_modules", "__pycache__", "_build", "_opam", "venv"}
"""What tools put beside source code."""

_BUILDS = (
    r"dune(-project)?|Makefile|CMakeLists\.txt|meson\.build|Cargo\.toml|package\.json"
    r"|pyproject\.toml|setup\.py|go\.mod|Gemfile|pom\.xml|.*\.opam|node_modules"
)
"""Files that show that a directory holds source code."""

_CODE = (
    r".*\.(ml[ily]?|[ch]|cc|cpp|hpp|rs|go|pyi?|java|kt|hs|tsx|jsx|rb|pl|sh|scala|swift|zig)|"
    + _BUILDS
)

_OWN = (f"/{MANIFEST}", ".git*")
"""What is no part of the data where a volume is made of the whole directory."""

_VAULT = re.compile(r"secrets?|vault|private|credentials", re.IGNORECASE)
_KEYS = re.compile(r"keys?|certs?|certificates|tls|ssl|ssh|pki|config|env", re.IGNORECASE)
"""Names of directories that are secret as a whole: in any case, or if anything there is."""

_MOST_LISTED = 5

_WHY = {
    "source": "a path in this directory, or a list of { path = …, at = … } to join",
    "format": "tar: read-only data of any size; fat: a file system; git: a commit",
    "profile": "who reads it; what that reader cannot take is an error",
    "align": "large files begin on a multiple of this many bytes",
    "exclude": "files to leave out, as in .gitignore",
    "secret": "files that end in .age are decrypted while it is built",
    "cipher": "encrypts the image; without it, as mirage 4.9 and later need it, it is in RAM only",
}

_HEAD = """\
# What this directory is built into. Every key is explained in blockpack's docs/deploy/manifest.md.

[deployment]
name = {name}
# Who can open the secrets: public keys of age or SSH.
{recipients}

# One table a volume; its name is the name of the device: letters and digits.
"""


@frozen
class Draft:
    """One volume of a starter: the keys of its table, and notes about it."""

    name: str
    keys: dict[str, object]
    notes: list[str]

    def lines(self, told: set[str]) -> Iterator[str]:
        """The table, with its keys in order. They are explained unless they are `told` already."""
        yield f"[volumes.{self.name}]"
        yield from (f"# {printable(note)}" for note in self.notes)
        for key, why in _WHY.items():
            if self.keys.get(key):
                line = f"{key} = {toml(self.keys[key])}"
                yield line if key in told else f"{line:<27} # {why}"
                told.add(key)


@frozen
class Starter:
    """A manifest to begin with: its text, what is in it, and what a user should hear of it."""

    text: str
    manifest: Manifest
    notes: tuple[str, ...]


def starter(directory: str | os.PathLike[str]) -> Starter:
    """The starter for `directory`. Raises `UsageError` if there is nothing to pack, and
    `SourceError` or `OSError` if it cannot be read.
    """
    root = Path(directory)
    entries = _entries(root)
    drafts: list[Draft] = []
    left_out: dict[str, str] = {}
    is_data = not any(re.fullmatch(_BUILDS, name) for name in entries)
    has_index = any(name.lower() in _INDEX for name in entries)
    if not is_data or not has_index:
        for name, is_directory in entries.items():
            shown = f"{name}/" if is_directory else name
            if not (is_directory and _is_source(name) and len(drafts) < MOST_VOLUMES):
                left_out[shown] = ""
                continue
            found = _draft(root, name, _volume_name(name, drafts))
            if isinstance(found, Draft):
                drafts.append(found)
            else:
                left_out[shown] = found
    if is_data and not drafts and not any(left_out.values()):
        found = _draft(root, ".", "site", _OWN)
        left_out = {"./": found} if isinstance(found, str) else {}
        drafts = [found] if isinstance(found, Draft) else []
    if not drafts:
        whys = " and ".join(dict.fromkeys(filter(None, left_out.values())))
        what = f"there is nothing to pack but {whys}" if whys else "there is nothing to pack"
        raise UsageError(str(root), what, "put files there first")
    text = _text(root, drafts, left_out)
    notes = [f"{draft.name}: {note}" for draft in drafts for note in draft.notes]
    notes += [f"{name} is left out: {why}" for name, why in left_out.items() if why]
    others = [name for name, why in left_out.items() if not why]
    notes += [f"in no volume: {_listed(others)}"] if others else []
    return Starter(text, Manifest.parse(text), tuple(notes))


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
        return "\\" not in name and name not in _BUILT
    return False


def _draft(root: Path, source: str, name: str, exclude: tuple[str, ...] = ()) -> Draft | str:
    """The volume for the directory `source` of `root`, or what is there instead of data."""
    left_out = [*exclude]
    try:
        tree = scan(root / source, exclude=left_out)
        built = {name_of(entry.path) for entry in tree if entry.kind == "directory"} & _BUILT
        if built:
            left_out += sorted(built)
            tree = scan(root / source, exclude=left_out)
    except Problems as problems:
        return f"what cannot be packed ({problems.exceptions[0]})"
    files = [entry for entry in tree if isinstance(entry, File)]
    if not files or _is_code(files):
        return "source code" if files else ""
    private = list(exposed(tree, thorough=True))
    is_vault = _VAULT.fullmatch(source) or (_KEYS.fullmatch(source) and private)
    if is_vault or len(private) * 2 > len(files):
        return _secret(source, name, left_out, private)
    notes: list[str] = []
    if private:
        public = [*left_out, *dict.fromkeys(each.pattern for each in private)]
        tree = scan(root / source, exclude=public)
        if any(exposed(tree, thorough=True)):  # a name that no pattern is for
            return _secret(source, name, left_out, private)
        left_out = public
        for what in dict.fromkeys(each.what for each in private):
            paths = _listed(each.file.path for each in private if each.what == what)
            notes.append(f"Left out, because it {what}: {paths}")
    keys: dict[str, object] = {"source": source, "exclude": left_out}
    return Draft(name, {**keys, **_fitting(tree, notes)}, notes)


def _secret(source: str, name: str, exclude: list[str], private: list[Exposed]) -> Draft:
    notes: list[str] = []
    plain = [each for each in private if each.what != ENCRYPTED]
    if plain:
        paths = _listed(each.file.path for each in plain)
        notes.append(f"Secret, for there is what {plain[0].what}: {paths}")
    if plain or not private:
        notes.append("Add recipients above, and run 'blockpack secrets encrypt --remove' on it.")
    keys: dict[str, object] = {"source": source, "exclude": exclude, "format": "tar"}
    return Draft(name, {**keys, "secret": True, "cipher": "aes-ccm"}, notes)


def _listed(paths: Iterable[str]) -> str:
    """Some paths, and how many more there are."""
    found = list(paths)
    shown = ", ".join(map(printable, found[:_MOST_LISTED]))
    more = len(found) - _MOST_LISTED
    return f"{shown} and {more:,} more" if more > 0 else shown


def _is_code(files: list[File]) -> bool:
    """Whether a directory is built from source code, or most files in it are that."""
    at_top = [file.path for file in files if "/" not in file.path]
    if any(name.lower() in _INDEX for name in at_top):
        return False
    code = sum(re.fullmatch(_CODE, name_of(file.path)) is not None for file in files)
    return code * 2 > len(files) or any(re.fullmatch(_BUILDS, name) for name in at_top)


def _fitting(tree: Tree, notes: list[str]) -> dict[str, object]:
    """The format with its options for `tree`; `notes` gets why MirageOS cannot have it."""
    is_large = sum(entry.size for entry in tree if isinstance(entry, File)) >= LARGE
    aligned: dict[str, Any] = {"align": 4096} if is_large else {}
    try:
        TarVolume(profile="mirage", **aligned).plan(tree)
    except BlockpackError as error:
        notes.append(f"It does not fit a tar for mirage: {error.errors[0]}")
        return {"format": "tar", **aligned}
    return {"format": "tar", "profile": "mirage", **aligned}


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


def _text(root: Path, drafts: list[Draft], left_out: Mapping[str, str]) -> str:
    secret = any("secret" in draft.keys for draft in drafts)
    recipients = "recipients = []" if secret else '# recipients = ["age1…"]'
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(os.path.realpath(root)).name).lstrip(".-_")[:63]
    name = name if DEPLOYMENT_NAME.fullmatch(name) else "www"
    parts = [_HEAD.format(name=toml(name), recipients=recipients)]
    told: set[str] = set()
    parts += ["\n".join(draft.lines(told)) + "\n" for draft in drafts]
    if left_out:
        lines = [printable(f"{name}: {why}" if why else name) for name, why in left_out.items()]
        names = "".join(f"\n#   {line}" for line in lines[:50])
        more = f"\n#   and {len(lines) - 50:,} more" if len(lines) > 50 else ""
        parts.append(f"# In no volume:{names}{more}\n")
    return "\n".join(parts)
