"""The frame of ESP-IDF's wear levelling: what a chip finds in it, and images that were in use."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.formats.fat import flash_frame
from judges.fatfs import fatfs_read
from judges.programs import require_module
from judges.wl_flash import WlFlash
from property.fat_images import expected_contents, never
from property.strategies import Spec, ascii_fat_names, fold, specs, tree_of

trees = specs(ascii_fat_names, key=fold)


def volume(**options: Any) -> blockpack.FatVolume:
    return blockpack.FatVolume(profile="fatfs", wear_levelling=True, **options)


def image_of(layout: blockpack.Layout) -> bytes:
    with layout.open() as file:
        data = file.read()
    assert len(data) == layout.size
    return data


@given(spec=trees, sector_size=st.sampled_from((4096, 512)), fats=st.sampled_from((1, 2)))
def test_fatfs_reads_every_byte_through_the_levelling(
    spec: Spec, sector_size: int, fats: int
) -> None:
    layout = volume(sector_size=sector_size, fats=fats).plan(tree_of(spec))
    flash = WlFlash(image_of(layout))
    assert fatfs_read(flash.read(), sector_size=sector_size) == expected_contents(spec)
    bare = blockpack.FatVolume(profile="fatfs", sector_size=sector_size, fats=fats)
    assert flash.read() == image_of(bare.plan(tree_of(spec)))


@given(size=st.integers(1, 3000), content=st.integers(0, 1 << 20))
def test_a_given_size_is_that_of_the_partition(size: int, content: int) -> None:
    size *= 4096
    tree = blockpack.Tree()
    tree.add("content.bin", bytes(content))
    if flash_frame.room(size) < 4096:
        with pytest.raises(blockpack.UsageError, match="give size=20480"):
            volume(size=size)
        return
    try:
        layout = volume(size=size).plan(tree)
    except blockpack.Problems as problems:
        [error] = problems.errors
        name, _, value = error.option.partition("=")
        assert name == "size" and int(value) > size
        size = int(value)
        layout = volume(size=size).plan(tree)
    assert layout.size == size
    assert WlFlash(image_of(layout)).size == flash_frame.room(size)


@given(content=st.integers(0, 1 << 34), pad=st.sampled_from((4096, 1 << 16, 1 << 20)))
def test_the_least_partition_is_found(content: int, pad: int) -> None:
    size = flash_frame.partition_size(content, pad)
    assert size % pad == 0 and flash_frame.room(size) >= content
    assert flash_frame.room(size - pad) < content


@given(spec=trees, steps=st.integers(0, 2000))
def test_what_was_in_use_is_read_wherever_it_has_come_to_lie(spec: Spec, steps: int) -> None:
    flash = WlFlash(image_of(volume().plan(tree_of(spec))))
    for _ in range(steps):
        flash.step()
    expected = expected_contents(spec)
    assert fatfs_read(flash.read(), sector_size=4096) == expected
    with blockpack.open_image(bytes(flash.flash)) as ours:
        assert ours.verify() == []
        found = {each.path: ours.read(each.path) if each.kind == "file" else None for each in ours}
    assert found == expected


def test_one_damaged_state_costs_nothing_and_both_are_no_frame() -> None:
    data = bytearray(image_of(volume().plan(blockpack.Tree())))
    at = 4096 + flash_frame.room(len(data))
    data[at] ^= 1
    with blockpack.open_image(bytes(data)) as ours:
        assert ours.format == "fat"
    data[at + flash_frame.state_size(len(data))] ^= 1
    with pytest.raises(blockpack.ImageError, match="not a tar archive"):
        blockpack.open_image(bytes(data))


@given(data=st.data(), sectors=st.integers(0, 600))
def test_what_is_no_frame_is_told_so_in_time(data: st.DataObject, sectors: int) -> None:
    junk = bytearray(b"\xff" * 4096 * sectors)
    for _ in range(data.draw(st.integers(0, 5))):
        if junk:
            junk[data.draw(st.integers(0, len(junk) - 1))] = 0
    with pytest.raises(blockpack.ImageError):
        blockpack.open_image(bytes(junk))


def test_a_frame_in_a_frame_is_not_looked_into() -> None:
    layout = volume().plan(blockpack.Tree())
    size = flash_frame.partition_size(layout.size, 4096)
    with pytest.raises(blockpack.ImageError):
        blockpack.open_image(flash_frame.framed(layout, size, 1))


def test_the_same_tree_gives_the_same_partition() -> None:
    tree = blockpack.Tree()
    tree.add("a", random.Random(1).randbytes(9000))
    assert image_of(volume().plan(tree)) == image_of(volume().plan(tree))
    # fatfs-ng finds it, too, though its own frames have CRCs that no chip takes.
    frames = require_module("fatfs.esp32_wl")
    inner = frames.extract_fat_from_esp32_wl(image_of(volume(size="1M").plan(tree)))
    assert fatfs_read(inner, sector_size=4096).keys() == {"a"}


def test_places_and_titles_are_those_of_the_partition() -> None:
    tree = blockpack.Tree()
    tree.add("a", b"findable" * 100)
    layout = volume().plan(tree)
    [placement] = layout.placements()
    assert placement.offset is not None
    assert image_of(layout)[placement.offset :].startswith(b"findable")
    assert layout.title == "FAT12 with wear levelling"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"profile": "any"}, "profile='fatfs'"),
        ({"profile": "floppy", "sector_size": 512}, "profile='fatfs'"),
        ({"size": 4096 * 4}, "size=20480"),
        ({"size": "1025K", "sector_size": 512}, "size="),
    ],
    ids=str,
)
def test_what_has_no_frame_is_wrong_usage(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(blockpack.UsageError, match=remedy):
        blockpack.FatVolume(**{"profile": "fatfs", "wear_levelling": True, **options})


def test_what_does_not_fit_names_the_size_of_the_partition() -> None:
    tree = blockpack.Tree()
    tree.add("large.bin", never, size=2 << 20)
    with pytest.raises(blockpack.Problems) as raised:
        volume(size="1M").plan(tree)
    [error] = raised.value.errors
    least = volume().plan(tree).size
    assert error.option == f"size={least}"
