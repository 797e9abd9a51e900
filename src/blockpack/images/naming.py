"""Names that a file system cannot hold, found before anything is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..errors import TargetError, reason
from ..formats.reader import ImageEntry
from ..model.entry import encode
from ..writing.place import Place
from ..writing.temporary_names import temporary_name

_ANY = b'a:?*"<>|\\\x01\xff. '
"""A name that only file systems have which take any."""

_PICKY = re.compile(rb'[\x00-\x1f:?*"<>|\\\x80-\xff]|[. ]\Z')
"""What some file systems have in no name, or not as it is."""

_LONGEST = 255
"""Bytes of the longest name, where the file system cannot be asked."""


def unholdable(place: Place, entries: Iterable[ImageEntry]) -> Iterator[TargetError]:
    """The entries whose names the file system of an empty `place` cannot hold.

    A file system that does not take any name, or does not tell upper from lower case, is asked for
    each that may be meant, in a directory that is removed again. Raises `OSError`.
    """
    longest = os.fstatvfs(place.descriptor).f_namemax if hasattr(os, "fstatvfs") else _LONGEST
    name = temporary_name()
    with place.make(name) as probe:
        try:
            picky = _refusal(probe, _ANY) is not None
            folds = _folds(probe)
            seen: dict[str, str] = {}
            refusals: dict[bytes, str | None] = {}
            for entry in entries:
                other = seen.setdefault(entry.path.casefold(), entry.path) if folds else entry.path
                if other != entry.path:
                    rule = f"is the same name as {other} on the file system there"
                    yield TargetError(entry.path, rule)
                    continue
                path = encode(entry.path)
                if len(path) <= longest and not picky:
                    continue
                for part in path.split(b"/"):
                    if part not in refusals:
                        too_long = len(part) > longest
                        asked = too_long or (picky and _PICKY.search(part) is not None)
                        refusals[part] = _refusal(probe, part) if asked else None
                    if refusals[part] is not None:
                        rule = f"the file system there cannot hold that name: {refusals[part]}"
                        yield TargetError(entry.path, rule)
                        break
        finally:
            place.rmdir(name)


def _refusal(probe: Place, name: bytes) -> str | None:
    """Why an empty place cannot have a file of that name as it is; None if it can."""
    try:
        os.close(probe.create(name))
    except OSError as error:
        return reason(error)
    found = probe.names()
    for each in found:
        probe.unlink(each)
    return None if found == [os.fsdecode(name)] else "it would get another one"


def _folds(probe: Place) -> bool:
    """Whether upper and lower case are one there."""
    os.close(probe.create(b"a"))
    try:
        with suppress(FileNotFoundError):
            probe.lstat(b"A")
            return True
        return False
    finally:
        probe.unlink(b"a")
