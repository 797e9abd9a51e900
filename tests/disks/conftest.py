"""What the tests of disks share: two volumes, and a disk of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import blockpack
from cli.conftest import clean_environment, fixture_command
from faults.rendering import make_files, pattern

__all__ = ["clean_environment", "fixture_command"]

FILES = {"index.html": b"<h1>hello</h1>\n", "d/page": b"a page", "film": pattern(3_000_001)}


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    """A tree that every format holds."""
    return make_files(tmp_path / "site", FILES)


@pytest.fixture(name="fat")
def fixture_fat(site: Path) -> blockpack.Layout:
    return blockpack.FatVolume(label="ESP", free="8M").plan(blockpack.scan(site))


@pytest.fixture(name="tar")
def fixture_tar(site: Path) -> blockpack.Layout:
    return blockpack.TarVolume(align=4096).plan(blockpack.scan(site))


@pytest.fixture(name="disk")
def fixture_disk(fat: blockpack.Layout, tar: blockpack.Layout) -> blockpack.Disk:
    """A disk as boards and machines have them."""
    return blockpack.Disk(
        partitions=[
            blockpack.Partition(fat, type="esp", name="EFI"),
            blockpack.Partition(tar, type="linux", name="tar", size="32M"),
            blockpack.Partition(size="8M", type="swap", name="swap"),
        ],
        raw=[blockpack.Raw(pattern(100_000, 3), "64K")],
    )
