"""The depfile: what a build was made of, as a rule that Make and Ninja read.

Directories are in it as well as files, so that a file that is added or removed has them build
again. The two programs agree on how spaces, ``#``, ``:`` and ``$`` are written. There are names
that one of them cannot be told whatever is written; these are refused, for a build system that
misses a change is worse than one that stops.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from glob import glob

from ...errors import TargetError, UsageError, raise_problems, reading_errors
from ...writing.write import require_target
from ..file_names import RECORD
from ..source.deployment import Deployment

_UNTOLD = re.compile(rb"[\0-\x1f\x7f;|\\=%]|\(.*\)$|[& ]$", re.DOTALL)
"""What Make reads otherwise, escaped or not: also members of archives, ``lib(member)``; patterns;
grouped targets, ``a&:``; a space before a colon; and assignments, of which ``a!=command`` runs a
command."""

_SPLITS = re.compile(rb"[^a-zA-Z0-9+,/_:.~()}{%=@\[\]!\x80-\xff #$-]+")
"""What ends a path for Ninja before 1.12 (some of it also later). It then finds files missing, and
builds each time; but not if there are such files."""


_EARLIER = re.compile(rb"(?:(?:[^\s\\]|\\.)*/)?" + re.escape(os.fsencode(RECORD)) + rb": ")
"""How a depfile begins: with one target, escaped, which is the record of a build."""

_LONGEST_TARGET = 16 << 10
"""Bytes of the longest path, escaped, and more."""


def rule(target: str, deployment: Deployment) -> bytes:
    """The rule by which `target` is made of the manifest and the volumes' parts. Raises `Problems`
    with the names that cannot be told; and as `Deployment.inputs` does.
    """
    told = [os.fsencode(target), *dict.fromkeys(deployment.files())]
    what = "Make and Ninja cannot both read it", "rename it, or give no depfile"
    untold = (UsageError(os.fsdecode(path), *what) for path in told if _is_untold(path))
    raise_problems("these names cannot be in a depfile", untold)
    # One line: Make takes the space that a name ends in for one before the end of a line.
    first, *others = (re.sub(rb"([ #:])", rb"\\\1", path.replace(b"$", b"$$")) for path in told)
    # And one for each file alone, for Make to go on when it is gone.
    alone = b"".join(other + b":\n" for other in others)
    return first + b": " + b" ".join(others) + b"\n" + alone


def require_replaceable(path: str) -> None:
    """Raise `UsageError` if at `path` is anything but an earlier depfile, such as a source, a key
    or an image; `TargetError` if no file can be there, `SourceError` if it cannot be read.
    """
    require_target(path)
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
        # A pipe would wait for whoever reads it.
        raise TargetError(path, "is not a regular file", "name a file for the depfile")
    with reading_errors(path), suppress(FileNotFoundError), open(path, "rb") as file:
        head = file.read(_LONGEST_TARGET)
        if head and not _EARLIER.match(head):
            rule = "is no earlier depfile, and would be overwritten"
            raise UsageError(path, rule, "choose another depfile, or remove it first")


def _is_untold(path: bytes) -> bool:
    others = glob(path) if b"[" in path else []  # what Make takes such a path for
    return bool(
        _UNTOLD.search(path)
        or (others and path not in others)
        or (_SPLITS.search(path) and all(map(os.path.lexists, filter(None, _SPLITS.split(path)))))
    )
