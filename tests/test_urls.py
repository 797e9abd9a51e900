"""URLs and filesystems of PyFilesystem and fsspec as sources."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import File, Problems, SourceError, Symlink, UsageError, scan
from blockpack.reading.extents import read_extent


def contents(tree: blockpack.Tree) -> dict[str, bytes | None]:
    """The bytes of each file; None for all else."""
    found: dict[str, bytes | None] = {}
    for entry in tree:
        found[entry.path] = None
        if isinstance(entry, File):
            data = bytearray(entry.size)
            read_extent(entry.extent(0), memoryview(data))
            found[entry.path] = bytes(data)
    return found


@pytest.fixture(name="zipped")
def fixture_zipped(tmp_path: Path) -> Path:
    """A zip with an executable and a symbolic link."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, content in (
            ("bin/run", stat.S_IFREG | 0o755, "#!/bin/sh\n"),
            ("link", stat.S_IFLNK | 0o777, "bin/run"),
        ):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return tmp_path / "z.zip"


@pytest.mark.parametrize("opened", [False, True], ids=["URL", "object"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_keep_modes_and_links(
    kind: str, opened: bool, zipped: Path, tmp_path: Path
) -> None:
    fs = pytest.importorskip("fs")
    place = zipped
    if kind == "tar":
        place = tmp_path / "t.tar"
        blockpack.write(blockpack.TarVolume().plan(scan(zipped)), place)
    source = fs.open_fs(f"{kind}://{place}") if opened else f"{kind}://{place}"
    tree = scan(source)
    assert tree["bin/run"].mode == 0o755
    link = tree["link"]
    assert isinstance(link, Symlink) and link.target == "bin/run"
    assert "link" not in scan(source, symlinks="skip")
    with pytest.raises(Problems, match="1 problem"):
        scan(source, symlinks="error")
    if opened:
        with pytest.raises(Problems, match="1 problem") as raised:
            scan(source, symlinks="follow")
        assert "PyFilesystem does not follow" in str(raised.value)
    else:
        assert contents(scan(source, symlinks="follow"))["link"] == b"#!/bin/sh\n"


def test_a_part_of_an_archive_may_be_a_link_and_is_never_behind_one(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("a/sub/f", b"deep")
    tree.symlink("link", "a")
    blockpack.write(blockpack.TarVolume().plan(tree), tmp_path / "t.tar")
    for part in ("a", "link"):
        found = contents(scan(f"tar://{tmp_path}/t.tar!/{part}"))
        assert found == {"sub": None, "sub/f": b"deep"}
    with pytest.raises(SourceError, match="there is no link/sub in it"):
        scan(f"tar://{tmp_path}/t.tar!/link/sub")


def test_a_directory_by_its_url_keeps_modes_owners_and_times(tmp_path: Path) -> None:
    pytest.importorskip("fs")
    (tmp_path / "s").mkdir()
    (tmp_path / "s/run").write_bytes(b"x")
    (tmp_path / "s/run").chmod(0o750)
    (tmp_path / "s/link").symlink_to("run")
    os.utime(tmp_path / "s/link", (5, 5), follow_symlinks=False)
    for entry, other in zip(scan(f"osfs://{tmp_path}/s"), scan(tmp_path / "s"), strict=True):
        for name in ("path", "kind", "mode", "mtime_ns", "uid", "gid"):
            assert getattr(entry, name) == getattr(other, name)


def test_fat_urls_are_read_by_pyfatfs_and_left_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("pyfatfs")
    tree = blockpack.Tree()
    tree.add("docs/a long name.txt", b"content", mtime_ns=10**18)
    image = tmp_path / "x.img"
    blockpack.write(blockpack.FatVolume(mtime="keep").plan(tree), image)
    before = image.read_bytes()
    image.chmod(0o444)
    found = scan(f"fat://{image}")
    assert contents(found) == {"docs": None, "docs/a long name.txt": b"content"}
    assert found["docs/a long name.txt"].mtime_ns == 10**18
    assert contents(scan(f"fat://{image}!/docs")) == {"a long name.txt": b"content"}
    assert image.read_bytes() == before


@pytest.fixture(name="memory")
def fixture_memory() -> Iterator[Any]:
    """fsspec's filesystem in memory, which all of a process share."""
    fsspec = pytest.importorskip("fsspec")
    filesystem = fsspec.filesystem("memory")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x.txt", b"zipped " * 100)
        made.writestr("docs/y.txt", b"deep")
    for path, data in {
        "/site/a.txt": b"a",
        "/site/docs/b.bin": os.urandom(3 << 20),
        "/a.zip": archive.getvalue(),
    }.items():
        filesystem.pipe(path, data)
    filesystem.mkdir("/site/hollow")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_fsspec_urls_are_sources(memory: Any, tmp_path: Path) -> None:
    expected = {
        "a.txt": b"a",
        "docs": None,
        "docs/b.bin": memory.cat("/site/docs/b.bin"),
        "hollow": None,
    }
    for url in ("memory://site", "memory:///site/"):
        assert contents(scan(url)) == expected
    whole = {f"site/{path}": data for path, data in expected.items()}
    found = contents(scan(memory))
    assert {path: found[path] for path in whole} == whole
    volume = blockpack.FatVolume()
    blockpack.write(volume.plan(scan("memory://site")), tmp_path / "x.img")
    with blockpack.open_image(tmp_path / "x.img") as image:
        assert image.read("docs/b.bin") == expected["docs/b.bin"]


def test_lone_files_and_chained_urls(memory: Any) -> None:
    assert contents(scan("memory://site/a.txt")) == {"a.txt": b"a"}
    zipped = {"docs": None, "docs/y.txt": b"deep", "x.txt": b"zipped " * 100}
    assert contents(scan("zip://::memory://a.zip")) == zipped
    assert contents(scan("zip://x.txt::memory://a.zip")) == {"x.txt": b"zipped " * 100}
    assert contents(scan("zip://docs::memory://a.zip")) == {"y.txt": b"deep"}
    assert "a.txt" not in scan("memory://site", exclude=["*.txt"])


def test_fsspec_files_are_read_at_any_position(memory: Any) -> None:
    layout = blockpack.TarVolume().plan(scan("memory://site"))
    whole = layout.open().read()
    with layout.open() as device:
        for at in (len(whole) - 5_000, 2 << 20, 1 << 20, 0, 600):
            device.seek(at)
            assert device.read(4_000) == whole[at : at + 4_000]


@pytest.mark.parametrize("url", ["memory://nope", "zip://nope::memory://a.zip"])
def test_a_url_that_leads_nowhere_is_a_source_error_that_names_it(url: str, memory: Any) -> None:
    with pytest.raises(SourceError) as raised:
        scan(url)
    assert raised.value.path == url
    assert raised.value.rule == "cannot be opened: no such file or directory"


def test_what_a_library_says_of_a_url_in_a_sentence_is_told(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def info(*_: Any, **__: Any) -> None:
        raise PermissionError("The provided token has expired.")  # as s3fs does

    monkeypatch.setattr(type(memory), "info", info)
    with pytest.raises(SourceError, match=r"cannot be opened: the provided token has expired\."):
        scan("memory://site")


def test_local_links_are_kept_by_fsspec(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    link = scan(f"local://{tmp_path}")["link"]
    assert isinstance(link, Symlink) and link.target == "file"


def test_what_nothing_opens_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"blockpack\[fs\] or blockpack\[fsspec\]"):
        scan("gopher://hole")


LARGE = """
import fsspec, blockpack, resource
tree = blockpack.scan("zip://big::local://{archive}")
limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
blockpack.write(blockpack.TarVolume().plan(tree), "{target}")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - limit)
"""


def test_a_large_file_takes_constant_memory(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    archive, target = tmp_path / "a.zip", tmp_path / "o.tar"
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made,
        made.open("big", "w") as file,
    ):
        for _ in range(128):
            file.write(bytes(1 << 20))
    done = subprocess.run(
        [sys.executable, "-c", LARGE.format(archive=archive, target=target)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(blockpack.__file__).parents[1])},
    )
    assert int(done.stdout) < 32 << 10  # KiB


def test_a_url_of_a_single_file_is_a_tree_of_it(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="blockpack[fsspec] is not installed")
    (tmp_path / "page.html").write_bytes(b"x")
    (entry,) = scan(f"file://{tmp_path}/page.html")
    assert (entry.path, entry.kind) == ("page.html", "file")
