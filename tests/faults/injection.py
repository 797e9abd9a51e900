"""Faults in what the operating system does for the writer.

`injected` stands between blockpack and `os`: it counts the calls of each kind, and has those go
wrong that a list of `Fault`s names. All other calls are the kernel's own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SHORT = "does less than it was asked for"
NOTHING = "does nothing, and does not say why"
CLONES = "clones, as far as anybody can tell"
FULL = "says that nothing is free"

Effect = int | str
"""An error number, or one of the texts above."""


@dataclass(frozen=True)
class Call:
    """A kind of call: what it may do without the writer failing, and what makes it fail."""

    harmless: tuple[Effect, ...] = ()
    source_errors: tuple[Effect, ...] = ()
    target_errors: tuple[Effect, ...] = ()


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

CALLS = {
    "open source": Call(source_errors=(errno.EACCES, errno.EIO, errno.ENOENT, errno.EMFILE)),
    "stat source": Call(source_errors=(errno.EIO, errno.ESTALE)),
    "read": Call(harmless=(SHORT,), source_errors=(errno.EIO, errno.ESTALE)),
    "find data": Call(harmless=(errno.EINVAL, errno.ENOTTY)),
    "open nameless": Call(
        harmless=(errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL),
        target_errors=(errno.EACCES, errno.EROFS, *_FULL),
    ),
    "create": Call(target_errors=(errno.EACCES, errno.EROFS, *_FULL)),
    "set size": Call(target_errors=(errno.EFBIG, *_FULL)),
    "set mode": Call(target_errors=(errno.EPERM, errno.EIO)),
    "write": Call(harmless=(SHORT,), target_errors=(errno.EFBIG, *_FULL)),
    "clone": Call(
        harmless=(
            CLONES,
            errno.EXDEV,
            errno.EOPNOTSUPP,
            errno.EINVAL,
            errno.ENOTTY,
            errno.EPERM,
            errno.ETXTBSY,
        ),
        target_errors=_FULL,
    ),
    "copy": Call(
        harmless=(
            SHORT,
            NOTHING,
            errno.EXDEV,
            errno.EOPNOTSUPP,
            errno.EINVAL,
            errno.ENOSYS,
            errno.EPERM,
            errno.EIO,
        ),
        target_errors=(errno.EFBIG, errno.ENOSPC, errno.EDQUOT),
    ),
    "flush": Call(target_errors=_FULL),
    "flush directory": Call(target_errors=(errno.EIO,)),
    "link": Call(target_errors=(errno.EMLINK, *_FULL)),
    "rename": Call(target_errors=(errno.EACCES, *_FULL)),
    "look for space": Call(target_errors=(FULL, errno.EIO)),
}


@dataclass(frozen=True)
class Fault:
    """What becomes of call number `nth` (from 0) of a kind; `share` of it is done if `SHORT`."""

    call: str
    nth: int
    effect: Effect
    share: float = 0.5

    def part(self, length: int) -> int:
        """How many of `length` bytes are done: one at least."""
        return max(1, int(length * self.share))


@dataclass
class Injector:
    """The calls that were seen, and the faults that came about, each with its path."""

    source: str
    faults: Sequence[Fault]
    counts: Counter[str] = field(default_factory=Counter)
    came: list[tuple[Fault, str]] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)

    def due(self, call: str, path: str) -> Fault | None:
        """The fault of this call. Raises it if it is an error."""
        number = self.counts[call]
        self.counts[call] += 1
        for fault in self.faults:
            if fault.call == call and fault.nth == number:
                self.came.append((fault, path))
                if isinstance(fault.effect, int):
                    raise OSError(fault.effect, os.strerror(fault.effect), path)
                return fault
        return None

    @property
    def source_faults(self) -> set[str]:
        """The paths of sources that could not be read."""
        return {p for fault, p in self.came if fault.effect in CALLS[fault.call].source_errors}

    @property
    def target_faults(self) -> list[Fault]:
        """What must have failed because of the target."""
        return [f for f, _ in self.came if f.effect in CALLS[f.call].target_errors]


@contextmanager
def injected(source: Path, faults: Iterable[Fault] = ()) -> Iterator[Injector]:
    """Have `faults` come about while files under `source` are packed."""
    injector = Injector(f"{source}/", list(faults))
    with pytest.MonkeyPatch.context() as patch:
        _patch_opening(injector, patch)
        _patch_reading(injector, patch)
        _patch_writing(injector, patch)
        _patch_naming(injector, patch)
        yield injector


def _patch_opening(injector: Injector, patch: pytest.MonkeyPatch) -> None:
    really_open, really_close, really_statvfs = os.open, os.close, os.statvfs

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        name = os.fsdecode(path)
        if name.startswith(injector.source):
            injector.due("open source", name)
        elif flags & os.O_TMPFILE == os.O_TMPFILE:
            injector.due("open nameless", name)
        elif flags & os.O_CREAT:
            injector.due("create", name)
        descriptor = really_open(path, flags, *args, **kwargs)
        injector.paths[descriptor] = name
        return descriptor

    def closing(descriptor: int) -> None:
        injector.paths.pop(descriptor, None)
        really_close(descriptor)

    def looking_for_space(path: Any) -> Any:
        status = really_statvfs(path)
        if injector.due("look for space", os.fsdecode(path)) is None:
            return status
        values = list(status)
        values[4] = 0  # f_bavail
        return os.statvfs_result(values)

    patch.setattr(os, "open", opening)
    patch.setattr(os, "close", closing)
    patch.setattr(os, "statvfs", looking_for_space)


def _patch_reading(injector: Injector, patch: pytest.MonkeyPatch) -> None:
    really_preadv, really_fstat, really_lseek = os.preadv, os.fstat, os.lseek

    def reading(descriptor: int, buffers: Any, offset: int, *args: Any) -> int:
        fault = injector.due("read", injector.paths.get(descriptor, ""))
        if fault is not None:
            buffers = [buffers[0][: fault.part(len(buffers[0]))]]
        return really_preadv(descriptor, buffers, offset, *args)

    def stating(descriptor: int) -> os.stat_result:
        path = injector.paths.get(descriptor, "")
        if path.startswith(injector.source):
            injector.due("stat source", path)
        return really_fstat(descriptor)

    def seeking(descriptor: int, position: int, whence: int) -> int:
        if whence == os.SEEK_DATA:
            injector.due("find data", injector.paths.get(descriptor, ""))
        return really_lseek(descriptor, position, whence)

    patch.setattr(os, "preadv", reading)
    patch.setattr(os, "fstat", stating)
    patch.setattr(os, "lseek", seeking)


def _patch_writing(injector: Injector, patch: pytest.MonkeyPatch) -> None:
    really_pwrite, really_ioctl = os.pwrite, fcntl.ioctl
    really_copy, really_truncate, really_fchmod = os.copy_file_range, os.ftruncate, os.fchmod

    def writing(descriptor: int, data: Any, offset: int) -> int:
        fault = injector.due("write", injector.paths.get(descriptor, ""))
        if fault is not None:
            data = data[: fault.part(len(data))]
        return really_pwrite(descriptor, data, offset)

    def cloning(descriptor: int, request: int, argument: Any = 0, *args: Any) -> Any:
        if request == 0x4020940D:  # FICLONERANGE
            if injector.due("clone", injector.paths.get(descriptor, "")) is None:
                return really_ioctl(descriptor, request, argument, *args)
            source, start, length, at = struct.unpack("=qQQQ", argument)
            assert start % 4096 == length % 4096 == at % 4096 == 0
            assert really_pwrite(descriptor, os.pread(source, length, start), at) == length
            return 0
        return really_ioctl(descriptor, request, argument, *args)

    def copying(source: int, target: int, count: int, start: int, at: int) -> int:
        fault = injector.due("copy", injector.paths.get(target, ""))
        if fault is not None:
            count = 0 if fault.effect == NOTHING else fault.part(count)
        return really_copy(source, target, count, start, at)

    def truncating(descriptor: int, length: int) -> None:
        injector.due("set size", injector.paths.get(descriptor, ""))
        really_truncate(descriptor, length)

    def changing_mode(descriptor: int, mode: int) -> None:
        injector.due("set mode", injector.paths.get(descriptor, ""))
        really_fchmod(descriptor, mode)

    patch.setattr(os, "pwrite", writing)
    patch.setattr(fcntl, "ioctl", cloning)
    patch.setattr(os, "copy_file_range", copying)
    patch.setattr(os, "ftruncate", truncating)
    patch.setattr(os, "fchmod", changing_mode)


def _patch_naming(injector: Injector, patch: pytest.MonkeyPatch) -> None:
    really_fsync, really_link, really_replace = os.fsync, os.link, os.replace

    def flushing(descriptor: int) -> None:
        # Of what the writer flushes, only the directory is opened to be read alone.
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        call = "flush directory" if access == os.O_RDONLY else "flush"
        injector.due(call, injector.paths.get(descriptor, ""))
        really_fsync(descriptor)

    def linking(source: Any, target: Any, **kwargs: Any) -> None:
        injector.due("link", os.fsdecode(target))
        really_link(source, target, **kwargs)

    def renaming(source: Any, target: Any, **kwargs: Any) -> None:
        injector.due("rename", os.fsdecode(target))
        really_replace(source, target, **kwargs)

    patch.setattr(os, "fsync", flushing)
    patch.setattr(os, "link", linking)
    patch.setattr(os, "replace", renaming)


def nameless_files(directory: Path) -> bool:
    """Whether the file system of `directory` has files without a name."""
    try:
        os.close(os.open(directory, os.O_RDWR | os.O_TMPFILE))
    except OSError:
        return False
    return True
