"""What does something to the bytes, or has no room for them at times, gets every byte once."""

from __future__ import annotations

import bz2
import fcntl
import gzip
import io
import lzma
import mmap
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

import blockpack
from faults.rendering import differ_at, make_files, pattern, rendered

PIPE_SIZE = 4096
"""The smallest pipe that Linux has."""

HIGH = 1024
"""A descriptor that `select` does not take."""


@pytest.fixture(params=["tar", "fat"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> blockpack.Layout:
    """An image with files below and above the size from which the kernel sends them."""
    files = {"empty": b"", "small": b"small", "a/medium": pattern(60_000), "z": pattern(200_000, 2)}
    tree = blockpack.scan(make_files(tmp_path / "source", files))
    volume = blockpack.TarVolume() if request.param == "tar" else blockpack.FatVolume()
    return volume.plan(tree)


@pytest.mark.parametrize(
    ("opened", "unpack"),
    [(gzip.open, gzip.decompress), (bz2.open, bz2.decompress), (lzma.open, lzma.decompress)],
    ids=["gzip", "bz2", "lzma"],
)
def test_a_compressed_file_decompresses_to_the_image(
    layout: blockpack.Layout,
    tmp_path: Path,
    opened: Callable[..., Any],
    unpack: Callable[[bytes], bytes],
) -> None:
    path = tmp_path / "image.packed"
    with opened(path, "wb") as file:
        report = blockpack.write(layout, file)
    assert differ_at(unpack(path.read_bytes()), rendered(layout)) is None
    assert report.copied == layout.size


class Written:
    """What can be written to, and nothing else."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: memoryview) -> int:
        self.data += data[:70_000]
        return len(data[:70_000])


def test_what_can_only_be_written_to_gets_the_image(layout: blockpack.Layout) -> None:
    target: Any = Written()
    assert blockpack.write(layout, target).copied == layout.size
    assert differ_at(target.data, rendered(layout)) is None


def test_a_compressor_before_a_pipe_compresses_all_of_the_image(layout: blockpack.Layout) -> None:
    with read_slowly() as (writer, parts), gzip.open(writer, "wb") as file:
        blockpack.write(layout, cast(BinaryIO, file))
        file.close()
        writer.close()
    assert differ_at(gzip.decompress(b"".join(parts)), rendered(layout)) is None


class Named(io.FileIO):
    """A raw file of somebody else's kind."""


@contextmanager
def read_slowly(*, blocking: bool = True) -> Iterator[tuple[io.FileIO, list[bytes]]]:
    """The end of a small pipe to write to, and a list that is full after the block."""
    end, begin = os.pipe()
    fcntl.fcntl(begin, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    os.set_blocking(begin, blocking)
    parts: list[bytes] = []

    def drain() -> None:
        time.sleep(0.05)  # until then it is full
        with open(end, "rb", buffering=0) as reader:
            while part := reader.read(1 + len(parts) * 997 % PIPE_SIZE):
                parts.append(part)
                time.sleep(0.0005)  # it is full again

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        with Named(begin, "wb") as writer:
            yield writer, parts
    finally:
        thread.join()


@pytest.mark.parametrize("kind", ["raw", "buffered", "another raw", "another buffered"])
def test_a_pipe_that_does_not_block_gets_the_image(layout: blockpack.Layout, kind: str) -> None:
    with read_slowly(blocking=False) as (writer, parts):
        file: Any = writer
        if not kind.startswith("another"):  # one past which the descriptor is used
            file = io.FileIO(writer.fileno(), "wb", closefd=False)
        if kind.endswith("buffered"):
            file = io.BufferedWriter(file)
        file.write(b"before")
        report = blockpack.write(layout, file)
        assert report.copied == layout.size
        file.close()
    assert differ_at(b"".join(parts), b"before" + rendered(layout)) is None


def test_a_pipe_with_a_high_descriptor_that_does_not_block_gets_the_image(
    layout: blockpack.Layout,
) -> None:
    """Of 1024 or more: `select` cannot wait for such."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] <= HIGH:
        pytest.skip("so many descriptors are not allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], HIGH + 1), before[1]))
    try:
        with read_slowly(blocking=False) as (writer, parts):
            high = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, HIGH)
            file = os.fdopen(high, "wb", buffering=0)
            blockpack.write(layout, cast(BinaryIO, file))
            file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert differ_at(b"".join(parts), rendered(layout)) is None


def test_a_raw_file_that_does_not_block_gets_the_image(
    layout: blockpack.Layout, tmp_path: Path
) -> None:
    descriptor = os.open(tmp_path / "image", os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK)
    with open(descriptor, "wb", buffering=0) as file:
        blockpack.write(layout, cast(BinaryIO, file))
    assert differ_at((tmp_path / "image").read_bytes(), rendered(layout)) is None


class Refusing(io.BytesIO):
    """Takes a number of bytes at a time that is none of those it was given."""

    took: Any = 0

    def write(self, data: Any, /) -> Any:
        return self.took


@pytest.mark.parametrize("took", [0, -1, 1 << 30, "1", 1.0, b"x"])
def test_a_file_object_that_does_not_take_what_it_is_given_is_an_error(
    layout: blockpack.Layout, took: object
) -> None:
    target = Refusing()
    target.took = took
    with pytest.raises(blockpack.TargetError, match=r"its write\(\) tells"):
        blockpack.write(layout, target)


def test_a_text_file_is_no_target(layout: blockpack.Layout, tmp_path: Path) -> None:
    with (tmp_path / "text").open("w") as file:
        for target in (file, io.StringIO()):
            wrong: Any = target
            with pytest.raises(blockpack.UsageError, match="is a text file; open it in the mode"):
                blockpack.write(layout, wrong)
    assert (tmp_path / "text").read_bytes() == b""


def test_a_file_object_may_have_an_encoding_of_none(layout: blockpack.Layout) -> None:
    """As click's lazy files do."""

    class Lazy(io.BytesIO):
        encoding = None

    file = Lazy()
    blockpack.write(layout, file)
    assert len(file.getvalue()) == layout.size


def closed() -> io.BytesIO:
    file = io.BytesIO(b"content")
    file.close()
    return file


def test_a_file_object_that_is_closed_is_an_error(layout: blockpack.Layout) -> None:
    tree = blockpack.Tree()
    for work in (
        lambda: tree.add("a", closed()),
        lambda: blockpack.write(layout, closed()),
        lambda: blockpack.open_image(closed()),
    ):
        with pytest.raises(blockpack.UsageError, match="is a closed file object"):
            work()
    content = io.BytesIO(b"content")
    tree.add("a", content)
    content.close()
    with pytest.raises(blockpack.UsageError, match=r"^a: is a closed file object"):
        blockpack.write(blockpack.TarVolume().plan(tree), io.BytesIO())


class Greedy(io.BytesIO):
    """It gives more than it is asked for."""

    def read(self, most: int | None = -1, /) -> bytes:
        return super().read() if most else b""


def test_what_reads_no_bytes_is_no_image(layout: blockpack.Layout, tmp_path: Path) -> None:
    path = tmp_path / "image"
    blockpack.write(layout, path)
    files: tuple[Any, ...] = (io.StringIO("text"), path.open("r"), Greedy(path.read_bytes()))
    for file in files:
        with file, pytest.raises(blockpack.UsageError, match=r"read\(\) gives .*; "):
            blockpack.open_image(file)


def test_a_file_object_that_does_not_tell_where_it_seeks_to_is_read(
    layout: blockpack.Layout, tmp_path: Path
) -> None:
    path = tmp_path / "image"
    blockpack.write(layout, path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        image: Any = mapped
        assert blockpack.open_image(image).read("small") == b"small"
        tree = blockpack.Tree()
        tree.add("image", image)
        assert tree["image"].size == path.stat().st_size  # type: ignore[union-attr]


def test_what_a_file_object_cannot_do_is_told(layout: blockpack.Layout, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    for end, mode in ((reading, "rb"), (writing, "wb")):
        with os.fdopen(end, mode) as file, pytest.raises(blockpack.SourceError) as raised:
            blockpack.Tree().add("a", file)
        assert "cannot be read: its file object cannot do that (" in str(raised.value)
    (tmp_path / "target").touch()
    told = r"its file object cannot do that \(write"
    with (tmp_path / "target").open("rb") as file, pytest.raises(blockpack.TargetError, match=told):
        blockpack.write(layout, file)
