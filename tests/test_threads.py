"""One open image serves any number of threads, whatever its format and whatever it is read from."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

import blockpack
from faults.rendering import pattern

KEY = bytes(range(32))
THREADS = 16

VOLUMES: dict[str, blockpack.Volume] = {
    "tar": blockpack.TarVolume(),
    "fat": blockpack.FatVolume(),
    "git": blockpack.GitVolume(),
    "erofs": blockpack.ErofsVolume(),
}

FILES = {f"d{n % 5}/{n}": pattern(n * n * 3, n) for n in range(0, 240, 5)}


def tree() -> blockpack.Tree:
    found = blockpack.Tree()
    for path, data in FILES.items():
        found.add(path, data)
    return found


def written(layout: blockpack.Layout, path: Path) -> Path:
    blockpack.write(layout, path)
    return path


def in_memory(layout: blockpack.Layout, path: Path) -> bytes:
    return written(layout, path).read_bytes()


def file_object(layout: blockpack.Layout, path: Path) -> io.BytesIO:
    return io.BytesIO(in_memory(layout, path))


SOURCES: dict[str, Callable[[blockpack.Layout, Path], object]] = {
    "path": written,
    "bytes": in_memory,
    "file object": file_object,
    "layout": lambda layout, _: layout,
    "layout's file": lambda layout, _: layout.open(),
}


def read_by_many(image: blockpack.Image) -> None:
    """Have threads read files of `image`, whole ones and parts of them, and compare the bytes."""
    paths = sorted(FILES)

    def read(seed: int) -> list[str]:
        random = Random(seed)
        wrong = []
        open_files = {path: image.open(path) for path in random.sample(paths, 5)}
        for path in random.sample(paths, len(paths)):
            if image.read(path) != FILES[path]:
                wrong.append(path)
            for other, file in open_files.items():
                start = random.randrange(len(FILES[other]) + 1)
                file.seek(start)
                if file.read(1000) != FILES[other][start : start + 1000]:
                    wrong.append(f"{other} from {start}")
        return wrong

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(read, range(THREADS)))
    assert found == [[]] * THREADS


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("format", VOLUMES)
def test_any_number_of_threads_read_one_image(tmp_path: Path, format: str, source: str) -> None:
    layout = VOLUMES[format].plan(tree())
    opened = SOURCES[source](layout, tmp_path / "x.img")
    with blockpack.open_image(opened) as image:  # type: ignore[arg-type]
        read_by_many(image)


def test_any_number_of_threads_read_one_encrypted_image(tmp_path: Path) -> None:
    layout = blockpack.encrypt(VOLUMES["fat"].plan(tree()), KEY)
    path = written(layout, tmp_path / "x.img")
    with blockpack.open_image(path, key=KEY) as image:
        read_by_many(image)


def test_threads_list_an_image_together() -> None:
    with blockpack.open_image(VOLUMES["tar"].plan(tree())) as image:
        with ThreadPoolExecutor(THREADS) as threads:
            listings = list(threads.map(lambda _: [entry.path for entry in image], range(THREADS)))
        assert all(listing == listings[0] for listing in listings)
        assert FILES.keys() <= set(listings[0])


def test_a_file_object_stays_where_its_owner_left_it(tmp_path: Path) -> None:
    path = written(VOLUMES["fat"].plan(tree()), tmp_path / "x.img")
    with open(path, "r+b") as file:
        file.truncate(64 << 20)  # a hole, which is looked for
        file.seek(12_345)
        with blockpack.open_image(file) as image:
            blockpack.extract(image, tmp_path / "out")
            blockpack.compare(image, VOLUMES["fat"].plan(tree()))
        assert file.tell() == 12_345
        assert len(file.read(10)) == 10


class Moving(io.BytesIO):
    """A file object whose position is shared by all processes, as that of a descriptor is."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this

    def close(self) -> None:
        self._file.close()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        return self._file.read(-1 if size is None else size)


@pytest.mark.parametrize("format", VOLUMES)
@pytest.mark.parametrize("source", ["moving", "layout", "path"])
def test_several_processes_get_the_bytes_of_any_image(
    tmp_path: Path, format: str, source: str
) -> None:
    layout = VOLUMES[format].plan(tree())
    path = written(layout, tmp_path / "x.img")
    other = VOLUMES[format].plan(tree())
    with Moving(path) as moving, ExitStack() as stack:
        sources: dict[str, Any] = {"moving": moving, "layout": layout, "path": path}
        image = stack.enter_context(blockpack.open_image(sources[source]))
        image.read(next(iter(FILES)))
        blockpack.extract(image, tmp_path / "out", jobs=3)
        assert blockpack.compare(image, other, jobs=3) == []
        with blockpack.open_image(other) as planned:
            assert blockpack.compare(image, planned, jobs=3) == []
    assert {path: (tmp_path / "out" / path).read_bytes() for path in FILES} == FILES
