"""`write`: the one function that turns a layout into an image."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from attrs import frozen

from ..errors import TargetError, UsageError, require_path
from ..planning.layout import Layout
from ..planning.runs import literal
from ..workers.pool import lost_process
from ..workers.processors import Jobs
from .files import device, final_place, own_descriptor, regular_file, stream
from .parallel import write_with
from .progress import Meter, Tell
from .targets import Seekable, Streaming, target_errors

_HARMLESS = ((1, 3), (1, 5), (1, 7)) if sys.platform == "linux" else ()
"""/dev/null, zero and full, by major and minor number."""

_TERMINALS = (4, 5, 188, 166, 204, *range(136, 144)) if sys.platform == "linux" else ()
"""The major numbers of consoles, serial lines and pseudo-terminals (Linux, devices.txt)."""

_LOST = lost_process("a writing process", "the image was not written")


@frozen
class Report:
    """What a write did.

    `size` is the image's; `copied`, `cloned` and `holes` say how its bytes came about (all in
    bytes), `seconds` how long it took.
    """

    target: str
    size: int
    copied: int
    cloned: int
    holes: int
    seconds: float


def write(
    layout: Layout,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    progress: Tell | None = None,
    jobs: Jobs = 1,
    fsync: bool = False,
    allow_device: bool = False,
    private: bool = False,
    sparing: bool = False,
    before_named: Callable[[], object] | None = None,
) -> Report:
    """Write the image of `layout` to `target`: a path, or an open binary file.

    A regular file is replaced when the new image is whole, and never before; whatever fails,
    the old one stays and nothing else is left. A block device needs `allow_device`. A pipe, a
    socket or an open file gets the image's bytes in order.

    `progress` is called a few times a second, at the begin and the end: of "packing", and of
    "flushing" if that comes after it. `jobs` is the number of processes that write, or ``auto``:
    as many as pay. `fsync` flushes a file before, and its directory after it gets its name; a
    device is always flushed. A file that is `private` is its owner's alone (0600), whatever it
    replaces. To a device nothing is written where anything may be, if that is to be `sparing`.
    `before_named` is called when the image is whole, and what it raises leaves the old one there.

    Raises `SourceError` if a source is missing or has changed since it was planned, and
    `TargetError` if the target is full, too small, busy or cannot be written.
    """
    begun = time.monotonic()
    meter = Meter("packing", layout.size, progress)
    with _opened(layout, target, fsync, allow_device, private, sparing) as opened:
        layout.claim()
        is_stream = isinstance(opened, Streaming)
        write_with(layout, opened, 1 if is_stream else jobs, meter.advance, _LOST)
        if isinstance(opened, Streaming):
            opened.flush()
        elif fsync or not opened.holes:  # a device is always flushed
            meter.flush()
        if before_named is not None:
            before_named()
    meter.finish()
    tally, seconds = opened.tally, time.monotonic() - begun
    return Report(opened.name, layout.size, tally.copied, tally.cloned, tally.holes, seconds)


def write_bytes(data: bytes, target: str | os.PathLike[str], *, private: bool = False) -> None:
    """Write a small file as images are written: whole, or not at all. Raises `TargetError`."""
    layout = Layout(format="data", runs=(literal(0, data),), sector_size=1)
    write(layout, target, private=private)


def _opened(
    layout: Layout,
    target: str | os.PathLike[str] | BinaryIO,
    fsync: bool,
    allow_device: bool,
    private: bool,
    sparing: bool,
) -> AbstractContextManager[Seekable | Streaming]:
    """The target, open to be written. Raises `TargetError`, and `UsageError` for what is none."""
    if not isinstance(target, str | os.PathLike):
        if not hasattr(target, "write"):
            rule = f"{type(target).__name__} is not a target"
            raise UsageError("", rule, "give a path or a binary file that is open for writing")
        return nullcontext(Streaming.to(target))
    path = require_path(target)
    kind = _allowed_kind(path, allow_device)
    if kind == "block device":
        return device(path, layout, sparing=sparing)
    if kind in ("stream", "character device"):
        return stream(path)
    return regular_file(path, layout, fsync=fsync, mode=0o600 if private else None)


def require_target(path: str, *, allow_device: bool = False) -> None:
    """Raise `TargetError` if nothing would be written to `path`: a directory, a device that is not
    allowed, a file whose directory is not there or not writable.
    """
    if _allowed_kind(require_path(path), allow_device) == "file":
        final_place(path)


def _allowed_kind(path: str, allow_device: bool) -> str:
    """What is at `path`, as `_kind` says. Raises `TargetError` for what is no target."""
    kind = _kind(path)
    if path.endswith(os.sep) or kind == "directory":
        what = "is" if kind == "directory" else "names"
        raise TargetError(path, f"{what} a directory", "give the path of a file in it")
    if kind.endswith("device") and not allow_device:
        rule = f"is a {kind}, and everything on it would be lost"
        raise TargetError(path, rule, option="allow_device")
    return kind


def _kind(path: str) -> str:
    """What is at `path`: a file (also if nothing is), a directory, a stream, a kind of device."""
    with target_errors(path):
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return "file" if own_descriptor(path) is None else "stream"
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISBLK(mode):
        return "block device"
    if stat.S_ISCHR(mode) and not _keeps_nothing(status.st_rdev):
        return "character device"
    return "file" if stat.S_ISREG(mode) and own_descriptor(path) is None else "stream"


def _keeps_nothing(device: int) -> bool:
    """Whether a character device is a terminal, /dev/null or such, and no disk.

    By its number alone: to open one may already do something (a watchdog, a tape).
    """
    if not hasattr(os, "major"):
        return False
    number = os.major(device), os.minor(device)
    return number in _HARMLESS or number[0] in _TERMINALS
