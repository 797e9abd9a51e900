"""An image is a filesystem to every program that uses fsspec, and passes fsspec's own tests."""

from __future__ import annotations

import io
import os
import pickle
import posixpath
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

import blockpack
from blockpack.integrations.fsspec_filesystem import BlockpackFileSystem

VOLUMES = [
    blockpack.TarVolume(),
    blockpack.FatVolume(),
    blockpack.GitVolume(container="pack"),
    blockpack.ErofsVolume(),
]


@pytest.fixture(name="image", params=VOLUMES, ids=lambda volume: volume.format)
def fixture_image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tree = blockpack.Tree()
    tree.add("a/b/c.txt", b"0123456789")
    tree.add("a/d.bin", bytes(range(256)) * 300)
    tree.add("e.csv", b"x,y\n1,2\n3,4\n")
    path = tmp_path / "www.img"
    blockpack.write(request.param.plan(tree), path)
    return path


@pytest.fixture(name="filesystem")
def fixture_filesystem(image: Path) -> Iterator[Any]:
    yield fsspec.filesystem("blockpack", fo=str(image), skip_instance_cache=True)


def test_it_is_listed_and_found(filesystem: Any) -> None:
    assert filesystem.ls("", detail=False) == ["a", "e.csv"]
    assert filesystem.find("") == ["a/b/c.txt", "a/d.bin", "e.csv"]
    assert filesystem.glob("a/**/*.txt") == ["a/b/c.txt"]
    assert filesystem.isdir("a/b") and filesystem.isfile("a/d.bin")
    assert filesystem.du("") == 10 + 256 * 300 + 12
    assert filesystem.info("a/d.bin")["size"] == 256 * 300
    with pytest.raises(FileNotFoundError):
        filesystem.info("nothing")


def test_extents_are_where_the_bytes_are(filesystem: Any, image: Path) -> None:
    data = image.read_bytes()
    extents = filesystem.info("a/d.bin")["extents"]
    if filesystem.image.format == "git":  # whose objects are deflated: nothing lies there as it is
        assert extents == []
        return
    assert b"".join(data[at : at + count] for at, count in extents) == bytes(range(256)) * 300


def test_ranges_are_read(filesystem: Any) -> None:
    assert filesystem.cat_file("a/b/c.txt") == b"0123456789"
    assert filesystem.cat_file("a/b/c.txt", 2, 5) == b"234"
    assert filesystem.cat_file("a/b/c.txt", -3) == b"789"
    assert filesystem.cat_file("a/b/c.txt", start=4, end=-4) == b"45"
    paths = ["a/b/c.txt", "e.csv"]
    assert filesystem.cat_ranges(paths, [1, 4], [3, 7]) == [b"12", b"1,2"]
    with filesystem.open("a/b/c.txt") as file:
        file.seek(7)
        assert file.read() == b"789"


def test_nothing_is_written(filesystem: Any) -> None:
    for change, *words in (("open", "new", "wb"), ("mkdir", "new"), ("rm", "e.csv")):
        with pytest.raises(OSError, match="never written"):
            getattr(filesystem, change)(*words)


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    """As in fsspec's filesystem of local files; hard links, too, which others' archives have."""
    from pyarrow import dataset

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.csv").write_text("x\n1\n2\n")
    os.link(tmp_path / "a" / "t.csv", tmp_path / "hard.csv")
    for name, target in (("soft.csv", "a/t.csv"), ("way", "a"), ("circle", "."), ("dead", "no")):
        os.symlink(target, tmp_path / name)
    archive = tmp_path / "others.tar"
    names = ["a", "hard.csv", "soft.csv", "way", "circle", "dead"]
    with tarfile.open(archive, "w") as file:
        for name in names:
            file.add(tmp_path / name, name)
    there, here = (
        fsspec.filesystem(protocol, **options)
        for protocol, options in (("blockpack", {"fo": str(archive)}), ("dir", local(tmp_path)))
    )
    for path in (*names, "a/t.csv", "way/t.csv", "circle/way/t.csv"):
        for ask in ("isfile", "isdir", "exists"):
            assert getattr(there, ask)(path) == getattr(here, ask)(path), (ask, path)
        assert path == "dead" or there.size(path) == here.size(path) or there.isdir(path)
    found = ["a/t.csv", "circle", "dead", "hard.csv", "soft.csv", "way"]
    assert there.find("") == found
    assert there.ls("way", detail=False) == ["way/t.csv"]
    for path in ("soft.csv", "hard.csv", "way/t.csv"):
        read = dataset.dataset(path, filesystem=there, format="csv").to_table()
        assert read.to_pydict() == {"x": [1, 2]}


def local(directory: Path) -> dict[str, Any]:
    return {"path": str(directory), "fs": fsspec.filesystem("file")}


def test_threads_share_one(filesystem: Any) -> None:
    wrong: list[int] = []

    def read(seed: int) -> None:
        for start in range(seed, 70_000, 997):
            data = filesystem.cat_file("a/d.bin", start, start + 300)
            if data != (bytes(range(256)) * 300)[start : start + 300]:
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_instances_are_shared_and_go_to_other_processes(image: Path) -> None:
    one, other = (fsspec.filesystem("blockpack", fo=str(image)) for _ in range(2))
    assert one is other
    sent = pickle.loads(pickle.dumps(one))
    assert sent.cat_file("e.csv") == one.cat_file("e.csv")


def test_urls_are_chained(image: Path) -> None:
    fsspec.filesystem("memory").pipe("/www.img", image.read_bytes())
    with fsspec.open("blockpack://a/b/c.txt::memory://www.img") as file:
        assert file.read() == b"0123456789"


def test_an_open_file_is_taken(image: Path) -> None:
    with open(image, "rb") as file:
        assert BlockpackFileSystem(file).cat_file("e.csv").startswith(b"x,y")
    data = io.BytesIO(image.read_bytes())
    assert BlockpackFileSystem(data).cat_file("e.csv").startswith(b"x,y")


def test_dask_reads_through_it(image: Path) -> None:
    from dask.bytes.core import read_bytes

    _, blocks = read_bytes(  # type: ignore[no-untyped-call]
        f"blockpack://a/d.bin::file://{image}", blocksize=20_000
    )
    parts = [block.compute(scheduler="threads") for block in blocks[0]]
    assert b"".join(parts) == bytes(range(256)) * 300


def test_pandas_and_pyarrow_read_through_it(image: Path, filesystem: Any) -> None:
    import pandas
    from pyarrow import csv, fs

    table = pandas.read_csv(f"blockpack://e.csv::file://{image}")
    assert table["y"].tolist() == [2, 4]
    wrapped = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    with wrapped.open_input_file("e.csv") as file:
        assert csv.read_csv(file).to_pydict() == {"x": [1, 3], "y": [2, 4]}


class TestAbstract(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]
    """fsspec's own tests of `get`: what they read is put into an image first."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of fsspec's tests writes below the current directory."""
        monkeypatch.chdir(tmp_path)

    @pytest.fixture
    def fs(self) -> Any:
        """A filesystem that is written to in memory, and read from an image of that."""
        return Packed()

    @pytest.fixture
    def fs_path(self) -> str:
        return "work"

    @pytest.fixture
    def fs_join(self) -> Any:
        return posixpath.join


class Packed(BlockpackFileSystem):
    """What fsspec's tests write is put into a tree; what they read comes from an image of it."""

    cachable = False

    def __init__(self) -> None:
        self.tree = blockpack.Tree()
        super().__init__(self.packed())

    def packed(self) -> Any:
        return blockpack.open_image(blockpack.TarVolume().plan(self.tree))

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        self.tree.put(blockpack.Directory(self._strip_protocol(path)))
        self.image = self.packed()

    makedirs = mkdir

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        self.tree.add(self._strip_protocol(path), b"")
        self.image = self.packed()

    def _open(self, path: str, mode: str = "rb", *words: Any, **options: Any) -> Any:
        if mode == "rb":
            return super()._open(path, mode, *words, **options)
        return _New(self, self._strip_protocol(path))

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Each test has a filesystem of its own."""


class _New(io.BytesIO):
    """A file that is put into the tree when it is closed."""

    def __init__(self, packed: Packed, path: str) -> None:
        super().__init__()
        self._packed = packed
        self._path = path

    def close(self) -> None:
        if not self.closed:
            self._packed.tree.add(self._path, self.getvalue())
            self._packed.image = self._packed.packed()
        super().close()
