"""A layout is read at any position by any thread, and its metadata is not made anew each time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.planning import layout_reader
from blockpack.planning.layout_reader import LayoutReader
from blockpack.planning.runs import Run
from faults.rendering import pattern, rendered


def trees(draw: st.DrawFn) -> blockpack.Tree:
    found = blockpack.Tree()
    sizes = st.one_of(st.integers(0, 3000), st.integers(60_000, 70_000), st.just(400_000))
    for number, size in enumerate(draw(st.lists(sizes, max_size=30))):
        above = "d/" * draw(st.integers(0, 3))
        found.add(f"{above}{number}", pattern(size, number))
    return found


VOLUMES = [
    blockpack.TarVolume(),
    blockpack.TarVolume(align=4096, free=10_000),
    blockpack.FatVolume(),
    blockpack.FatVolume(cluster_size=512, free=1 << 20),
    blockpack.ErofsVolume(),
    blockpack.ErofsVolume(block_size=512, free=1 << 20),
]


@given(tree=st.composite(trees)(), volume=st.sampled_from(VOLUMES), data=st.data())
def test_any_bytes_are_those_that_are_written(
    tree: blockpack.Tree, volume: blockpack.Volume, data: st.DataObject
) -> None:
    layout = volume.plan(tree)
    image = rendered(layout)
    with LayoutReader(layout.runs) as reader:
        for _ in range(20):
            start = data.draw(st.integers(0, layout.size))
            length = data.draw(st.one_of(st.integers(0, 2000), st.integers(0, layout.size)))
            assert reader.read_at(start, length) == image[start : start + length]


def counted(layout: blockpack.Layout) -> tuple[blockpack.Layout, Counter[tuple[int, int]]]:
    """The layout, and how often each of its items, (run, item), is made."""
    made: Counter[tuple[int, int]] = Counter()

    def counting(number: int, run: Run) -> Run:
        def make(start: int, stop: int) -> Iterable[blockpack.Data]:
            made.update((number, item) for item in range(start, stop))
            return run.make(start, stop)  # type: ignore[return-value]

        return Run(run.offsets, make)

    runs = tuple(counting(number, run) for number, run in enumerate(layout.runs))
    return evolve(layout, runs=runs), made


@pytest.mark.parametrize("volume", VOLUMES)
def test_directories_and_files_read_by_turns_are_made_once(volume: blockpack.Volume) -> None:
    tree = blockpack.Tree()
    for number in range(2000):
        tree.add(f"d/{number:05}", pattern(600, number))
    layout, made = counted(volume.plan(tree))
    image = rendered(volume.plan(tree))
    offsets = [place.offset for place in layout.placements() if place.offset]
    with LayoutReader(layout.runs) as reader:
        for offset in offsets:
            assert reader.read_at(0, 512) == image[:512]
            middle = max(min(offsets) - 1024, 0)
            assert reader.read_at(middle, 512) == image[middle : middle + 512]
            assert reader.read_at(offset, 100) == image[offset : offset + 100]
    metadata = {
        (number, item)
        for number, run in enumerate(volume.plan(tree).runs)
        for item in range(len(run))
        for extent in [*run.make(item, item + 1)][:1]
        if type(extent) is blockpack.Data
        and extent.length == run.offsets[item + 1] - run.offsets[item]
        and extent.length >= layout_reader.LEAST_KEPT
    }
    assert {made[item] for item in metadata} <= {0, 1}


def test_what_is_kept_is_bounded() -> None:
    tree = blockpack.Tree()
    for number in range(300):
        tree.add(f"d{number}/file", pattern(5000, number))
    layout = blockpack.FatVolume().plan(tree)
    with LayoutReader(layout.runs, most_kept=100_000) as reader:
        image = rendered(layout)
        for _ in range(2):
            for at in range(0, layout.size, 4096):
                assert reader.read_at(at, 4096) == image[at : at + 4096]
            assert sum(data.length for data in reader._kept.values()) <= 100_000
        assert reader._kept.values()


def test_few_sources_stay_open_and_none_after_closing(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(pattern(200_000, number))
    layout = blockpack.TarVolume().plan(blockpack.scan(tmp_path))
    with LayoutReader(layout.runs) as reader:
        for at in range(0, layout.size, 50_000):
            reader.read_at(at, 10)
        assert 0 < len(reader._sources) <= layout_reader.MOST_OPEN
    assert reader._sources == []


def test_threads_that_read_one_layout_get_its_bytes(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / str(number)).write_bytes(pattern(number * 701, number))
    layout = blockpack.FatVolume().plan(blockpack.scan(tmp_path))
    image = rendered(layout)
    wrong: list[int] = []
    with LayoutReader(layout.runs) as reader:

        def read(seed: int) -> None:
            for number in range(200):
                at = (seed * 7919 + number * 104_729) % layout.size
                if reader.read_at(at, 3000) != image[at : at + 3000]:
                    wrong.append(at)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
