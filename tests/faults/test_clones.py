"""Where a file system can share blocks, large files cost none; the image is the same."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import blockpack
from faults.mounts import file_system
from faults.mounts import run as run_tool
from faults.rendering import make_files, pattern, rendered

LARGE = 64 << 20


@pytest.fixture(scope="module", params=["btrfs", "xfs"])
def cloning(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The mount point of a file system that clones, with a tree in it."""
    with file_system(request.param, tmp_path_factory.mktemp("mount"), 512 << 20) as mount:
        make_files(
            mount / "source",
            {
                "large": pattern(LARGE),
                "odd": pattern((1 << 20) + 1234),
                "small": b"small",
            },
        )
        yield mount


def shared(image: Path) -> int:
    """How many bytes of `image` are in extents that another file has too, and on disk."""
    run_tool("sync", "--file-system", image)
    listing = run_tool("filefrag", "-v", "-b4096", image)
    return sum(
        int(match[1]) * 4096
        for match in re.finditer(r"^ *\d+:.*?:.*?: +(\d+):.*\bshared\b", listing, re.MULTILINE)
    )


@pytest.mark.parametrize(
    "volume",
    [blockpack.TarVolume(align=4096), blockpack.TarVolume(), blockpack.FatVolume()],
    ids=["tar aligned", "tar", "FAT"],
)
def test_large_files_share_their_blocks_with_the_image(
    volume: blockpack.Volume, cloning: Path
) -> None:
    layout = volume.plan(blockpack.scan(cloning / "source"))
    image = cloning / "x.img"
    report = blockpack.write(layout, image, jobs=1)
    assert report.cloned == LARGE + (1 << 20)
    assert report.copied + report.cloned + report.holes == layout.size
    assert shared(image) == LARGE + (1 << 20)
    assert image.read_bytes() == rendered(layout)


def test_files_that_are_not_on_a_boundary_are_copied(cloning: Path) -> None:
    layout = blockpack.TarVolume(align=512).plan(blockpack.scan(cloning / "source"))
    image = cloning / "x.img"
    report = blockpack.write(layout, image, jobs=1)
    assert (report.cloned, shared(image)) == (0, 0)
    assert image.read_bytes() == rendered(layout)


def test_files_of_another_file_system_are_copied(cloning: Path, tmp_path: Path) -> None:
    tree = blockpack.scan(cloning / "source")
    tree.add("other", make_files(tmp_path, {"other": pattern(1 << 20, 2)}) / "other")
    layout = blockpack.TarVolume().plan(tree)
    image = cloning / "x.img"
    report = blockpack.write(layout, image, jobs=1)
    assert report.cloned == LARGE + (1 << 20)
    assert image.read_bytes() == rendered(layout)


def test_an_image_stays_as_it_is_when_its_source_is_written_to(cloning: Path) -> None:
    source = make_files(cloning / "changing", {"file": pattern(1 << 20)})
    layout = blockpack.TarVolume().plan(blockpack.scan(source))
    before = rendered(layout)
    report = blockpack.write(layout, cloning / "x.img", jobs=1)
    assert report.cloned == 1 << 20
    with open(source / "file", "r+b") as file:
        file.write(bytes(1 << 20))
    assert (cloning / "x.img").read_bytes() == before


def test_blocks_that_are_shared_need_no_space(cloning: Path) -> None:
    """An image of more bytes than are free, all of which the source has already."""
    tree = blockpack.Tree()
    for n in range(12):
        tree.add(str(n), cloning / "source" / "large")
    layout = blockpack.TarVolume().plan(tree)
    assert layout.size > shutil.disk_usage(cloning).free
    report = blockpack.write(layout, cloning / "x.img", jobs=1)
    assert report.cloned == 12 * LARGE
    assert (cloning / "x.img").stat().st_size == layout.size
    (cloning / "x.img").unlink()


def test_from_tar_to_fat_and_back_is_by_clones(cloning: Path) -> None:
    tar, fat = blockpack.TarVolume(mtime="keep"), blockpack.FatVolume(mtime="keep")
    source = make_files(cloning / "even", {"large": pattern(LARGE), "small": b"small"})
    for path in source.iterdir():  # FAT has even seconds
        os.utime(path, (1_700_000_000, 1_700_000_000))
    chain = [cloning / name for name in ("one.tar", "two.img", "three.tar")]
    blockpack.write(tar.plan(blockpack.scan(source)), chain[0])
    volumes: tuple[blockpack.Volume, ...] = (fat, tar)
    for volume, before, after in zip(volumes, chain, chain[1:], strict=False):
        report = blockpack.write(volume.plan(blockpack.scan(before)), after)
        assert report.cloned == LARGE
        assert shared(after) == LARGE
    assert chain[0].read_bytes() == chain[2].read_bytes()


@pytest.mark.parametrize(
    "volume", [blockpack.TarVolume(), blockpack.FatVolume()], ids=["tar", "FAT"]
)
def test_large_files_share_their_blocks_with_what_is_extracted(
    volume: blockpack.Volume, cloning: Path
) -> None:
    image = cloning / "x.img"
    blockpack.write(volume.plan(blockpack.scan(cloning / "source")), image)
    with blockpack.open_image(image) as opened:
        blockpack.extract(opened, cloning / "out")
    try:
        assert shared(cloning / "out" / "large") == LARGE
        for path in (cloning / "source").iterdir():
            assert (cloning / "out" / path.name).read_bytes() == path.read_bytes()
    finally:
        shutil.rmtree(cloning / "out")
