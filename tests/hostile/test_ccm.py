"""Encrypted images that are damaged, cut short or another key's: said, and never shown."""

from __future__ import annotations

import io
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import blockpack
from blockpack.layers.ccm_reader import DecryptedReader, decrypted
from blockpack.reading.positional import BytesReader
from hostile.ordeal import in_memory, in_time
from judges import ccm

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
CONTENT = random.Random(1).randbytes(50_000)
SIZES = (512, 4096)


def counted() -> Iterator[bytes]:
    return (number.to_bytes(8, "big") for number in itertools.count(77))


def plain(sector_size: int = 512) -> bytes:
    tree = blockpack.Tree()
    tree.add("file", CONTENT)
    with blockpack.TarVolume(sector_size=sector_size).plan(tree).open() as file:
        return file.read()


def image(sector_size: int = 512) -> bytearray:
    """One that is not of our making."""
    return bytearray(ccm.encoded(plain(sector_size), KEY, sector_size, counted()))


def opened(
    data: bytes | bytearray, key: bytes | None = KEY, size: int | None = None
) -> blockpack.Image:
    return blockpack.open_image(io.BytesIO(data), key=key, sector_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_an_image_of_anothers_making_is_read(size: int) -> None:
    for told in (None, size):
        with opened(image(size), size=told) as found:
            assert found.format == "tar"
            assert found.size == len(plain(size))
            assert found.verify() == []
            assert found.open("file").read() == CONTENT
            assert found.layer is not None
            assert found.layer.info() == {"cipher": "aes-ccm", "cipher_sector": size}


FIELDS = {"ciphertext": 0, "tag": 512, "nonce": 528, "additional data": 536}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("bit", [0, 7])
def test_a_bit_of_any_field_is_noticed_and_located(field: str, bit: int) -> None:
    data = image()
    data[10 * 1024 + FIELDS[field]] ^= 1 << bit
    with opened(data) as found:
        problem = (
            "sector 10 does not decrypt (bytes 10,240 to 11,263 of the encrypted image): "
            "it is damaged"
        )
        assert list(map(str, found.verify())) == [problem]
        with pytest.raises(blockpack.ImageError) as raised:
            found.open("file").read()
        assert str(raised.value) == problem


def test_what_is_around_the_damage_is_still_read() -> None:
    data = image()
    data[10 * 1024] ^= 1
    with opened(data) as found:
        assert [entry.path for entry in found.walk()] == ["file"]
        assert found.layer is not None
        file = found.layer.file()
        file.seek(0)
        whole = plain()
        assert file.read(10 * 512) == whole[: 10 * 512], "reading ahead is no reading"
        with pytest.raises(blockpack.ImageError, match="sector 10 does not decrypt"):
            file.read(1)
        file.seek(11 * 512)
        assert file.read() == whole[11 * 512 :]


@pytest.mark.parametrize("number", [0, 50, -1])
def test_damage_anywhere_does_not_keep_the_sectors_size_from_being_found(number: int) -> None:
    data = image()
    damaged = number % (len(data) // 1024)
    data[damaged * 1024] ^= 1
    said = f"sector {damaged} does not decrypt"
    if not number:  # the format is not to be told without the first
        with pytest.raises(blockpack.ImageError, match=said):
            opened(data)
        return
    with opened(data) as found:
        (problem,) = found.verify()
    assert str(problem).startswith(said)


def test_stretches_of_damage_are_told_as_such_and_not_without_end() -> None:
    data = image()
    for number in (13, 14, 15, 19):
        data[number * 1024] ^= 1
    with opened(data) as found:
        assert list(map(str, found.verify())) == [
            "sectors 13 to 15 do not decrypt (bytes 13,312 to 16,383 of the encrypted image): "
            "they are damaged",
            "sector 19 does not decrypt (bytes 19,456 to 20,479 of the encrypted image): "
            "it is damaged",
        ]
    tree = blockpack.Tree()
    tree.add("file", bytes(512 * 512))
    with blockpack.encrypt(blockpack.TarVolume().plan(tree), KEY).open() as file:
        data = bytearray(file.read())
    for number in range(11, 400, 2):
        data[number * 1024] ^= 1
    with opened(data) as found:
        problems = found.verify()
    assert len(problems) == 101
    assert str(problems[-1]) == "and there are more sectors that do not decrypt"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", [OTHER, KEY[:16], bytes(24)])
def test_another_key_is_said_to_be_one(size: int, key: bytes) -> None:
    with pytest.raises(blockpack.ImageError) as raised:
        opened(image(size), key)
    assert str(raised.value) == (
        "the image: does not decrypt with this key: it has another key, is damaged, or is not "
        "encrypted; give its own key, or none"
    )


def test_another_sector_size_is_said_to_be_one() -> None:
    with pytest.raises(blockpack.ImageError, match="with this key in sectors of 4096 bytes"):
        opened(image(512), size=4096)
    with pytest.raises(blockpack.UsageError, match="512 or 4096, not 1024"):
        opened(image(512), size=1024)


@pytest.mark.parametrize("key", [b"", bytes(20)])
def test_what_is_no_key_is_a_usage_error(key: bytes) -> None:
    with pytest.raises(blockpack.UsageError, match="a key has 16 or 24 or 32 bytes"):
        opened(image(), key)


def test_a_plain_image_with_a_key_is_said_to_be_plain() -> None:
    with pytest.raises(
        blockpack.ImageError, match="it is a plain image of the format tar; give no key"
    ):
        opened(plain())


def test_an_encrypted_image_without_a_key_is_said_to_want_one() -> None:
    with pytest.raises(blockpack.ImageError, match="if it is encrypted, give its key"):
        opened(image(), None)


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 511, b"x" * 1024, b"x" * 8192, b"x" * 100_000])
def test_what_is_no_image_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(blockpack.ImageError, match="does not decrypt with this key"):
        opened(data)


def test_what_decrypts_and_is_no_image_is_said_to_be_none() -> None:
    data = ccm.encoded(b"x" * 4096, KEY, 512, counted())
    with pytest.raises(blockpack.ImageError, match="not a tar archive, a FAT"):
        opened(data)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("less", [1, 16, 511, 1023])
def test_an_image_cut_short_within_a_sector_is_said_to_be(size: int, less: int) -> None:
    with pytest.raises(blockpack.ImageError, match="it is cut short or damaged"):
        opened(image(size)[:-less])


def test_an_image_cut_short_by_whole_sectors_is_left_to_the_format() -> None:
    with opened(image()[: -20 * 1024]) as found:
        assert any("cut short" in str(problem) for problem in found.verify())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("more", [1, 1024, 100_000])
def test_what_a_device_has_behind_the_image_is_no_damage(size: int, more: int) -> None:
    """Its old bytes are not the image's; damage before them is, all the same."""
    data = image(size) + random.Random(3).randbytes(more)
    layer = decrypted(BytesReader(data), "the device", KEY, device=True)
    assert list(layer.damaged()) == []
    assert layer.file().read(len(plain(size))) == plain(size)
    data[0] ^= 1
    (damage,) = DecryptedReader(BytesReader(data), KEY, size, device=True).damaged()
    assert str(damage).startswith("sector 0 does not decrypt")


def test_swapped_sectors_go_unnoticed_as_documented() -> None:
    data = image()
    data[10 * 1024 : 11 * 1024], data[20 * 1024 : 21 * 1024] = (
        data[20 * 1024 : 21 * 1024],
        data[10 * 1024 : 11 * 1024],
    )
    with opened(data) as found:
        assert found.verify() == []
        assert found.open("file").read() != CONTENT


def test_an_image_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(image())
    with blockpack.open_image(path, key=KEY) as found:
        with open(path, "r+b") as file:
            file.truncate(20 * 1024)
        with pytest.raises(blockpack.ImageError, match="ends early"):
            found.open("file").read()


def test_a_key_and_a_file_with_one_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(blockpack.UsageError, match="not both"):
        blockpack.open_image(io.BytesIO(image()), key=KEY, key_file=tmp_path / "key")


@pytest.mark.parametrize("size", SIZES)
def test_what_is_in_an_encrypted_image_is_not_trusted_either(size: int) -> None:
    data = random.Random(2).randbytes(1 << 20)
    head = plain(4096)[:4096]
    hostile = ccm.encoded(head + data, KEY, size, counted())
    with in_time(), in_memory(), opened(hostile) as found:
        assert found.verify()


@pytest.mark.parametrize("close", [True, False])
def test_files_are_closed_by_whoever_opened_them(tmp_path: Path, close: bool) -> None:
    path = tmp_path / "image"
    path.write_bytes(image())

    def opened() -> int:
        descriptors = os.listdir("/proc/self/fd")
        return sum(os.path.realpath(f"/proc/self/fd/{each}") == str(path) for each in descriptors)

    file: BinaryIO
    with open(path, "rb") as file:
        with blockpack.open_image(path if close else file, key=KEY) as found:
            list(found.walk())
            assert opened() >= 1 + close
        assert opened() == 1 and not file.closed
