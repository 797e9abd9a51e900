"""An image is a filesystem of PyFilesystem's, as far as it only reads."""

from __future__ import annotations

import gc
import os
import sys
import tarfile
import threading
import unittest
import warnings
from pathlib import Path
from typing import Any

import pytest

import blockpack

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of fs, about its own pkg_resources
    import fs
    import fs.copy
    import fs.errors
    import fs.memoryfs
    import fs.test
    import fs.walk

from blockpack.integrations.pyfilesystem import BlockpackFS

VOLUMES = [
    blockpack.TarVolume(),
    blockpack.FatVolume(),
    blockpack.GitVolume(container="pack"),
    blockpack.ErofsVolume(),
]
CONTENT = bytes(range(256)) * 300


@pytest.fixture(name="opened", params=VOLUMES, ids=lambda volume: volume.format)
def fixture_opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    tree = blockpack.Tree()
    tree.add("a/b/c.txt", b"some text")
    tree.add("d.bin", CONTENT)
    path = tmp_path / "www.img"
    blockpack.write(request.param.plan(tree), path)
    with fs.open_fs(f"blockpack://{path}") as opened:
        yield opened


def test_it_is_listed_and_walked(opened: Any) -> None:
    assert opened.listdir("/") == ["a", "d.bin"]
    assert sorted(opened.walk.files()) == ["/a/b/c.txt", "/d.bin"]
    assert sorted(opened.walk.dirs()) == ["/a", "/a/b"]
    assert [match.path for match in opened.glob("**/*.txt")] == ["/a/b/c.txt"]
    assert opened.isdir("/a/b") and opened.isfile("/d.bin") and not opened.exists("/x")
    assert {info.name for info in opened.scandir("/a/b", namespaces=["details"])} == {"c.txt"}


def test_facts_are_those_of_the_entries(opened: Any) -> None:
    info = opened.getinfo("/d.bin", ["details", "access", "link", "blockpack"])
    assert info.size == len(CONTENT)
    assert info.is_file and not info.is_link
    assert info.permissions is not None and info.permissions.mode == 0o644
    assert info.modified is not None
    assert opened.getinfo("/").is_dir


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    """Hard links, too; and no walk goes in circles."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"abc")
    os.link(tmp_path / "a" / "file", tmp_path / "hard")
    for name, target in (("soft", "a/file"), ("way", "a"), ("circle", ".")):
        os.symlink(target, tmp_path / name)
    archive = tmp_path / "others.tar"
    with tarfile.open(archive, "w") as file:
        for name in ("a", "hard", "soft", "way", "circle"):
            file.add(tmp_path / name, name)
    with fs.open_fs(f"blockpack://{archive}") as opened:
        for path in ("/hard", "/soft", "/way/file", "/circle/way/file"):
            assert opened.isfile(path) and opened.getsize(path) == 3
            assert opened.readbytes(path) == b"abc"
        assert opened.listdir("/way") == ["file"]
        links = {path for path in opened.walk.files("/") if opened.getinfo(path, ["link"]).is_link}
        assert links == {"/soft", "/way", "/circle"}
        assert set(opened.walk.files("/")) == {"/a/file", "/hard", "/soft", "/way", "/circle"}


def test_what_is_no_image_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none more when the garbage is collected."""
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with pytest.raises(blockpack.SourceError, match="no such file"):
        fs.open_fs(f"blockpack://{tmp_path}/none.img")
    gc.collect()
    assert not ignored


def test_files_are_read_anywhere(opened: Any) -> None:
    assert opened.readtext("/a/b/c.txt") == "some text"
    with opened.openbin("/d.bin") as file:
        file.seek(70_000)
        assert file.read(300) == CONTENT[70_000:70_300]
    with opened.open("/a/b/c.txt", encoding="ascii") as text:
        assert text.readlines() == ["some text"]


def test_it_is_copied_to_another_filesystem(opened: Any) -> None:
    with fs.open_fs("mem://") as memory:
        fs.copy.copy_fs(opened, memory)
        assert memory.readbytes("/d.bin") == CONTENT


@pytest.mark.parametrize(
    "change",
    [
        lambda opened: opened.writetext("/a/b/c.txt", "new"),
        lambda opened: opened.openbin("/new", "w"),
        lambda opened: opened.makedir("/new"),
        lambda opened: opened.remove("/d.bin"),
        lambda opened: opened.removedir("/a"),
        lambda opened: opened.setinfo("/d.bin", {}),
        lambda opened: opened.appendbytes("/d.bin", b"x"),
    ],
)
def test_nothing_is_written(opened: Any, change: Any) -> None:
    with pytest.raises(fs.errors.ResourceReadOnly):
        change(opened)
    assert opened.readbytes("/d.bin") == CONTENT


@pytest.mark.parametrize(
    ("look", "error"),
    [
        (lambda opened: opened.getinfo("/x"), fs.errors.ResourceNotFound),
        (lambda opened: opened.listdir("/x"), fs.errors.ResourceNotFound),
        (lambda opened: opened.listdir("/d.bin"), fs.errors.DirectoryExpected),
        (lambda opened: opened.openbin("/x"), fs.errors.ResourceNotFound),
        (lambda opened: opened.openbin("/a"), fs.errors.FileExpected),
        (lambda opened: opened.readbytes("/../x"), fs.errors.IllegalBackReference),
    ],
)
def test_what_is_not_there_is_told_as_the_library_tells_it(
    opened: Any, look: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        look(opened)


def test_threads_share_one(opened: Any) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(opened.readbytes("/d.bin"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 8


class Packed(fs.base.FS):
    """What is written is kept in memory; whatever is read is read from an image of that."""

    _meta = BlockpackFS._meta | {"read_only": False}

    def __init__(self) -> None:
        super().__init__()
        self.memory = fs.memoryfs.MemoryFS()

    @property
    def packed(self) -> BlockpackFS:
        self.check()
        layout = blockpack.TarVolume(mode="keep", mtime="keep").plan(blockpack.scan(self.memory))
        return BlockpackFS(blockpack.open_image(layout))

    def getinfo(self, path: str, namespaces: Any = None) -> Any:
        return self.packed.getinfo(path, namespaces)

    def listdir(self, path: str) -> Any:
        return self.packed.listdir(path)

    def openbin(self, path: str, mode: str = "r", buffering: int = -1, **options: Any) -> Any:
        self.check()
        if set(mode) & set("wax+"):
            return self.memory.openbin(path, mode, buffering, **options)
        return self.packed.openbin(path, mode, buffering, **options)

    def makedir(self, path: str, permissions: Any = None, recreate: bool = False) -> Any:
        self.memory.makedir(path, permissions, recreate)
        return self.opendir(path)

    def remove(self, path: str) -> None:
        self.memory.remove(path)

    def removedir(self, path: str) -> None:
        self.memory.removedir(path)

    def setinfo(self, path: str, info: Any) -> None:
        self.memory.setinfo(path, info)


class TestOfPyFilesystem(fs.test.FSTestCases, unittest.TestCase):
    """The library's own tests, which write what they read: all that they read is in an image."""

    assertRaisesRegexp = unittest.TestCase.assertRaisesRegex  # its name before Python 3.12

    def make_fs(self) -> Packed:
        return Packed()
