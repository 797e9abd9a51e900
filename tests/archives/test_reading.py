"""Bytes stay in the archive, which is open as long as they are needed, and must not change."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from archives.making import FILE, HARD, TIME, by_tar, content, info_zip, links, rendered, tar_of
from blockpack import File, FileRange, SourceError, Tree, scan
from judges.programs import run


def test_bytes_that_lie_in_one_piece_stay_there(site: Path, tmp_path: Path) -> None:
    by_tar()(site, tmp_path / "site.tar")
    info_zip("-0")(site, tmp_path / "site.zip")
    blockpack.write(blockpack.FatVolume().plan(scan(site, symlinks="skip")), tmp_path / "site.img")
    for name in ("site.tar", "site.zip", "site.img"):
        extent = scan(tmp_path / name)["big"].extent(0)  # type: ignore[union-attr]
        assert isinstance(extent, FileRange)
        assert extent.path == os.fsencode(tmp_path / name)
        assert extent.size == (tmp_path / name).stat().st_size
        with open(tmp_path / name, "rb") as archive:
            archive.seek(extent.start)
            assert archive.read(extent.length) == (site / "big").read_bytes()


@pytest.mark.parametrize("maker", [by_tar(), info_zip()], ids=["tar", "zip"])
def test_an_archive_that_changes_after_the_scan_is_told(
    maker: Callable[[Path, Path], object], site: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    maker(site, archive)
    archive = archive if archive.exists() else tmp_path / "archive.zip"
    layout = blockpack.TarVolume().plan(scan(archive))
    os.utime(archive, (TIME, TIME))
    with pytest.raises(SourceError, match="was modified since it was planned"):
        blockpack.write(layout, tmp_path / "image")
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize("words", [(), ("-A",)], ids=["as it is", "adjusted"])
def test_a_zip_behind_a_program_is_read(site: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    plain, behind = tmp_path / "plain.zip", tmp_path / "behind.zip"
    info_zip("-0")(site, plain)
    behind.write_bytes(b"#!/bin/sh\nexit 1\n" + plain.read_bytes())
    if words:
        run("zip", ["-q", *words, behind])
    trees = [blockpack.TarVolume().plan(scan(each)) for each in (behind, plain)]
    assert blockpack.contents(trees[0]) == blockpack.contents(trees[1])


def test_hard_links_of_two_archives_are_different_files(tmp_path: Path) -> None:
    tree = Tree()
    for name in ("one", "two"):
        archive = tar_of(tmp_path / f"{name}.tar", ("a", FILE, ""), ("b", HARD, "a"))
        tree.join(name, scan(archive))
    assert links(tree) == {frozenset({"one/a", "one/b"}), frozenset({"two/a", "two/b"})}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "volume", [blockpack.TarVolume(), blockpack.FatVolume(), blockpack.GitVolume()]
)
def test_an_archive_is_open_as_long_as_its_layout_and_no_longer(
    volume: blockpack.Volume, compressed: bool, site: Path, tmp_path: Path
) -> None:
    by_tar("-z" if compressed else "--format=gnu")(site, tmp_path / "archive")
    expected = rendered(volume, scan(site, symlinks="skip"))
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    layout = volume.plan(scan(tmp_path / "archive", symlinks="skip"))
    gc.collect()
    with layout.open() as device:
        assert device.read() == expected
    del layout, device
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_layouts_of_one_archive_are_equal_until_it_changes(site: Path, tmp_path: Path) -> None:
    for form, maker in (("tar", by_tar()), ("zip", info_zip())):
        archive = tmp_path / f"x.{form}"
        maker(site, archive)
        volume = blockpack.TarVolume()
        layout = volume.plan(scan(archive))
        assert volume.plan(scan(archive)) == layout
        os.utime(archive, (TIME, TIME))
        assert volume.plan(scan(archive)) != layout


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_sixteen_threads_and_forked_processes_read_one_archive(
    form: str, site: Path, tmp_path: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    (site / "again.html").unlink()  # zip knows no hard links
    for number in range(40):
        (site / f"{number}").write_bytes(os.urandom(50_000) + bytes(50_000))
    archive = tmp_path / f"site.{form}"
    (by_tar() if form == "tar" else info_zip())(site, archive)
    tree = scan(archive)
    files = [entry for entry in tree if isinstance(entry, File)] * 4
    with ThreadPoolExecutor(16) as threads:
        for file, data in zip(files, threads.map(content, files), strict=True):
            assert data == (site / file.path).read_bytes()
    layout = blockpack.TarVolume().plan(tree)
    blockpack.write(layout, tmp_path / "image", jobs=3)
    assert (tmp_path / "image").read_bytes() == rendered(blockpack.TarVolume(), scan(site))
