"""What other programs archived is packed as its directory would be."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from archives.making import by_python_tar, by_tar, facts, info_zip, links, rendered
from blockpack import scan
from judges.programs import run

TARS: dict[str, Callable[[Path, Path], object]] = {
    "GNU": by_tar("--format=gnu"),
    "pax": by_tar("--format=posix"),
    "ustar": by_tar("--format=ustar"),
    "bsdtar": lambda site, archive: run("bsdtar", ["-C", site, "-cf", archive, "."]),
    "python": by_python_tar,
}


@pytest.mark.parametrize("maker", TARS)
def test_a_tar_packs_like_its_directory(maker: str, site: Path, tmp_path: Path) -> None:
    os.chown(site / "private", os.getuid(), os.getgid())
    TARS[maker](site, tmp_path / "site.tar")
    directory, tree = scan(site), scan(tmp_path / "site.tar")
    assert facts(tree) == facts(directory)
    assert links(tree) == links(directory) == {frozenset({"index.html", "again.html"})}
    for form in (blockpack.TarVolume(mode="keep", mtime="keep"), blockpack.GitVolume()):
        assert rendered(form, tree) == rendered(form, directory)


def twice(site: Path, archive: Path) -> None:
    """An archive to which a newer version of a file was added."""
    run("tar", ["-C", site, "-cf", archive, "."])
    (site / "private").write_bytes(b"newer, and longer")
    run("tar", ["-C", site, "-rf", archive, "./private"])


def holes(site: Path, archive: Path) -> None:
    with open(site / "holes", "wb") as file:
        file.write(b"begin")
        file.seek(5 << 20)
        file.write(b"end")
        file.truncate(6 << 20)
    run("tar", ["-C", site, "-S", "-cf", archive, "."])


ODD: dict[str, Callable[[Path, Path], object]] = {
    "v7": by_tar("--format=v7"),
    "a name twice": twice,
    "holes": holes,
    "absolute names": lambda site, archive: run(
        "tar", ["-C", site, "-P", "-cf", archive, f"{site}"]
    ),
    "directories last": lambda site, archive: run(
        "tar", ["-C", site, "--no-recursion", "-cf", archive, "./bin/run", "./bin", "./index.html"]
    ),
}


@pytest.mark.parametrize("maker", ODD)
def test_an_odd_tar_packs_as_gnu_tar_extracts_it(maker: str, site: Path, tmp_path: Path) -> None:
    ODD[maker](site, tmp_path / "odd.tar")
    extracted = tmp_path / "extracted"
    extracted.mkdir()
    run("tar", ["-C", extracted, "-xpf", tmp_path / "odd.tar"])
    listed = run("tar", ["-tPf", tmp_path / "odd.tar"]).stdout.decode().splitlines()
    named = {name.removeprefix("./").strip("/") for name in listed}
    found = facts(scan(tmp_path / "odd.tar"))
    for path, expected in facts(scan(extracted)).items():
        if path in named:
            assert found.pop(path) == expected
        else:  # what has no entry, and is there by what it holds
            assert found.pop(path)[:2] == expected[:2] == ("directory", None)
    assert not found


def by_seven_zip(site: Path, archive: Path) -> None:
    run("7z", ["a", "-tzip", "-snl", archive, "."], cwd=site)


def by_python_zip(site: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as made:
        for path in sorted(site.rglob("*")):
            name = str(path.relative_to(site)) + "/" * (path.is_dir() and not path.is_symlink())
            info = zipfile.ZipInfo(name, (2001, 9, 9, 1, 46, 40))
            info.external_attr = path.lstat().st_mode << 16
            is_file = path.is_file() and not path.is_symlink()
            data = path.read_bytes() if is_file else b""
            made.writestr(info, os.fsencode(os.readlink(path)) if path.is_symlink() else data)


ZIPS: dict[str, Callable[[Path, Path], object]] = {
    "Info-ZIP": info_zip(),
    "stored by Info-ZIP": info_zip("-0"),
    "bzip2 by Info-ZIP": info_zip("-Z", "bzip2"),
    "7-Zip": by_seven_zip,
    "python": by_python_zip,
}


@pytest.mark.parametrize("maker", ZIPS)
def test_a_zip_packs_like_its_directory(maker: str, site: Path, tmp_path: Path) -> None:
    ZIPS[maker](site, tmp_path / "site.zip")
    assert facts(scan(tmp_path / "site.zip"), owner=False) == facts(scan(site), owner=False)


def test_the_time_zone_has_no_say_in_a_zip(site: Path, tmp_path: Path) -> None:
    for zone in ("UTC", "Asia/Tokyo"):
        where = tmp_path / zone.replace("/", "-")
        command = ["zip", "-qry", f"{where}.zip", "."]
        subprocess.run(command, cwd=site, env={**os.environ, "TZ": zone}, check=True)
        assert facts(scan(f"{where}.zip")) == facts(scan(site))


def test_patterns_leave_out_of_archives_what_they_do_of_directories(
    site: Path, tmp_path: Path
) -> None:
    by_tar()(site, tmp_path / "site.tar")
    for patterns in (["*.html"], ["bin/"], ["/bin/*", "!bin/run"], ["**/ein*"], ["Größe*"]):
        expected = facts(scan(site, exclude=patterns))
        assert facts(scan(tmp_path / "site.tar", exclude=patterns)) == expected


def test_a_tar_with_a_zip_in_it_is_a_tar(site: Path, tmp_path: Path) -> None:
    info_zip()(site, tmp_path / "inner.zip")
    run("tar", ["-C", tmp_path, "-cf", tmp_path / "outer.tar", "inner.zip"])
    assert [entry.path for entry in scan(tmp_path / "outer.tar")] == ["inner.zip"]


def test_an_empty_zip_is_an_empty_tree(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "x.zip", "w").close()
    assert list(scan(tmp_path / "x.zip")) == []
