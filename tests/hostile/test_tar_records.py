"""Extended records: what is not read here is told, what is taken back does not count."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import blockpack
from blockpack.formats.reader import ImageEntry
from blockpack.images.extract import extract
from hostile.tar_images import archive, hardlink, header, member, pax


def entries(data: bytes) -> list[ImageEntry]:
    with blockpack.open_image(io.BytesIO(data)) as image:
        found = list(image.walk())
        assert image.verify() == []
    return found


def problems(data: bytes) -> list[str]:
    with blockpack.open_image(io.BytesIO(data)) as image:
        return list(map(str, image.verify()))


def test_an_empty_path_is_none() -> None:
    data = archive(pax({b"path": b""}), member(b"short", b"x"), member(b"next", b"y"))
    assert [entry.path for entry in entries(data)] == ["short", "next"]


def test_an_empty_time_takes_the_time_back() -> None:
    overall, own, none = pax({b"mtime": b"5"}, b"g"), pax({b"mtime": b"7"}), pax({b"mtime": b""})
    plain = header(b"file", mtime=3)

    def time(*parts: bytes) -> float:
        [entry] = entries(archive(*parts))
        return entry.mtime_ns / 10**9

    assert time(plain) == 3
    assert time(overall, plain) == 5
    assert time(overall, own, plain) == 7
    assert time(overall, none, plain) == 3, "for this member even that of all others"
    assert time(overall, pax({b"mtime": b""}, b"g"), plain) == 3
    assert time(own, none, plain) == 3
    assert time(none, own, plain) == 7
    two = entries(archive(overall, none, plain, header(b"next", mtime=3)))
    assert [entry.mtime_ns // 10**9 for entry in two] == [3, 5]


@pytest.mark.parametrize(
    "time",
    [
        *(b"1_0", b" 12", b"12 ", b"1.-5", b"1._5", b"+1", b"1e3", b"0x10", b"--1", b"1.5.5"),
        *(
            b"inf",
            b"nan",
            b".5",
            b"-",
            b"1,5",
            b"\xd9\xa3",
            b"1\n",
            b"9" * 20,
            b"9223372036854775808",
        ),
    ],
)
def test_a_time_that_only_looks_like_a_number_is_told(time: bytes) -> None:
    assert problems(archive(pax({b"mtime": time}), member(b"file", b"x"))) == [
        "file: has an invalid time"
    ]


@pytest.mark.parametrize(
    ("time", "nanoseconds"),
    [
        (b"0", 0),
        (b"12", 12 * 10**9),
        (b"1.", 10**9),
        (b"1.5", 1_500_000_000),
        (b"1.1234567899999", 1_123_456_789),
        (b"-1.5", -1_500_000_000),
        (b"-0.25", -250_000_000),
        (b"9223372036854775807", 9223372036854775807 * 10**9),
    ],
)
def test_times_are_seconds_with_a_fraction(time: bytes, nanoseconds: int) -> None:
    [entry] = entries(archive(pax({b"mtime": time}), member(b"file", b"x")))
    assert entry.mtime_ns == nanoseconds


def test_a_hard_link_may_be_to_another_one(tmp_path: Path) -> None:
    links = (hardlink(b"second", b"first"), hardlink(b"third", b"./second"))
    path = tmp_path / "image.tar"
    path.write_bytes(archive(member(b"first", b"content"), *links))
    with blockpack.open_image(path) as image:
        assert image.verify() == []
        assert {entry.path: entry.target for entry in image.walk()} == {
            "first": "",
            "second": "first",
            "third": "first",
        }
        assert image.open("third").read() == b"content"
        extract(image, tmp_path / "there")
    assert (tmp_path / "there/third").samefile(tmp_path / "there/first")


@pytest.mark.parametrize(
    "records",
    [
        {b"GNU.sparse.map": b"0,1"},
        {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"},
        {b"GNU.sparse.numblocks": b"1"},
        {b"GNU.sparse.realsize": b"5"},
        {b"GNU.sparse.name": b"file"},
    ],
)
def test_a_sparse_file_that_says_too_little_costs_only_itself(records: dict[bytes, bytes]) -> None:
    data = archive(pax(records), member(b"file", b"x" * 512), member(b"next", b"y"))
    assert any(each.startswith("file: is a sparse file") for each in problems(data))
    with blockpack.open_image(data) as image:
        assert image.read("next") == b"y"
        with pytest.raises(blockpack.ImageError, match="sparse file that cannot be read"):
            image.read("file")
