"""Archives and images as sources: what other programs made is packed as its directory would be."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import Directory, File, FileRange, Problems, SourceError, Symlink, Tree, scan
from blockpack.reading.extents import read_extent
from judges.programs import run

TIME = 1_000_000_000
"""2001-09-09 01:46:40 UTC, an even second, as zip's own times are."""


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    """A directory with what archives hold."""
    site = tmp_path / "site"
    files = {
        "index.html": (b"<h1>hello</h1>\n", 0o644),
        "bin/run": (b"#!/bin/sh\n" * 3_000, 0o755),
        "private": (b"for one", 0o600),
        "empty": (b"", 0o644),
        "Größe €/ein Name.txt": (b"size", 0o644),
        "big": (os.urandom(300_000), 0o644),
    }
    for name, (content, mode) in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
        (site / name).chmod(mode)
    (site / "hollow").mkdir(mode=0o700)
    (site / "home").symlink_to("index.html")
    (site / "bin/up").symlink_to("../Größe €")
    os.link(site / "index.html", site / "again.html")
    for path in (*site.rglob("*"), site):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    return site


def content(file: File) -> bytes:
    data = bytearray(file.size)
    read_extent(file.extent(0), memoryview(data))
    return bytes(data)


def facts(tree: Tree, *, owner: bool = True) -> dict[str, Any]:
    """All that an archive tells of its entries."""
    found: dict[str, Any] = {}
    for entry in tree:
        what: object = None
        if isinstance(entry, File):
            what = content(entry)
        elif isinstance(entry, Symlink):
            what = entry.target
        mode = None if isinstance(entry, Symlink) else entry.mode
        ids = (entry.uid, entry.gid) if owner else None
        found[entry.path] = entry.kind, what, mode, entry.mtime_ns // 10**9, ids
    return found


def links(tree: Tree) -> set[frozenset[str]]:
    """Which files are hard links to one another."""
    names: dict[object, set[str]] = {}
    for entry in tree:
        if isinstance(entry, File) and entry.inode is not None:
            names.setdefault(entry.inode, set()).add(entry.path)
    return {frozenset(linked) for linked in names.values() if len(linked) > 1}


def by_tar(*options: str) -> Callable[[Path, Path], object]:
    return lambda site, archive: run("tar", ["-C", site, *options, "-cf", archive, "."])


def by_python_tar(site: Path, archive: Path) -> None:
    with tarfile.open(archive, "w") as tar:
        tar.add(site, ".")


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


def rendered(volume: blockpack.Volume, tree: Tree) -> bytes:
    with volume.plan(tree).open() as device:
        return device.read()


def info_zip(*options: str) -> Callable[[Path, Path], object]:
    return lambda site, archive: run("zip", ["-qry", *options, archive, "."], cwd=site)


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


def compressed_by_zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    compressor = zstandard.ZstdCompressor()
    half = len(data) // 2  # two frames, as pzstd writes them
    found: bytes = compressor.compress(data[:half]) + compressor.compress(data[half:])
    return found


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": compressed_by_zstd,
    "plain": bytes,
}


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("way", ["file", "pipe", "redirected"])
def test_compressed_ones_and_standard_input_are_the_same(
    kind: str, way: str, site: Path, tmp_path: Path
) -> None:
    by_python_tar(site, tmp_path / "site.tar")
    archive = tmp_path / "archive"  # what it is, its content says
    archive.write_bytes(COMPRESSIONS[kind]((tmp_path / "site.tar").read_bytes()))
    image = tmp_path / "image"
    source = str(archive) if way == "file" else "-"
    for verb in (["pack", source, image, "--format", "tar"], ["verify", image, source]):
        with open(archive, "rb") as file:
            given: dict[str, Any] = {"stdin": file}
            if way == "pipe":
                given = {"input": file.read()}
            done = subprocess.run(
                [sys.executable, "-m", "blockpack", *map(str, verb)],
                capture_output=True,
                env={**os.environ, "PYTHONPATH": str(Path(blockpack.__file__).parents[1])},
                **given,
            )
        assert done.returncode == 0, done.stderr
    assert image.read_bytes() == rendered(blockpack.TarVolume(), scan(site))


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_what_is_cut_short_is_told(kind: str, site: Path, tmp_path: Path) -> None:
    by_python_tar(site, tmp_path / "site.tar")
    data = COMPRESSIONS[kind]((tmp_path / "site.tar").read_bytes())
    for end in (len(data) // 2, len(data) - 3, 30):
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(SourceError, match="cannot be decompressed"):
            scan(tmp_path / "cut")


@pytest.mark.parametrize("form", ["tar", "fat", "git"])
@pytest.mark.parametrize("opened", [False, True])
def test_an_image_is_a_source(form: str, opened: bool, site: Path, tmp_path: Path) -> None:
    directory = scan(site, symlinks="follow", exclude=["hollow"])  # git keeps no empty ones
    volume = {
        "tar": blockpack.TarVolume(mode="keep", mtime="keep"),
        "fat": blockpack.FatVolume(mtime="keep"),
        "git": blockpack.GitVolume(),
    }[form]
    first, second = tmp_path / "first", tmp_path / "second"
    blockpack.write(volume.plan(directory), first)
    if opened:
        with blockpack.open_image(first) as image:
            blockpack.write(volume.plan(scan(image)), second)
    else:
        blockpack.write(volume.plan(scan(first)), second)
    with blockpack.open_image(first) as one, blockpack.open_image(second) as two:
        assert {entry.path: one.read(entry.path) for entry in one if entry.kind == "file"} == {
            entry.path: two.read(entry.path) for entry in two if entry.kind == "file"
        }
    if form != "git":  # whose commit has a new time
        assert first.read_bytes() == second.read_bytes()


def test_an_encrypted_image_that_is_open_is_a_source(site: Path, tmp_path: Path) -> None:
    from blockpack.layers.ccm import encrypt

    volume = blockpack.TarVolume()
    key = bytes(range(16))
    blockpack.write(encrypt(volume.plan(scan(site)), key), tmp_path / "secret")
    with blockpack.open_image(tmp_path / "secret", key=key) as image:
        assert rendered(volume, scan(image)) == rendered(volume, scan(site))
    with pytest.raises(SourceError, match="is not a directory, an archive or an image"):
        scan(tmp_path / "secret")


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


def tar_of(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of members: name, type, target."""
    with tarfile.open(path, "w") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"data"))
    return path


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def test_links_are_kept_followed_skipped_or_errors(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar",
        ("docs/deep/a.txt", FILE, ""),  # there are no entries for its directories
        ("docs/link", LINK, "deep/a.txt"),
        ("chain", LINK, "docs/link"),
        ("dir", LINK, "./docs/../docs/deep"),
    )
    assert {entry.path for entry in scan(archive, symlinks="skip")} == {
        *("docs", "docs/deep", "docs/deep/a.txt"),
    }
    kept = scan(archive)["dir"]
    assert isinstance(kept, Symlink) and kept.target == "./docs/../docs/deep"
    followed = scan(archive, symlinks="follow")
    assert isinstance(followed["dir"], Directory)
    for path in ("docs/link", "chain", "dir/a.txt"):
        entry = followed[path]
        assert isinstance(entry, File) and content(entry) == b"data"
    with pytest.raises(Problems) as raised:
        scan(archive, symlinks="error")
    assert {error.path for error in raised.value.exceptions} == {  # type: ignore[union-attr]
        *("docs/link", "chain", "dir"),
    }


def test_links_that_lead_nowhere_up_or_out_are_refused_by_name(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar",
        ("a/b/file", FILE, ""),
        ("a/b/up", LINK, "../../a"),
        ("self", LINK, "self"),
        ("one", LINK, "two"),
        ("two", LINK, "one"),
        ("gone", LINK, "nothing"),
        ("out", LINK, "../etc/passwd"),
        ("absolute", LINK, "/etc/passwd"),
    )
    wrong = {"a/b/up", "self", "one", "two", "gone", "out", "absolute"}
    with pytest.raises(Problems) as raised:
        scan(archive, symlinks="follow")
    assert {error.path for error in raised.value.exceptions} == wrong  # type: ignore[union-attr]
    assert len(scan(archive, symlinks="follow", exclude=sorted(wrong))) == 3


def test_everything_that_cannot_be_packed_is_told_at_once(tmp_path: Path) -> None:
    members = [
        ("file", FILE, ""),
        ("file/inside", FILE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("deep/null", tarfile.CHRTYPE, ""),
        ("../evil", FILE, ""),
        ("a/../../evil", FILE, ""),
    ]
    archive = tar_of(tmp_path / "a.tar", *members)
    wrong = {"file", "pipe", "deep/null", "../evil", "a/../../evil"}
    with pytest.raises(Problems) as raised:
        scan(archive)
    assert {error.path for error in raised.value.exceptions} == wrong  # type: ignore[union-attr]
    patterns = ["/file", "pipe", "/deep/null", "evil"]
    assert {entry.path for entry in scan(archive, exclude=patterns)} == {"deep", "a"}
    tar_of(archive, *members, ("hard", HARD, "gone"))
    with pytest.raises(Problems) as raised:
        scan(archive)
    assert "hard: links to" in str(raised.value)


def test_a_part_of_an_archive_has_nothing_to_do_with_the_rest(tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a.tar",
        ("docs/a.txt", FILE, ""),
        ("docs/link", LINK, "../other/b.txt"),
        ("docs/bad", HARD, "gone"),
        ("other/b.txt", FILE, ""),
        ("other/bad", HARD, "gone"),
    )
    url = f"tar://{archive}!/docs"
    with pytest.raises(Problems, match="1 problem") as raised:
        scan(url)
    assert "docs/bad" in str(raised.value)
    tree = scan(url, exclude=["/bad"], symlinks="follow")
    assert [entry.path for entry in tree] == ["a.txt", "link"]
    assert [entry.path for entry in scan(f"tar://{archive}!/docs/link", symlinks="follow")] == [
        "b.txt"
    ]


def test_hard_links_of_two_archives_are_different_files(tmp_path: Path) -> None:
    tree = Tree()
    for name in ("one", "two"):
        archive = tar_of(tmp_path / f"{name}.tar", ("a", FILE, ""), ("b", HARD, "a"))
        tree.join(name, scan(archive))
    assert links(tree) == {frozenset({"one/a", "one/b"}), frozenset({"two/a", "two/b"})}


def test_patterns_leave_out_of_archives_what_they_do_of_directories(
    site: Path, tmp_path: Path
) -> None:
    by_tar()(site, tmp_path / "site.tar")
    for patterns in (["*.html"], ["bin/"], ["/bin/*", "!bin/run"], ["**/ein*"], ["Größe*"]):
        expected = facts(scan(site, exclude=patterns))
        assert facts(scan(tmp_path / "site.tar", exclude=patterns)) == expected


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


def test_an_encrypted_zip_is_refused_by_name(site: Path, tmp_path: Path) -> None:
    run("zip", ["-qry", "-P", "password", tmp_path / "secret.zip", "."], cwd=site)
    with pytest.raises(Problems) as raised:
        scan(tmp_path / "secret.zip")
    told = str(raised.value)
    assert "index.html: cannot be read: it is encrypted" in told
    assert "bin/up: cannot be read: it is encrypted" in told


def test_a_tar_with_a_zip_in_it_is_a_tar(site: Path, tmp_path: Path) -> None:
    info_zip()(site, tmp_path / "inner.zip")
    run("tar", ["-C", tmp_path, "-cf", tmp_path / "outer.tar", "inner.zip"])
    assert [entry.path for entry in scan(tmp_path / "outer.tar")] == ["inner.zip"]


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


@pytest.mark.parametrize(
    "source", ["a\0b", b"a\0b", "git:a\0b", "zip://a\0b", "\ud800", "mem://\ud800"]
)
def test_what_is_no_path_is_wrong_usage(source: str | bytes) -> None:
    with pytest.raises(blockpack.UsageError, match="is not a path"):
        scan(source)


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_each_of_several_streams_counts(
    compress: Callable[[bytes], bytes], site: Path, tmp_path: Path
) -> None:
    by_tar()(site, tmp_path / "site.tar")
    data = (tmp_path / "site.tar").read_bytes()
    streams = [compress(data[:10_240]), compress(data[10_240:])]
    several = tmp_path / "several"
    several.write_bytes(streams[0] + streams[1] + bytes(8))
    assert facts(scan(several)) == facts(scan(tmp_path / "site.tar"))
    several.write_bytes(streams[0] + b"?" + streams[1][1:])
    with pytest.raises(SourceError, match="cannot be decompressed"):
        scan(several)


def test_an_empty_zip_is_an_empty_tree(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "x.zip", "w").close()
    assert list(scan(tmp_path / "x.zip")) == []


def test_a_file_object_of_text_is_refused() -> None:
    with pytest.raises(blockpack.UsageError, match="open it in the mode 'rb'"):
        Tree().add("a", io.StringIO("text"))  # type: ignore[arg-type]
