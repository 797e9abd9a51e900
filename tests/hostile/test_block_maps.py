"""Block maps that are odd or made to harm: an error soon, and little memory."""

from __future__ import annotations

import hashlib
import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.images.block_map import BLOCK, MOST, BlockMap, BlockRange
from blockpack.images.device_copy import write_image
from cli.running import process

DIGEST = "ab" * 32
PLAIN = BlockMap(100 * BLOCK, (BlockRange(0, 9, DIGEST), BlockRange(20, 20, DIGEST)))
TEXT = PLAIN.encoded().decode()
_OWN = re.compile("(<BmapFileChecksum>) [0-9a-f]+ ")

LAUGHS = '<?xml version="1.0"?>\n<!DOCTYPE bmap [<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
)


def sealed(text: str, encoding: str = "utf-8") -> bytes:
    """The text with its own digest in it, however wrong it is else."""
    zeros = _OWN.sub(rf"\1 {'0' * 64} ", text).encode(encoding)
    own = hashlib.sha256(zeros).hexdigest()
    return zeros.replace(("0" * 64).encode(encoding), own.encode(encoding), 1)


def replaced(old: str, new: str) -> bytes:
    assert old in TEXT
    return sealed(TEXT.replace(old, new, 1))


MAPS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no element"),
    "no map": (b"\0" * 1000, "token"),
    "an image": (bytes(range(256)) * 100, "utf-8"),
    "another document": (b"<html><body/></html>", "an element 'html' too much"),
    "version 1.3": (replaced('version="2.0"', 'version="1.3"'), "version is '1.3'"),
    "no version": (replaced(' version="2.0"', ""), "version is ''"),
    "no root": (
        replaced('<bmap version="2.0">', "<BlockMap>")[:-8] + b"</BlockMap>\n",
        "element 'BlockMap' too much",
    ),
    "no size": (sealed(re.sub("<ImageSize.*>", "", TEXT)), "it has no ImageSize"),
    "other blocks": (replaced("> 4096 <", "> 1024 <"), "blocks have 1024 bytes"),
    "other digests": (replaced("sha256 <", "md5 <"), "digests are 'md5'"),
    "no digest of a range": (replaced(f' chksum="{DIGEST}"', ""), "the range 0-9 has no digest"),
    "a short digest": (replaced(DIGEST, "ab"), "the range 0-9 has no digest"),
    "a changed one": (TEXT.replace("0-9", "0-8", 1).encode(), "its own digest is another"),
    "cut": (TEXT[: len(TEXT) // 2].encode(), "no element|unclosed|tag"),
    "giant numbers": (replaced("409600", "9" * 5000), "text of more than 1000"),
    "large numbers": (replaced("409600", "9" * 30), "is not a number"),
    "a negative number": (replaced("409600", "-4096"), "is not a number"),
    "underscores": (replaced("409600", "409_600"), "is not a number"),
    "digits of others": (replaced("> 0-9 <", "> \u0660-\u0669 <"), "is not a number"),
    "half a range": (replaced("> 0-9 <", "> -9 <"), "is not a number"),
    "three blocks": (replaced("> 0-9 <", "> 0-4-9 <"), "is not a number"),
    "backwards": (replaced("> 0-9 <", "> 9-0 <"), "in order"),
    "overlapping": (replaced("> 20 <", "> 9-20 <"), "in order"),
    "the same": (replaced("> 20 <", "> 0-9 <"), "in order"),
    "past the end": (replaced("> 20 <", "> 20-100 <"), "not in an image of 409,600 bytes"),
    "far past the end": (replaced("> 20 <", f"> {10**17} <"), "not in an image"),
    "laughs": ((LAUGHS + "]><bmap>&a11;</bmap>").encode(), "document type"),
    "laughs in UTF-16": ((LAUGHS + "]><bmap>&a11;</bmap>").encode("utf-16"), "utf-8"),
    "laughs in EBCDIC": (
        b'<?xml version="1.0" encoding="cp037"?>' + LAUGHS[21:].encode("cp037"),
        "utf-8",
    ),
    "a file of the system": (
        b'<!DOCTYPE bmap [<!ENTITY x SYSTEM "file:///etc/passwd">]><bmap>&x;</bmap>',
        "document type",
    ),
    "an entity of its own": (replaced("409600", "&size;"), "undefined entity"),
    "too long": (b" " * (MOST + 1), "more than 16,777,216 bytes"),
    "empty elements": (
        b"<bmap version='2.0'>" + b"<BlockMap/>" * (1 << 20),
        "element 'BlockMap' too much",
    ),
    "unknown elements": (b"<bmap version='2.0'>" + b"<a/>" * (1 << 21), "element 'a' too much"),
    "ranges without end": (b"<bmap version='2.0'>" + b"<Range/>" * (1 << 20), "no digest"),
    "depth": (b"<bmap version='2.0'>" + b"<BlockMap>" * (1 << 20), "element 'BlockMap' too much"),
    "lines": (b"<bmap version='2.0'>" + b"\n" * (MOST - 100), "text of more than"),
}


@pytest.mark.parametrize(("data", "told"), MAPS.values(), ids=MAPS)
def test_it_is_refused(data: bytes, told: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(blockpack.ImageError, match=told) as error:
            BlockMap.parse(data, "map")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 400
    assert peak < (8 << 20) + 4 * len(data)


@given(st.data())
def test_any_other_bytes_are_the_map_or_refused(data: st.DataObject) -> None:
    changed = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    for whole in (bytes(changed), sealed(changed.decode("latin-1"), "latin-1")):
        try:
            found = BlockMap.parse(whole, "map")
        except blockpack.ImageError:
            continue
        assert all(0 <= first <= last for first, last, _ in found.ranges)
        assert not found.ranges or found.ranges[-1].last * BLOCK < found.size


def test_upper_case_and_other_spaces_are_the_same_map() -> None:
    text = TEXT.replace(DIGEST, DIGEST.upper()).replace("> 0-9 <", ">\n0-9\t<")
    assert BlockMap.parse(sealed(text), "map") == PLAIN


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda image: image.write_bytes(image.read_bytes()[:-1]), "and the map is of"),
        (lambda image: image.write_bytes(image.read_bytes() + b"x"), "and the map is of"),
        (lambda image: image.write_bytes(image.read_bytes()[::-1]), "differs from its map"),
    ],
    ids=["shorter", "longer", "another"],
)
def test_the_map_of_another_image_writes_nothing(
    tmp_path: Path, change: Callable[[Path], object], told: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_bytes(b"a page" * 1000)
    image, bmap, target = (tmp_path / name for name in ("image", "map", "target"))
    process("pack", tmp_path / "site", image, "--format", "tar", "--bmap", bmap, "-q")
    change(image)
    target.write_bytes(b"kept")
    assert told in process("write", image, target, "--bmap", bmap, code=6).err
    assert target.read_bytes() == b"kept"


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"image")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(blockpack.TargetError, match="cannot be read back"):
        write_image(str(tmp_path / "image"), tmp_path / "pipe", verify=True)
    with pytest.raises(blockpack.TargetError, match="cannot be read back"):
        write_image(str(tmp_path / "image"), "/dev/null", verify=True)
