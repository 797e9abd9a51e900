"""`write`: the one function that turns a layout into an image."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from typing import BinaryIO

from attrs import frozen

from ..errors import TargetError, UsageError, require_path
from ..planning.layout import Layout
from ..planning.runs import literal
from ..workers.processors import Jobs, require_jobs
from .files import device, regular_file
from .parallel import write_with
from .progress import Meter, Progress
from .targets import Streaming, Tally, target_errors

_HARMLESS = ((1, 3), (1, 5), (1, 7)) if sys.platform == "linux" else ()
"""/dev/null, zero and full, by major and minor number."""

_TERMINALS = (4, 5, 188, 166, 204, *range(136, 144)) if sys.platform == "linux" else ()
"""The major numbers of consoles, serial lines and pseudo-terminals (Linux, devices.txt)."""


_FILE = "give the path of a file in it"


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
    progress: Callable[[Progress], object] | None = None,
    jobs: Jobs = 1,
    fsync: bool = False,
    allow_device: bool = False,
    private: bool = False,
) -> Report:
    """Write the image of `layout` to `target`: a path, or an open binary file.

    A regular file is replaced when the new image is whole, and never before; whatever fails,
    the old one stays and nothing else is left. A block device needs `allow_device`. A pipe, a
    socket or an open file gets the image's bytes in order.

    `progress` is called a few times a second, at the begin and the end: of "packing", and of
    "flushing" if that comes after it. `jobs` is the number of processes that write, or ``auto``:
    as many as pay. `fsync` flushes a file before, and its directory after it gets its name; a
    device is always flushed. A file that is `private` is its owner's alone (0600), whatever it
    replaces.

    Raises `SourceError` if a source is missing or has changed since it was planned, and
    `TargetError` if the target is full, too small, busy or cannot be written.
    """
    require_jobs(jobs)
    if not isinstance(layout, Layout):
        raise UsageError(
            "", f"{type(layout).__name__} is not a layout", "plan one: volume.plan(tree)"
        )
    begun = time.monotonic()
    meter = Meter("packing", layout.size, progress)
    if isinstance(target, str | os.PathLike):
        path = require_path(target)
        if path.endswith(os.sep):
            raise TargetError(path, "names a directory", _FILE)
        options = fsync, allow_device, private
        tally, name = _write_path(layout, path, meter, jobs, *options)
    else:
        if not hasattr(target, "write"):
            rule = f"{type(target).__name__} is not a target"
            raise UsageError("", rule, "give a path or a binary file that is open for writing")
        tally, name = _write_streaming(layout, Streaming.to(target), meter)
    meter.finish()
    return Report(
        name, layout.size, tally.copied, tally.cloned, tally.holes, time.monotonic() - begun
    )


def write_bytes(data: bytes, target: str | os.PathLike[str], *, private: bool = False) -> None:
    """Write a small file as images are written: whole, or not at all. Raises `TargetError`."""
    layout = Layout(format="data", runs=(literal(0, data),), sector_size=1)
    write(layout, target, private=private)


def _write_path(
    layout: Layout,
    path: str,
    meter: Meter,
    jobs: Jobs,
    fsync: bool,
    allow_device: bool,
    private: bool,
) -> tuple[Tally, str]:
    kind = _kind(path)
    if kind == "directory":
        raise TargetError(path, "is a directory", _FILE)
    if kind.endswith("device") and not allow_device:
        rule = f"is a {kind}, and everything on it would be lost"
        raise TargetError(path, rule, option="allow_device")
    if kind in ("stream", "character device"):
        return _write_stream(layout, path, meter)
    if kind == "block device":
        opened = device(path, layout)
    else:
        opened = regular_file(path, layout, fsync=fsync, mode=0o600 if private else None)
    with opened as seekable:
        layout.claim()
        write_with(layout, seekable, jobs, meter.advance, _lost_process)
        if fsync or kind == "block device":
            meter.flush()
    return seekable.tally, seekable.name


def _write_stream(layout: Layout, path: str, meter: Meter) -> tuple[Tally, str]:
    with target_errors(path):
        file = open(path, "wb", buffering=0)  # noqa: SIM115 - closing it may fail, too
    try:
        return _write_streaming(layout, Streaming(path, file, file.fileno()), meter)
    finally:
        with target_errors(path):
            file.close()


def _write_streaming(layout: Layout, stream: Streaming, meter: Meter) -> tuple[Tally, str]:
    layout.claim()
    write_with(layout, stream, 1, meter.advance, _lost_process)
    stream.flush()
    return stream.tally, stream.name


def _lost_process(how: str) -> TargetError:
    return TargetError("", f"a writing process {how}, and the image was not written", "try again")


def _kind(path: str) -> str:
    """What is at `path`: a file (also if nothing is), a directory, a stream, a kind of device."""
    with target_errors(path):
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return "file"
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISBLK(mode):
        return "block device"
    if stat.S_ISCHR(mode) and not _keeps_nothing(status.st_rdev):
        return "character device"
    return "file" if stat.S_ISREG(mode) else "stream"


def _keeps_nothing(device: int) -> bool:
    """Whether a character device is a terminal, /dev/null or such, and no disk.

    By its number alone: to open one may already do something (a watchdog, a tape).
    """
    if not hasattr(os, "major"):
        return False
    number = os.major(device), os.minor(device)
    return number in _HARMLESS or number[0] in _TERMINALS
