"""Encrypted sectors as MirageOS' mirage-block-ccm 2 reads them, apart from the code that writes.

It wraps a device with sectors of S bytes. What its users see as sector n lies in the device's
sectors 2n and 2n + 1: S bytes of AES-CCM ciphertext, a tag of 16 bytes, a nonce of 8, and S - 24
bytes that are authenticated and mean nothing else. The key has 16, 24 or 32 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM


class Undecipherable(Exception):
    """A sector that the reader refuses: it does not decrypt."""


class Sector(NamedTuple):
    """One sector, as it is read."""

    data: bytes
    nonce: bytes
    additional: bytes


def read(image: bytes, key: bytes, size: int, number: int) -> Sector:
    """Sector `number` of an image on a device with sectors of `size` bytes."""
    pair = image[2 * number * size : 2 * (number + 1) * size]
    assert len(pair) == 2 * size, "the device ends before that sector does"
    sealed, nonce, additional = pair[: size + 16], pair[size + 16 : size + 24], pair[size + 24 :]
    assert len(additional) == size - 24
    try:
        return Sector(
            AESCCM(key, tag_length=16).decrypt(nonce, sealed, additional), nonce, additional
        )
    except InvalidTag:
        raise Undecipherable(number) from None


def sectors(image: bytes, key: bytes, size: int) -> Iterator[Sector]:
    """All sectors of the image."""
    assert len(image) % (2 * size) == 0, "the image is not a whole number of pairs of sectors"
    for number in range(len(image) // (2 * size)):
        yield read(image, key, size, number)


def decoded(image: bytes, key: bytes, size: int) -> bytes:
    """What is in the image; no two of its sectors may have one nonce."""
    found = list(sectors(image, key, size))
    assert len({sector.nonce for sector in found}) == len(found), "a nonce repeats"
    return b"".join(sector.data for sector in found)


def encoded(data: bytes, key: bytes, size: int, nonces: Iterator[bytes]) -> bytes:
    """An image as the reader's own writer makes it, with those nonces, one a sector."""
    image = b""
    cipher = AESCCM(key, tag_length=16)
    for at in range(0, len(data), size):
        nonce = next(nonces)
        additional = bytes(at % 251 for at in range(size - 24))
        image += cipher.encrypt(nonce, data[at : at + size], additional) + nonce + additional
    return image
