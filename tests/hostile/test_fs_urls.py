"""Archives as sources, damaged or made to harm: whatever the libraries behind them raise, the
error is a source's or an entry's, and says where."""

from __future__ import annotations

import io
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import scan
from blockpack.cli import main
from hostile.ordeal import in_time

pytest.importorskip("fs", reason="blockpack[fs] is not installed")
fsspec = pytest.importorskip("fsspec", reason="blockpack[fsspec] is not installed")

CONTENT = b"some content that deflates, some content that deflates, " * 40


def zip_of(name: str = "dir/file.txt", method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    """A zip of a sound file and of one with this name, with CONTENT in each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("before.txt", CONTENT)
        archive.writestr(name, CONTENT)
    return bytearray(buffer.getvalue())


def changed(field: int, value: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip whose second file has `value` at byte `field` of both its headers."""
    data = zip_of(method=method)
    local = data.rindex(b"PK\3\4")
    central = data.rindex(b"PK\1\2")
    data[local + field : local + field + len(value)] = value
    data[central + field + 2 : central + field + 2 + len(value)] = value
    return bytes(data)


def damaged_data() -> bytes:
    data = zip_of()
    payload = data.rindex(b"PK\3\4") + 30 + len("dir/file.txt")
    data[payload : payload + 8] = b"\xff" * 8
    return bytes(data)


FLAGS, METHOD, TIME, CRC, SIZE = 6, 8, 10, 14, 22

ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a bad CRC": (lambda: changed(CRC, b"\1\2\3\4"), "dir/file.txt: cannot be read: Bad CRC"),
    "a bad CRC, stored": (
        lambda: changed(CRC, b"\1\2\3\4", zipfile.ZIP_STORED),
        "dir/file.txt: cannot be read: Bad CRC",
    ),
    "damaged deflate data": (damaged_data, "dir/file.txt: cannot be read: Error -3"),
    "an encrypted file": (lambda: changed(FLAGS, b"\1\0"), "dir/file.txt: cannot be read: "),
    "an unknown method": (lambda: changed(METHOD, b"\x63\0"), "dir/file.txt: cannot be read: "),
    "a method that is not this": (
        lambda: changed(METHOD, struct.pack("<H", zipfile.ZIP_LZMA)),
        "dir/file.txt: cannot be read: ",
    ),
    "a size too small": (lambda: changed(SIZE, struct.pack("<I", 5)), "dir/file.txt: "),
    "a size too large": (lambda: changed(SIZE, struct.pack("<I", 1 << 20)), "dir/file.txt: "),
    "a way out": (lambda: bytes(zip_of("../evil")), "../evil: a path has no part '..'"),
    "a way out from inside": (lambda: bytes(zip_of("a/../../x")), "a/../../x: a path has no part"),
    "an empty part": (lambda: bytes(zip_of("a//b")), "a//b: a path has no empty part"),
    "a name that is a directory too": (lambda: bytes(zip_of("before.txt/x")), "before.txt"),
    "no zip at all": (lambda: b"PK but no zip", "source.zip: is not a directory, an archive"),
    "a zip cut short": (lambda: bytes(zip_of()[:-30]), "source.zip: is a damaged zip archive"),
    "an empty file": (lambda: b"", "source.zip: is not a directory, an archive or an image"),
}


def refused(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says that cannot pack `url`, in either format."""
    said = set()
    for form in ("tar", "fat"):
        with in_time():
            code = main(["pack", url, str(tmp_path / "image"), "--format", form])
        captured = capsys.readouterr()
        assert code in (3, 4), captured.err
        assert captured.out == ""
        assert "Traceback" not in captured.err
        said.add(captured.err)
    assert not (tmp_path / "image").exists()
    assert len(said) == 1
    return said.pop()


@pytest.mark.parametrize("name", ZIPS)
def test_what_is_wrong_with_a_zip_is_told_with_its_path(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = ZIPS[name]
    (tmp_path / "source.zip").write_bytes(make())
    assert expected in refused(f"zip://{tmp_path}/source.zip", tmp_path, capsys)


def tar_of(*members: tuple[str, bytes, str]) -> bytes:
    """A tar of members: name, type, target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            data = CONTENT if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


FILE = ("file.txt", tarfile.REGTYPE, "")

TARS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a pipe": (lambda: tar_of(FILE, ("a/pipe", tarfile.FIFOTYPE, "")), "a/pipe: "),
    "a device": (lambda: tar_of(FILE, ("null", tarfile.CHRTYPE, "")), "null: "),
    "a hard link to nothing": (lambda: tar_of(FILE, ("a", tarfile.LNKTYPE, "gone")), "a: links to"),
    "a file cut short": (lambda: tar_of(FILE)[:1024], "file.txt: "),
    "no tar at all": (lambda: b"no tar" * 500, "source.tar: is not a directory, an archive"),
    "an empty file": (lambda: b"", "source.tar: is not a directory, an archive or an image"),
}


@pytest.mark.parametrize("name", TARS)
def test_what_is_wrong_with_a_tar_is_told_with_its_path(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = TARS[name]
    (tmp_path / "source.tar").write_bytes(make())
    assert expected in refused(f"tar://{tmp_path}/source.tar", tmp_path, capsys)


def test_a_tar_that_leads_outside_is_refused_unless_that_is_excluded(tmp_path: Path) -> None:
    members = [FILE, ("../evil", tarfile.REGTYPE, ""), ("/etc/x", tarfile.REGTYPE, "")]
    (tmp_path / "source.tar").write_bytes(tar_of(*members))
    with pytest.raises(blockpack.Problems, match="1 problem") as raised:
        scan(f"tar://{tmp_path}/source.tar")
    assert "../evil: a path has no part '..'" in str(raised.value)
    found = [entry.path for entry in scan(f"tar://{tmp_path}/source.tar", exclude=["evil"])]
    assert found == ["etc", "etc/x", "file.txt"]


@pytest.mark.parametrize("field", [bytes(4), b"\xff" * 4], ids=["zeros", "ones"])
def test_a_date_that_is_none_is_the_first_that_every_format_holds(
    field: bytes, tmp_path: Path
) -> None:
    (tmp_path / "source.zip").write_bytes(changed(TIME, field))
    entry = scan(f"zip://{tmp_path}/source.zip")["dir/file.txt"]
    assert entry.mtime_ns == 315_532_800 * 10**9


@pytest.mark.parametrize("kind", ["zip", "tar", "osfs"])
def test_a_source_that_is_gone_after_the_scan_is_told(kind: str, tmp_path: Path) -> None:
    import fs

    url = f"{kind}://{tmp_path}/source" + ("" if kind == "osfs" else f".{kind}")
    with fs.open_fs(url, create=True, writeable=True) as filesystem:
        filesystem.writebytes("file.txt", random.Random(1).randbytes(300_000))
    for closed in (True, False):
        filesystem = fs.open_fs(url)
        tree = scan(filesystem)
        layout = blockpack.TarVolume().plan(tree)
        if closed:
            filesystem.close()
        elif kind == "osfs":
            (tmp_path / "source/file.txt").unlink()
        else:
            os.truncate(tmp_path / f"source.{kind}", 5000)
        with pytest.raises(blockpack.SourceError, match=r"file\.txt: ") as raised:
            blockpack.write(layout, tmp_path / "image")
        assert raised.value.path == "file.txt"
        assert not (tmp_path / "image").exists()
        with layout.open() as device, pytest.raises(blockpack.SourceError):
            device.read()


def test_a_filesystem_that_is_closed_is_told() -> None:
    import fs

    filesystem = fs.open_fs("mem://")
    filesystem.close()
    for symlinks in ("keep", "follow"):
        with pytest.raises(blockpack.Problems) as raised:
            scan(filesystem, symlinks=symlinks)
        assert "/: cannot be read: " in str(raised.value)


class Stop(BaseException):
    """Not an error of a filesystem's."""


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("odd"), AssertionError(), Stop()])
def test_whatever_a_filesystem_raises_is_told_but_what_ends_the_run(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fs

    filesystem = fs.open_fs("mem://")
    filesystem.writebytes("a", b"x")

    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(filesystem, "getinfo", raising)
    if isinstance(error, Stop):
        with pytest.raises(Stop):
            scan(filesystem)
        return
    with pytest.raises(blockpack.Problems) as raised:
        scan(filesystem)
    [found] = raised.value.exceptions
    assert isinstance(found, blockpack.SourceError)
    assert found.path == "a"
    assert found.__cause__ is error


@pytest.mark.parametrize("kind", ["zip", "tar", "osfs"])
def test_a_part_of_a_source_is_packed_alone(kind: str, tmp_path: Path) -> None:
    import fs

    url = f"{kind}://{tmp_path}/source" + ("" if kind == "osfs" else f".{kind}")
    with fs.open_fs(url, create=True, writeable=True) as filesystem:
        filesystem.makedirs("docs/deep")
        filesystem.writebytes("docs/deep/file.txt", CONTENT)
        filesystem.writebytes("outside.txt", b"not this")
    for inside in ("docs", "/docs", "/docs/", "docs/deep/.."):
        tree = scan(f"{url}!{inside}", symlinks="follow")
        assert [entry.path for entry in tree] == ["deep", "deep/file.txt"]
        blockpack.write(blockpack.TarVolume().plan(tree), tmp_path / "x.tar")
        with blockpack.open_image(tmp_path / "x.tar") as image:
            assert image.open("deep/file.txt").read() == CONTENT
    assert len(scan(f"{url}!/")) == 4
    assert [entry.path for entry in scan(f"{url}!/outside.txt")] == ["outside.txt"]
    for inside in ("/nowhere", "/../.."):
        with pytest.raises(blockpack.SourceError, match="cannot be opened") as raised:
            scan(f"{url}!{inside}")
        assert raised.value.path == f"{url}!{inside}"


def test_loops_of_links_end_and_pipes_are_refused_by_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "a/b/up").symlink_to("..")
    (source / "a/self").symlink_to("self")
    (source / "root").symlink_to(source)
    os.mkfifo(source / "a/pipe")
    with in_time(), pytest.raises(blockpack.Problems) as raised:
        scan(f"osfs://{source}", symlinks="follow")
    assert {getattr(error, "path", "") for error in raised.value.exceptions} == {
        *("a/b/up", "a/self", "root", "a/pipe"),
    }


LISTINGS: dict[str, Any] = {
    "names alone": ["a"],
    "no names": [{"type": "file", "size": 5}],
    "a size below nothing": [{"name": "a", "type": "file", "size": -1}],
    "a size that no file has": [{"name": "a", "type": "file", "size": 1 << 70}],
    "a mode below nothing": [{"name": "a", "type": "file", "size": 5, "mode": -1}],
    "half a character": [{"name": "a\ud800", "type": "file", "size": 5}],
    "twice one name": [{"name": "a", "type": kind, "size": 5} for kind in ("file", "directory")],
    "nothing at all": None,
}


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)
def test_what_a_filesystem_cannot_mean_is_told_at_the_scan(listing: Any) -> None:
    class Lying(fsspec.AbstractFileSystem):  # type: ignore[misc, name-defined]
        cachable = False

        def ls(self, path: str, detail: bool = True, **_: object) -> Any:
            return listing

    with pytest.raises(blockpack.Problems) as caught:
        scan(Lying())
    assert len(caught.value.errors) == 1
