"""The ordeal: everything that is done with images, done with one that means harm.

Whatever an image says, a reader ends within `SECONDS` of processor time and `MEMORY` bytes, raises
nothing but blockpack's own errors, and writes nothing but what it was asked for.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

import pytest

import blockpack
from blockpack.cli import main
from blockpack.images.extract import extract
from blockpack.images.image import Image
from blockpack.model.limits import MOST

SECONDS = 10.0
"""Far more than anything here takes on a slow machine; what grows with the square takes longer."""
MEMORY = 64 << 20
LARGE = 64 << 20
"""More than what is read to its end has, in bytes."""


class TooLong(BaseException):
    """Raised in the midst of what takes too long."""


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if the block takes more processor time than that."""

    def alarm(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TooLong(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, alarm)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def in_memory(most: int = MEMORY) -> Iterator[None]:
    """Fail if the block takes more memory than that: has it touched, or asks for it at once."""
    gc.collect()
    _trim(0)  # what was free before is given back, or it would be taken again unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    before = _memory("VmRSS")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + most + _ARENAS, limits[1]))
    try:
        yield
    except MemoryError:
        raise AssertionError(f"asked for more than {most:,} bytes") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    peak = _memory("VmHWM") - before
    assert peak < most, f"took {peak:,} bytes"


_ARENAS = 8 << 20
"""What allocators ask for ahead, in bytes."""

_trim = ctypes.CDLL(None).malloc_trim


def _memory(name: str) -> int:
    """What Linux says of this process under that name, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) << 10


def walk(image: Image) -> None:
    """Go through all entries."""
    for entry in image.walk():
        assert entry.size >= 0
        for offset, length in entry.extents:
            assert offset is None or 0 <= offset <= offset + length <= image.size
        if entry.extents and not entry.damage:
            assert sum(length for _, length in entry.extents) == entry.size


def read(image: Image, gain: int = 4) -> None:
    """Read every file to its end, and past it; they come to `gain` times the image at most.

    What is damaged is not opened. Of a format whose files may share blocks no such bound holds.
    """
    left = gain * image.size + (1 << 20) if image.format != "erofs" else 1 << 62
    for entry in image.walk():
        if entry.kind != "file":
            continue
        if entry.damage:
            with pytest.raises(blockpack.ImageError):
                image.open(entry.path)
            continue
        with image.open(entry.path) as file:
            # Beyond that there are holes; and no system has files that are larger than MOST.
            count = file.seek(min(max(0, entry.size - LARGE), MOST))
            while data := file.read(1 << 16):
                count += len(data)
                left -= len(data)
                assert left > 0, "the files have more bytes than the image"
            assert count == entry.size
            file.seek(entry.size + 1)
            assert file.read(1) == b""


def verify(image: Image) -> list[str]:
    """Check the structure."""
    problems = list(map(str, image.verify()))
    assert all(problem and problem.isprintable() for problem in problems), problems
    return problems


@contextmanager
def damage_is_told() -> Iterator[None]:
    """Let what is wrong with an image pass: one error, or many, each in one printable line."""
    try:
        yield
    except (blockpack.ImageError, blockpack.Problems) as error:
        told = error.exceptions if isinstance(error, blockpack.Problems) else [error]
        for each in told:
            assert isinstance(each, blockpack.ImageError), each
            assert str(each).isprintable(), str(each)


def read_through(data: bytes, gain: int = 4) -> int:
    """Do all that reading is with the image `data`; how many entries can be read."""
    steps: tuple[Callable[[Image], object], ...] = (
        *(lambda image: dict(image.info()), walk),
        lambda image: read(image, gain),
    )
    count = 0
    with damage_is_told(), in_time(), blockpack.open_image(io.BytesIO(data)) as image:
        for step in steps:
            with damage_is_told():
                step(image)
        count = len(image)
    return count


def snapshot(root: Path) -> dict[str, bytes | None]:
    """All that is under `root`: contents of files, targets of links, None for directories.

    What is deeper than a path can tell is left out; only what was extracted can be so deep.
    """
    deepest = 4096 - 256
    found: dict[str, bytes | None] = {}
    pending = [os.fsencode(root)]
    for directory in pending:
        with os.scandir(directory) as listing:
            for item in listing:
                name = os.fsdecode(item.path)
                found[name] = None
                if item.is_symlink():
                    found[name] = os.readlink(item.path)
                elif item.is_dir() and len(item.path) < deepest:
                    pending.append(item.path)
                elif item.is_file():
                    with open(item.path, "rb") as file:
                        found[name] = file.read()
    return found


class Verdict(NamedTuple):
    """What came of the ordeal."""

    problems: list[str]
    """What `verify` said, or the error that kept it from beginning."""
    extracted: bool
    """Whether everything could be extracted."""
    codes: dict[str, int]
    """The command's exit codes."""
    messages: str
    """All that the command printed about it on standard error."""


COMMANDS = (
    ("verify",),
    ("ls", "-l"),
    ("ls", "--json"),
    ("info",),
    ("cat", "x"),
    ("extract",),
)
"""What the command is asked for, each with what stands behind the image; where to is added."""

OF_MASSES = COMMANDS[:2]
"""What of it is asked of much: the rest goes through an image as these and the library do."""


def undergo(
    data: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    gain: int = 4,
    memory: int = MEMORY,
    commands: Sequence[tuple[str, ...]] = COMMANDS,
) -> Verdict:
    """Do everything with the image `data`, by the library and by the command.

    Formats that compress have files of up to `gain` times the image; what is verified takes
    `memory` bytes at most.
    """
    count = read_through(data, gain)
    try:
        with in_memory(memory), blockpack.open_image(io.BytesIO(data)) as image:
            problems = verify(image)
    except blockpack.ImageError as error:
        problems = [str(error)]

    path = tmp_path / "image"
    path.write_bytes(data)
    sandbox = tmp_path / "sandbox"
    (sandbox / "below").mkdir(parents=True)
    (sandbox / "bait").write_bytes(b"bait")
    before = snapshot(tmp_path)
    out = sandbox / "below/out"
    try:
        with in_time(), blockpack.open_image(path) as image:
            extract(image, out)
    except blockpack.Problems as group:
        kinds = blockpack.ImageError, blockpack.TargetError
        assert all(isinstance(error, kinds) for error in group.exceptions), group
        extracted = False
    except (blockpack.ImageError, blockpack.TargetError):
        extracted = False
    else:
        extracted = True
    after = snapshot(tmp_path)
    outside = {name: value for name, value in after.items() if not _within(name, out)}
    assert outside == before, "something outside was touched"
    if not extracted and after != before:  # the sound ones, and they are whole
        with blockpack.open_image(path) as image:
            for name in after.keys() - before.keys():
                if os.path.isfile(name) and not os.path.islink(name):
                    assert image.read(os.path.relpath(name, out)) == after[name], name

    codes: dict[str, int] = {}
    messages = ""
    for name, *more in commands:
        if name == "extract":
            more = [str(sandbox / "again")]
        try:
            with in_time():
                codes[name] = main([name, str(path), *more])
        finally:
            gc.enable()  # the command switches it off, for a process that ends soon
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err, captured.err
        lines = (captured.out + captured.err).split("\n")
        assert all(line.isprintable() for line in lines), "control characters on the terminal"
        assert codes[name] in (0, 5, 6), (name, captured.err)
        assert codes[name] == 0 or lines, "an error without a word"
        messages += captured.err
        if more == ["-l"]:
            assert captured.out.count("\n") == count, "what can be read is listed"
    assert codes["verify"] == (6 if problems else 0)
    return Verdict(problems, extracted, codes, messages)


def _within(name: str, directory: Path) -> bool:
    return name == str(directory) or name.startswith(f"{directory}/")
