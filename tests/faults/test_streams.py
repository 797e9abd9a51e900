"""An image goes into a pipe, a socket or a file object byte for byte as into a file."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import pytest

import blockpack
from faults.launching import COMMAND, launched, run, wait_until
from faults.rendering import make_files, pattern, rendered

LARGE = 3 << 20


@pytest.fixture(params=["tar", "fat"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> blockpack.Layout:
    source = make_files(
        tmp_path / "source",
        {"empty": b"", "small": b"small", "large": pattern(LARGE), "z/medium": pattern(70_000)},
    )
    with open(source / "sparse", "wb") as file:
        file.seek(2 << 20)
        file.write(b"end")
    tree = blockpack.scan(source)
    if request.param == "tar":
        return blockpack.TarVolume(free=3 << 20).plan(tree)
    return blockpack.FatVolume(free=3 << 20).plan(tree)


@contextmanager
def drained(read: Callable[[int], bytes]) -> Iterator[list[bytes]]:
    """What `read` gives until there is no more, as a list that is full after the block."""
    parts: list[bytes] = []

    def drain() -> None:
        while part := read(1 << 16):
            parts.append(part)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield parts
    finally:
        thread.join()


def through_pipe(layout: blockpack.Layout) -> bytes:
    end, begin = os.pipe()
    with open(end, "rb", buffering=0) as reader:
        with drained(reader.read) as parts, open(begin, "wb") as writer:
            report = blockpack.write(layout, writer)
        assert report.size == report.copied == layout.size
        return b"".join(parts)


class Raw(io.RawIOBase):
    """A raw file that takes some bytes at a time, and cannot seek."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(cast(memoryview, data))[: 1 + len(self.written) % 70_001]
        self.written += part
        return len(part)


class Duck:
    """Something that can be written to and flushed, and no more."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.parts.append(bytes(data))

    def flush(self) -> None:
        pass


def test_an_image_through_a_pipe_equals_the_file(layout: blockpack.Layout) -> None:
    assert through_pipe(layout) == rendered(layout)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
@pytest.mark.parametrize("calls", [0, 2])
def test_an_image_through_a_pipe_without_sendfile_equals_the_file(
    layout: blockpack.Layout, number: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_sendfile = os.sendfile
    left = calls

    def sending(out: int, source: int, offset: int, count: int) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(number, os.strerror(number))
        return really_sendfile(out, source, offset, min(count, 5000))

    monkeypatch.setattr(os, "sendfile", sending)
    assert through_pipe(layout) == rendered(layout)
    assert left < 0


def test_an_image_through_a_pipe_that_takes_little_equals_the_file(
    layout: blockpack.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_write, really_sendfile = os.write, os.sendfile
    monkeypatch.setattr(os, "write", lambda fd, data: really_write(fd, data[:4999]))
    monkeypatch.setattr(
        os, "sendfile", lambda out, fd, at, count: really_sendfile(out, fd, at, min(count, 70_001))
    )
    assert through_pipe(layout) == rendered(layout)


def test_an_image_through_a_socket_equals_the_file(layout: blockpack.Layout) -> None:
    here, there = socket.socketpair()
    with there, drained(there.recv) as parts, here, here.makefile("wb") as file:
        blockpack.write(layout, cast(BinaryIO, file))
    assert b"".join(parts) == rendered(layout)


def test_an_image_through_a_named_pipe_equals_the_file(
    layout: blockpack.Layout, tmp_path: Path
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        output = cast(IO[bytes], reader.stdout)
        with drained(output.read1) as parts:  # type: ignore[attr-defined]
            blockpack.write(layout, path)
    assert b"".join(parts) == rendered(layout)


def test_an_image_into_memory_equals_the_file(layout: blockpack.Layout) -> None:
    memory = io.BytesIO()
    report = blockpack.write(layout, memory)
    assert memory.getvalue() == rendered(layout)
    assert report.size == layout.size


def test_an_image_into_a_raw_file_with_short_writes_equals_the_file(
    layout: blockpack.Layout,
) -> None:
    raw = Raw()
    blockpack.write(layout, cast(BinaryIO, raw))
    assert bytes(raw.written) == rendered(layout)


def test_an_image_into_an_object_that_can_only_be_written_to_equals_the_file(
    layout: blockpack.Layout,
) -> None:
    duck = Duck()
    blockpack.write(layout, cast(BinaryIO, duck))
    assert b"".join(duck.parts) == rendered(layout)


@pytest.mark.parametrize("buffering", [0, -1])
def test_an_image_into_an_open_file_goes_where_the_file_stands(
    layout: blockpack.Layout, tmp_path: Path, buffering: int
) -> None:
    with open(tmp_path / "x", "wb", buffering=buffering) as file:
        file.write(b"before")
        blockpack.write(layout, file)
        file.write(b"after")
    assert (tmp_path / "x").read_bytes() == b"before" + rendered(layout) + b"after"


def test_an_image_into_a_pipe_goes_after_what_was_buffered(layout: blockpack.Layout) -> None:
    end, begin = os.pipe()
    with (
        open(end, "rb", buffering=0) as reader,
        drained(reader.read) as parts,
        open(begin, "wb") as writer,
    ):
        writer.write(b"before")
        blockpack.write(layout, writer)
        writer.write(b"after")
    assert b"".join(parts) == b"before" + rendered(layout) + b"after"


def test_a_reader_that_goes_away_is_a_target_error(layout: blockpack.Layout) -> None:
    end, begin = os.pipe()
    os.close(end)
    with (
        open(begin, "wb", buffering=0) as writer,
        pytest.raises(blockpack.TargetError, match="cannot be written: broken pipe"),
    ):
        blockpack.write(layout, cast(BinaryIO, writer))


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_reader_that_goes_away_ends_the_command_without_a_traceback(
    size: int, tmp_path: Path
) -> None:
    files = {str(n): pattern(size, n) for n in range(10 if size == LARGE else 2000)}
    source = make_files(tmp_path / "source", files)
    end, begin = os.pipe()
    with launched(
        COMMAND, "pack", source, "-", "--format", "tar", stdout=begin, stderr=subprocess.PIPE
    ) as process:
        os.close(begin)
        assert len(os.read(end, 1000)) == 1000
        os.close(end)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 5
    assert errors.decode() == (
        "blockpack: <stdout>: cannot be written: broken pipe; let the reader read to the end\n"
    )


def test_the_command_writes_the_same_to_a_pipe_to_a_file_and_redirected(tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", {"small": b"small", "large": pattern(LARGE)})
    code, piped, errors = run(COMMAND, "pack", source, "-", "--format", "tar")
    assert code == 0, errors
    with open(tmp_path / "redirected", "wb") as file:
        run(COMMAND, "pack", source, "-", "--format", "tar", stdout=file)
    run(COMMAND, "pack", source, tmp_path / "x.img", "--format", "tar")
    assert (tmp_path / "redirected").read_bytes() == piped
    assert (tmp_path / "x.img").read_bytes() == piped


def test_an_interrupted_command_leaves_the_pipe_cut_off_and_says_so(tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", {"large": pattern(LARGE)})
    end, begin = os.pipe()
    with launched(
        COMMAND, "pack", source, "-", "--format", "tar", stdout=begin, stderr=subprocess.PIPE
    ) as process:
        os.close(begin)
        with open(end, "rb", buffering=0) as reader:
            assert reader.read(1)  # from here on it waits for us to read more
            assert wait_until(lambda: state_of(process.pid) == "S")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 143
    assert errors.decode() == "blockpack: terminated\n"


def state_of(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
