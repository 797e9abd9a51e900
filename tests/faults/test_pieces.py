"""A layout shared out in pieces gives what it gives as a whole, errors included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faults.launching import run
from faults.rendering import differ_at, make_files, pattern

RUNS = """
import sys
import blockpack
from blockpack.planning.layout import Layout
from blockpack.planning.runs import Run
runs, at = [], 0
for number in range(3000):
    data = b"%d " % number * (1 + number % 50)
    runs.append(Run.of(blockpack.Data(at, data)))
    at += len(data)
    if not number % 7:
        runs.append(Run.of(blockpack.Zeros(at, 100_000)))
        at += 100_000
layout = Layout(format="x", runs=tuple(runs), sector_size=512)
for jobs in (1, 2, 5):
    blockpack.write(layout, f"{sys.argv[1]}.{jobs}", jobs=jobs)
"""


def test_runs_of_one_item_each_are_shared_out_like_one_run(tmp_path: Path) -> None:
    assert run(RUNS, tmp_path / "x") == (0, b"", "")
    alone = (tmp_path / "x.1").read_bytes()
    assert alone.startswith(b"0 " + bytes(100_000) + b"1 1 2 2 2 ")
    for jobs in (2, 5):
        assert differ_at((tmp_path / f"x.{jobs}").read_bytes(), alone) is None


GROWN = """
import os, sys
import blockpack
source, target, form = sys.argv[1:]
volume = blockpack.TarVolume() if form == "tar" else blockpack.FatVolume()
layout = volume.plan(blockpack.scan(source))
blockpack.write(layout, target, jobs=1)
blockpack.write(layout, f"{target}.2", jobs=2)
names = sorted(os.listdir(source))
for name in names[::211] + names[-1:]:
    path = os.path.join(source, name)
    before = os.stat(path)
    if before.st_size:
        continue
    with open(path, "wb") as file:
        file.write(b"a first line")
    try:
        blockpack.write(layout, target, jobs=2)
        print(f"{name} was not noticed")
    except blockpack.SourceError as error:
        assert error.path == path, error
    os.truncate(path, 0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
blockpack.write(layout, target, jobs=2)
"""


@pytest.mark.parametrize("form", ["tar", "fat"])
def test_each_of_many_empty_sources_that_grew_is_noticed_by_several_processes(
    form: str, tmp_path: Path
) -> None:
    """Whole pieces begin and end at one byte of the image; an empty file is in one of them."""
    files = {f"{n:04}": b"" if n % 300 else pattern(5000, n) for n in range(2000)}
    source = make_files(tmp_path / "source", files)
    assert run(GROWN, source, tmp_path / "x", form) == (0, b"", "")
    alone = (tmp_path / "x").read_bytes()
    assert differ_at((tmp_path / "x.2").read_bytes(), alone) is None


BROKEN = """
import sys
import blockpack
from blockpack.planning.layout import Layout
from blockpack.planning.runs import Run
target, jobs, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ITEM, COUNT = 100_000, 200
wrong = {"first": 0, "middle": COUNT // 2, "last": COUNT - 1}
kind, where = how.split()

def make(start, stop):
    for number in range(start, stop):
        at, length = number * ITEM, ITEM
        if number == wrong[where]:
            if kind == "gap":
                at, length = at + 1, length - 1
            elif kind == "overlap":
                length += 1
            elif kind == "short":
                length -= 1
        yield blockpack.Data(at, b"x" * length)

run = Run([number * ITEM for number in range(COUNT + 1)], make)
layout = Layout(format="x", runs=(run,), sector_size=512)
try:
    blockpack.write(layout, target, jobs=jobs)
    print("it was written")
except ValueError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("kind", ["gap", "overlap", "short"])
def test_extents_that_leave_a_gap_or_overlap_are_never_an_image(
    kind: str, where: str, jobs: int, tmp_path: Path
) -> None:
    """Whichever item is wrong: the first, the last, or one that a piece may end with."""
    directory = tmp_path / "images"
    directory.mkdir()
    code, output, errors = run(BROKEN, directory / "x.img", str(jobs), f"{kind} {where}")
    assert (code, errors) == (0, "")
    assert output.startswith(b"ValueError: ")
    assert os.listdir(directory) == []
