"""The model of `tar_kv_ro` reads real archives, and fails where the reader is known to."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges.mirage_kv import (
    BlockError,
    Crash,
    Device,
    DictionaryExpected,
    NotFound,
    ValueExpected,
)
from judges.mirage_tar import MirageTar

from .real_images import CONTENTS, FILES, make_tar, make_tree
from .test_tar_judges import END, FILE, directory_without_slash, header, pax, with_checksum

SECTORS = (512, 4096)


def padded(image: bytes) -> bytes:
    """`image` filled up to whole sectors of 4096."""
    return image + bytes(-len(image) % 4096)


@pytest.mark.parametrize("size", SECTORS)
@pytest.mark.parametrize("dialect", ["ustar", "gnu", "pax"])
def test_real_archives_are_read(tmp_path: Path, dialect: str, size: int) -> None:
    image = make_tar(
        tmp_path / "x.tar", make_tree(tmp_path / "tree"), "tar", f"--format={dialect}",
        "--blocking-factor=8",
    )  # fmt: skip
    store = MirageTar(image, size)
    wanted = {path.encode(): "dictionary" if d is None else "value" for path, d in CONTENTS.items()}
    assert dict(store.walk()) == wanted
    for path, data in FILES.items():
        assert store.get(path) == data
    assert store.list("dir") == {
        b"UPPER.TXT": "value", b"deep": "dictionary", b"empty": "dictionary",
    }  # fmt: skip


def test_errors_leave_the_unikernel_running() -> None:
    store = MirageTar(padded(header(b"d/", b"5") + FILE + END))
    assert store.exists("d") == "dictionary"
    assert store.exists("f") == "value"
    assert store.exists("g") is None
    with pytest.raises(NotFound):
        store.get("d/g")
    with pytest.raises(ValueExpected):
        store.get("d")
    with pytest.raises(DictionaryExpected):
        store.get("f/g")
    with pytest.raises(DictionaryExpected):
        store.list("f")


@pytest.mark.parametrize("size", SECTORS)
def test_parts_of_a_value_are_read(size: int) -> None:
    data = bytes(range(250)) * 40
    image = padded(header(b"f", b"0", len(data)) + data + bytes(-len(data) % 512) + END)
    store = MirageTar(image, size)
    assert store.get_partial("f", 3000, 5000) == data[3000:8000]
    assert store.get_partial("f", 9999, 5000) == data[9999:]
    assert store.get_partial("f", 10001, 1) == b""


@pytest.mark.parametrize("size", SECTORS)
@pytest.mark.parametrize(
    "image",
    [
        pytest.param(FILE, id="no end"),
        pytest.param(FILE + bytes(512) + FILE.ljust(3072, b"f"), id="one zero block"),
        pytest.param(b"F" + FILE[1:] + END, id="checksum"),
        pytest.param(with_checksum(FILE[:124] + b"\x80" + FILE[125:]) + END, id="base 256"),
        pytest.param(pax(b"513 comment=".ljust(512, b"c") + b"\n") + FILE + END, id="long header"),
        pytest.param(pax(b"12 path=a\n") + FILE + END, id="record"),
        pytest.param(pax(b"10 path=a\n") + END, id="x at the end"),
        pytest.param(directory_without_slash(b"d") + header(b"d/f", b"0") + END, id="no slash"),
        pytest.param(FILE + header(b"f/g", b"0") + END, id="file beside its child"),
        pytest.param(header(b"//", b"5") + END, id="no segment"),
        pytest.param(header(b"f", b"0", 9999) + END, id="cut off"),
    ],
)
def test_what_ends_the_unikernel(image: bytes, size: int) -> None:
    with pytest.raises(Crash):
        # The image without an end fills its device, all others have room behind them.
        MirageTar(padded(image) if image != FILE else FILE * (size // 512), size)


def test_an_unaligned_image_is_refused() -> None:
    with pytest.raises(Crash, match="whole sectors"):
        MirageTar(FILE + END, 4096)
    MirageTar(FILE + END, 512)


def test_an_empty_extended_header_crashes_on_large_sectors_alone() -> None:
    image = padded(header(b"g", b"g") + FILE + END)
    assert MirageTar(image, 512).exists("f") == "value"
    with pytest.raises(Crash, match="outside a buffer"):
        MirageTar(image, 4096)


@pytest.mark.parametrize("size", SECTORS)
def test_padding_is_skipped(size: int) -> None:
    comment = pax(b"14 comment=ab\n", b"g")
    image = comment * 3 + header(b"./", b"5") + header(b"f", b"0", 2) + b"ok".ljust(512, b"\0")
    store = MirageTar(padded(image + END), size)
    assert store.list() == {b"f": "value"}
    assert store.get("f") == b"ok"


def test_a_later_directory_erases_its_children() -> None:
    store = MirageTar(header(b"d/f", b"0") + header(b"d/", b"5") + END)
    assert store.list("d") == {}


def test_links_are_empty_files() -> None:
    store = MirageTar(padded(header(b"l", b"2", linkname="f") + END))
    assert store.get("l") == b""


def test_a_value_that_ends_a_sector_needs_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(4096 - 512)
    store = MirageTar(header(b"f", b"0", len(data)) + data + END.ljust(4096, b"\0"), 4096)
    assert store.get("f") == data

    def read(_device: Device, sector: int, length: int) -> bytes:
        raise BlockError((sector, length))

    monkeypatch.setattr(Device, "read", read)
    with pytest.raises(BlockError, match=r"\(0, 8192\)"):
        store.get("f")


def test_of_two_records_the_first_counts() -> None:
    store = MirageTar(pax(b"10 path=a\n10 path=b\n") + FILE + END)
    assert store.list() == {b"a": "value"}
