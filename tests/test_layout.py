"""A layout covers its image exactly, can be begun anywhere, and is planned without a look."""

from __future__ import annotations

import builtins
import io
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import Data, FileRange, Layout, Stream, Zeros
from property.strategies import Spec, fat_names, fold, materialise, specs, tree_of

FLASH = blockpack.Profile(
    name="flash", summary="of any names", fat=blockpack.FatLimits(wear_levelling=True)
)

VOLUMES: list[blockpack.Volume] = [
    blockpack.TarVolume(),
    blockpack.TarVolume(dialect="gnu", align=4096, free=10_000),
    blockpack.TarVolume(profile="mirage", sector_size=4096),
    blockpack.FatVolume(label="A"),
    blockpack.FatVolume(fat_type=16, free=1 << 20),
    blockpack.FatVolume(fat_type=32, cluster_size=512),
    blockpack.FatVolume(profile="raspberrypi", fats=1),
    blockpack.FatVolume(profile=FLASH, wear_levelling=True),
]

volumes = st.sampled_from(VOLUMES)
trees = specs(fat_names, key=fold, most_units=150)  # at most 450 bytes, which mirage's tar holds


@given(spec=trees, volume=volumes)
def test_extents_cover_the_image_without_gap_or_overlap(
    spec: Spec, volume: blockpack.Volume
) -> None:
    layout = volume.plan(tree_of(spec))
    at = 0
    for extent in layout.extents:
        assert extent.offset == at
        assert extent.length or isinstance(extent, Data | FileRange | Stream)
        at += extent.length
    assert at == layout.size
    assert layout.size % 4096 == 0


@given(spec=trees, volume=volumes, data=st.data())
def test_extents_can_be_begun_at_any_byte(
    spec: Spec, volume: blockpack.Volume, data: st.DataObject
) -> None:
    layout = volume.plan(tree_of(spec))
    extents = list(layout.extents)
    offset = data.draw(st.integers(0, layout.size - 1))
    expected = [extent for extent in extents if extent.offset + extent.length > offset]
    assert list(layout.extents.starting_at(offset)) == expected
    assert list(layout.extents) == extents  # and begun again
    assert list(layout.extents.starting_at(layout.size)) == []


@given(spec=trees, volume=volumes, data=st.data())
def test_a_layout_can_be_read_at_any_byte_without_being_written(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, volume: blockpack.Volume, data: Any
) -> None:
    directory = tmp_path_factory.mktemp("device")
    (directory / "source").mkdir()
    materialise(spec, directory / "source")
    layout = volume.plan(blockpack.scan(directory / "source"))
    blockpack.write(layout, directory / "image")
    written = (directory / "image").read_bytes()
    assert len(written) == layout.size
    with layout.open() as device:
        for _ in range(5):
            offset = data.draw(st.integers(0, layout.size))
            length = data.draw(st.integers(0, 200_000))
            assert device.seek(offset) == offset
            assert device.read(length) == written[offset : offset + length]
        assert device.seek(-100, os.SEEK_END) == layout.size - 100
        assert device.read() == written[-100:]
        with pytest.raises(OSError, match="Invalid argument"):  # as files do it
            device.seek(-1)


@given(spec=trees, volume=volumes)
def test_placements_tell_where_each_files_bytes_lie(spec: Spec, volume: blockpack.Volume) -> None:
    tree = tree_of(spec)
    layout = volume.plan(tree)
    placed = {placement.entry.path: placement.offset for placement in layout.placements()}
    assert placed.keys() == {entry.path for entry in tree}
    with layout.open() as device:
        for entry in tree:
            if isinstance(entry, blockpack.File) and entry.size:
                offset = placed[entry.path]
                assert offset is not None
                device.seek(offset)
                assert device.read(entry.size) == entry.extent().data  # type: ignore[union-attr]
            else:
                assert placed[entry.path] is None


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.format)
def test_planning_opens_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, volume: blockpack.Volume
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    tree = blockpack.scan(tmp_path)
    (tmp_path / "a").unlink()  # not even a look at it

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("planning opened a file")

    for module in (os, builtins):
        monkeypatch.setattr(module, "open", refuse)
    layout = volume.plan(tree)
    assert sum(e.length for e in layout.extents if isinstance(e, FileRange)) == 100_000


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.format)
def test_streams_are_read_as_they_are_written(tmp_path: Path, volume: blockpack.Volume) -> None:
    """Bytes that are computed when they are asked for."""

    def computed(size: int) -> io.BytesIO:
        return io.BytesIO(random.Random(7).randbytes(size))

    tree = blockpack.Tree()
    for name, size in (("small", 10), ("large", 3_000_000), ("middle", 70_000)):
        tree.add(name, partial(computed, size), size=size)
    layout = volume.plan(tree)
    blockpack.write(layout, tmp_path / "image")
    with blockpack.open_image(tmp_path / "image") as image:
        assert image.open("large").read() == random.Random(7).randbytes(3_000_000)
        assert image.open("small").read() == random.Random(7).randbytes(10)
    with layout.open() as device:
        assert device.read() == (tmp_path / "image").read_bytes()


def test_runs_that_leave_a_gap_are_no_layout() -> None:
    from blockpack.planning.runs import Run

    gap = (Run.of(Data(0, b"abc")), Run.of(Zeros(4, 4)))
    with pytest.raises(ValueError, match="starts at byte 4"):
        Layout(format="x", runs=gap, sector_size=512)


@given(spec=trees, volume=volumes)
def test_two_plans_of_one_tree_are_equal(spec: Spec, volume: blockpack.Volume) -> None:
    one, other = volume.plan(tree_of(spec)), volume.plan(tree_of(spec))
    assert one == other
    assert one.extents == other.extents


@pytest.mark.parametrize(
    "volume",
    [
        blockpack.TarVolume(epoch=0),
        blockpack.TarVolume(owner=(1, 0)),
        blockpack.TarVolume(free=4096),
        blockpack.TarVolume(sector_size=4096),
        blockpack.TarVolume(dialect="ustar"),
        blockpack.FatVolume(),
        blockpack.FatVolume(label="A"),
        blockpack.FatVolume(epoch=2_000_000_000),
    ],
    ids=repr,
)
def test_plans_with_other_options_are_not_equal(volume: blockpack.Volume) -> None:
    tree = blockpack.Tree()
    tree.add("a", b"x" * 5000)
    tree.add("b/c", b"")
    for plain in (blockpack.TarVolume(), blockpack.FatVolume()):
        if plain != volume:
            assert volume.plan(tree) != plain.plan(tree)


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.format)
def test_plans_of_other_trees_are_not_equal(volume: blockpack.Volume) -> None:
    def planned(path: str, content: bytes, *more: str) -> Layout:
        tree = blockpack.Tree()
        for name in (path, *more):
            tree.add(name, content)
        return volume.plan(tree)

    plan = planned("a", b"one")
    assert plan == planned("a", b"one")
    assert plan != planned("b", b"one")
    assert plan != planned("a", b"two"), "the same but for a file's bytes"
    assert plan != planned("a", b"more")
    assert plan != planned("a", b"one", "b")
    assert plan != "a layout"


def test_layouts_that_differ_in_their_last_byte_alone_are_not_equal() -> None:
    from blockpack.planning.runs import Run

    def layout(*extents: blockpack.Data) -> Layout:
        return Layout(format="x", runs=tuple(map(Run.of, extents)), sector_size=512)

    assert layout(Data(0, b"a"), Data(1, b"b")) == layout(Data(0, b"a"), Data(1, b"b"))
    assert layout(Data(0, b"a"), Data(1, b"b")) != layout(Data(0, b"a"), Data(1, b"c"))
    assert layout(Data(0, b"a")) != layout(Data(0, b"a"), Data(1, b"b"))


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.format)
def test_a_layout_is_shown_in_a_few_lines_however_much_it_holds(volume: blockpack.Volume) -> None:
    tree = blockpack.Tree()
    for number in range(3000):
        tree.add(f"a long name of a file/{number}", b"content of it")
    layout = volume.plan(tree)
    shown = repr(layout)
    assert shown.startswith(f"Layout(format='{volume.format}', ")
    assert len(shown) < 1000
    assert all(len(repr(run)) < 100 for run in layout.runs)


@pytest.mark.parametrize("volume", [blockpack.TarVolume(), blockpack.FatVolume()], ids=repr)
def test_sizes_that_nothing_has_are_refused(volume: blockpack.Volume) -> None:
    def unread() -> io.BytesIO:
        raise AssertionError("nothing is to be written")

    tree = blockpack.Tree()
    for name in "abc":
        tree.add(name, unread, size=(1 << 63) - 1)
    with pytest.raises(blockpack.Problems):
        volume.plan(tree)
