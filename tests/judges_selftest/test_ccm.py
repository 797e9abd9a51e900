"""The decoder of encrypted sectors reads what another CCM writes, and notices damage."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from judges import ccm

KEY = bytes(range(32))


def counted() -> Iterator[bytes]:
    return (number.to_bytes(8, "big") for number in range(1 << 64))


def by_the_book(data: bytes, key: bytes, nonce: bytes, additional: bytes) -> bytes:
    """AES-CCM with a tag of 16 bytes as RFC 3610 puts it, of single blocks of AES."""

    def block(data: bytes) -> bytes:
        return Cipher(AES(key), ECB()).encryptor().update(data)

    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 16)

    def xor(one: bytes, other: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(one, other, strict=False))

    length = 15 - len(nonce)
    flags = 64 | (16 - 2) // 2 << 3 | length - 1
    blocks = bytes([flags]) + nonce + len(data).to_bytes(length, "big")
    blocks += padded(len(additional).to_bytes(2, "big") + additional) + padded(data)
    mac = bytes(16)
    for at in range(0, len(blocks), 16):
        mac = block(xor(mac, blocks[at : at + 16]))
    stream = b"".join(
        block(bytes([length - 1]) + nonce + counter.to_bytes(length, "big"))
        for counter in range(len(data) // 16 + 2)
    )
    return xor(data, stream[16:]) + xor(mac, stream)


@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("key_size", [16, 24, 32])
def test_a_sector_of_an_independent_cipher_is_read(size: int, key_size: int) -> None:
    data, additional = random.Random(1).randbytes(size), random.Random(2).randbytes(size - 24)
    key, nonce = KEY[:key_size], b"8 bytes!"
    image = by_the_book(data, key, nonce, additional) + nonce + additional
    assert len(image) == 2 * size
    assert ccm.read(image, key, size, 0) == (data, nonce, additional)


@pytest.mark.parametrize("size", [512, 4096])
def test_what_is_encoded_is_decoded(size: int) -> None:
    data = random.Random(3).randbytes(5 * size)
    image = ccm.encoded(data, KEY, size, counted())
    assert len(image) == 2 * len(data)
    assert ccm.decoded(image, KEY, size) == data


@pytest.mark.parametrize("size", [512, 4096])
def test_a_changed_bit_anywhere_is_noticed(size: int) -> None:
    image = bytearray(ccm.encoded(bytes(size), KEY, size, counted()))
    for at in (0, size - 1, size, size + 15, size + 16, size + 23, size + 24, 2 * size - 1):
        image[at] ^= 1
        with pytest.raises(ccm.Undecipherable):
            ccm.decoded(bytes(image), KEY, size)
        image[at] ^= 1
    assert ccm.decoded(bytes(image), KEY, size) == bytes(size)


def test_zeros_are_no_sector() -> None:
    with pytest.raises(ccm.Undecipherable):
        ccm.decoded(bytes(1024), KEY, 512)


def test_another_key_or_size_is_refused() -> None:
    image = ccm.encoded(bytes(4096), KEY, 512, counted())
    for key, size in ((bytes(32), 512), (KEY[:16], 512), (KEY, 4096), (KEY, 1024)):
        with pytest.raises(ccm.Undecipherable):
            ccm.decoded(image, key, size)


def test_a_nonce_that_repeats_is_noticed() -> None:
    image = ccm.encoded(bytes(1024), KEY, 512, iter([b"repeated"] * 2))
    with pytest.raises(AssertionError, match="a nonce repeats"):
        ccm.decoded(image, KEY, 512)


def test_half_a_sector_is_noticed() -> None:
    image = ccm.encoded(bytes(1024), KEY, 512, counted())
    with pytest.raises(AssertionError, match="not a whole number"):
        ccm.decoded(image[:-512], KEY, 512)
