"""Attributes, as git itself sees them: which paths are not for export, which are with Git LFS.

Git reads ``.gitattributes`` of a tree from an index. So one is written to a temporary directory,
with those files and nothing else in it, and git is asked about the paths; but only if any of the
files has a word of what matters here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import field, frozen

from ...errors import SourceError, reading_errors
from ...model.entry import decode, encode
from .loose import opened as opened_file
from .program import ended, run

if TYPE_CHECKING:
    from .lookup import Lookup
    from .repository import Repository
    from .trees import Listing

_ASKED = ("export-ignore", "filter")

_MOST_BYTES = 100 << 20
"""Bytes of a file with attributes: git passes over larger ones."""

_INDEX_HEADER = struct.Struct(">4sII")  # signature, version, entries
_INDEX_ENTRY = struct.Struct(">24xI12x")  # mode, between what a file's status would say


@frozen
class Attributes:
    """The paths that are marked ``export-ignore``, and those with ``filter=lfs``."""

    ignored: frozenset[str] = field(default=frozenset())
    lfs: frozenset[str] = field(default=frozenset())


def own_attributes(repository: Repository) -> bytes:
    """The attributes that a repository has apart from its trees'; empty if there are none."""
    with suppress(OSError):
        path = os.path.join(repository.common_dir, "info", "attributes")
        with open(opened_file(path), "rb") as file:
            return file.read(_MOST_BYTES)
    return b""


def any_asked(lookup: Lookup, files: Listing) -> bool:
    """Whether any of the `files`, or the repository's own, names an attribute that matters here, as
    macros do that set one. Raises `SourceError`.
    """
    texts = [own_attributes(lookup.repository)]
    for path, (_, oid) in files.items():
        texts.append(lookup.reader.object(oid.hex(), path, _MOST_BYTES)[1])
    return any(name.encode("ascii") in text for text in texts for name in _ASKED)


def attributes(repository: Repository, files: Listing, paths: Iterable[str]) -> Attributes:
    """What the ``.gitattributes`` in `files` (by path: mode, object id) say about `paths`, which
    end in a slash for directories. Raises `SourceError`.
    """
    import tempfile  # most repositories have no attributes

    with (
        reading_errors(tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="blockpack-") as place,
    ):
        # An empty working tree: git wants one, and finds no attributes there.
        tree = os.path.join(place, "tree")
        os.mkdir(tree)
        more = {"GIT_INDEX_FILE": os.path.join(place, "index"), "GIT_WORK_TREE": tree}
        with open(os.path.join(place, "index"), "wb") as index:
            index.write(_index(files, repository.object_format))
        asked = b"".join(encode(path) + b"\0" for path in paths)
        command = repository.command("check-attr", "--cached", "-z", "--stdin", *_ASKED)
        done = run(command, tree, repository.path, data=asked, more=more)
    if done.returncode:
        rule = f"its attributes cannot be read: {ended(done.returncode, done.stderr)}"
        raise SourceError(repository.path, rule)
    told = done.stdout.split(b"\0")
    ignored, lfs = [], []
    for path, name, value in zip(told[0::3], told[1::3], told[2::3], strict=False):
        if name == b"filter" and value == b"lfs":
            lfs.append(decode(path))
        elif name == b"export-ignore" and value == b"set":
            ignored.append(decode(path))
    return Attributes(frozenset(ignored), frozenset(lfs))


def _index(files: Listing, object_format: str) -> bytes:
    """An index of version 2 with these files (gitformat-index(5))."""
    import hashlib

    entries = []
    for path, (mode, oid) in files.items():
        name = encode(path)
        entry = _INDEX_ENTRY.pack(mode) + oid + struct.pack(">H", min(len(name), 0xFFF)) + name
        entries.append((name, entry + bytes(8 - len(entry) % 8)))
    body = _INDEX_HEADER.pack(b"DIRC", 2, len(entries))
    body += b"".join(entry for _, entry in sorted(entries))
    return body + hashlib.new(object_format, body, usedforsecurity=False).digest()
