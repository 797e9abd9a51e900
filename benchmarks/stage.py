"""What a benchmark is made of: the stage that it is played on, scenes, and works.

A scene makes its data, yields one `Work` after another, and removes the data when it is closed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Literal

import dataset
from contestants import Contestant
from measure import measure
from targets import Target

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

Metric = Literal["seconds", "microseconds per file", "peak RSS"]


class Skipped(Exception):
    """A scene cannot be measured here; says why."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the data is; sizes in bytes."""

    small_files: int
    few: int
    many: int
    tar_file: int
    fat_file: int
    clone_volume: int
    planned: int
    piped: int
    git_file: int
    read_file: int
    disk_file: int


FULL = Scale(
    small_files=50_000,
    few=50_000,
    many=1_000_000,
    tar_file=4 * GIB,
    fat_file=3_900_000_000,
    clone_volume=16 * GIB,
    planned=100 * GIB,
    piped=100 * GIB,
    git_file=GIB,
    read_file=2 * GIB,
    disk_file=GIB,
)
QUICK = Scale(
    small_files=5_000,
    few=5_000,
    many=25_000,
    tar_file=256 * MIB,
    fat_file=240_000_000,
    clone_volume=4 * GIB,
    planned=100 * GIB,
    piped=2 * GIB,
    git_file=64 * MIB,
    read_file=256 * MIB,
    disk_file=128 * MIB,
)
FILES_PER_DIRECTORY = 200
RAM = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where and at what size to measure, and the program under test."""

    directory: Path
    scale: Scale
    program: Sequence[str]
    say: Callable[[str], None]

    @contextmanager
    def room(self, name: str, space: int) -> Iterator[Path]:
        """A directory for one scene, if `space` bytes are free. Raises `Skipped`."""
        _require_space(self.directory, space)
        path = self.directory / name
        path.mkdir()
        try:
            yield path
        finally:
            rmtree(path)

    @contextmanager
    def memory(self, space: int) -> Iterator[Path]:
        """A directory in memory, if `space` bytes are free there. Raises `Skipped`."""
        if not RAM.is_dir():
            raise Skipped(f"there is no {RAM}")
        _require_space(RAM, space)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=RAM) as path:
            yield Path(path)

    def make(self, contestant: Contestant) -> None:
        """Have a contestant make what others are to read. Raises `MeasureError`."""
        self.say(f"  {contestant.shown}")
        measure(contestant)


def _require_space(directory: Path, space: int) -> None:
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < space:
        rule = f"needs {space / GIB:.0f} GiB in {directory.name}, {free / GIB:.0f} are free"
        raise Skipped(rule)


@dataclass(frozen=True, slots=True)
class Work:
    """One comparison."""

    name: str
    title: str
    contestants: tuple[Contestant, ...]
    targets: tuple[Target, ...]
    metric: Metric = "seconds"
    repeat: float = 1.0
    """How many runs, as a multiple of what was asked for; one at least."""
    warm_up: bool = True


Works = Generator[Work, None, None]


@dataclass(frozen=True, slots=True)
class Scene:
    """Works that share their data."""

    works: tuple[str, ...]
    play: Callable[[Stage], Works]


def site(stage: Stage, room: Path) -> dataset.Tree:
    """Many small files of the sizes that a web site has, in `room`."""
    count = stage.scale.small_files
    stage.say(f"  making {count:,} files")
    return dataset.small_files(
        room / "tree", count, count // FILES_PER_DIRECTORY, dataset.log_normal
    )


def size_text(size: int) -> str:
    """A size in the unit that suits, for titles."""
    for unit, scale in (("GiB", GIB), ("MiB", MIB)):
        if size % scale == 0:
            return f"{size // scale} {unit}"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
