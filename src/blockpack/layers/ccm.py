"""Encrypted sectors, as MirageOS' `ccm_block` reads them (docs/format/ccm.md).

Rule 1: logical sector *n* of S bytes lies in the physical sectors 2n and 2n + 1: its AES-CCM
ciphertext, the tag, the nonce and the additional data. Every sector is written, for zeros do not
decrypt.
Rule 2: a nonce never repeats under a key. Sector *n* has the nonce b + n, where b is 64 random bits
of the layout's own: within an image none repeats, and of k images with N sectors together two
share one with a probability below k · N / 2⁶⁴.
Rule 3: a layout is the same bytes each time that it is read, anywhere, by any process. So the nonce
follows from the number, and the additional data from that and a random key of the layout's own.
Rule 4: what is encrypted twice under one nonce is the same bytes. Sources are checked after they
were read and before that is encrypted; what changed since it was planned goes nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..errors import EntryError, UsageError
from ..model.content import Opened
from ..model.extent import Extent, Stream
from ..model.limits import MOST, SECTOR_SIZES
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..planning.options import Size, parse_size
from ..planning.runs import Run
from ..reading.positional import PositionalFile, ReaderThrough

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

CIPHER = "aes-ccm"
"""The name of this kind of encryption."""

TITLE = "AES-CCM"

KEY_SIZES = (16, 24, 32)
"""How many bytes a key may have: AES-128, AES-192 and AES-256."""

TAG = 16
NONCE = 8

ITEM = 64 << 10
"""Physical bytes that are one item of the layout, and so one piece of work."""

AT_ONCE = 1 << 20
"""Physical bytes that are encrypted or decrypted at once, at most."""

_NONCES = 1 << 8 * NONCE
_BLOCK = 16  # bytes in a block of AES


def fields(sector_size: int) -> tuple[tuple[str, int], ...]:
    """The parts of two physical sectors, in order, with their sizes in bytes."""
    return (
        ("ciphertext", sector_size),
        ("tag", TAG),
        ("nonce", NONCE),
        ("additional data", sector_size - TAG - NONCE),
    )


def require_key_size(size: int) -> None:
    """Raise `UsageError` unless a key may have `size` bytes."""
    if size not in KEY_SIZES:
        known = " or ".join(map(str, KEY_SIZES))
        raise UsageError("", f"a key has {known} bytes, not {size}", option="size=32")


def aes_ccm(key: bytes) -> AESCCM:
    """The cipher under `key`. Raises `UsageError` for an invalid key, and without the library."""
    require_key_size(len(key))
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESCCM
    except ImportError as error:
        raise UsageError("", f"encryption needs blockpack[secrets] installed ({error})") from None
    try:
        return AESCCM(key, tag_length=TAG)
    except UnsupportedAlgorithm:
        rule = "the OpenSSL of the library cryptography has no AES-CCM"
        raise UsageError("", rule, "install cryptography from PyPI") from None


def require_sector_size(sector_size: int) -> None:
    """Raise `UsageError` unless a device may have sectors of `sector_size` bytes."""
    if sector_size not in SECTOR_SIZES:
        known = " or ".join(map(str, SECTOR_SIZES))
        rule = f"the sector size of encryption is {known}, not {sector_size}"
        raise UsageError("", rule, option="sector_size=512")


def encrypted_size(size: int) -> int:
    """Bytes of an image of `size` bytes, encrypted. Raises `EntryError` if that is too many."""
    if 2 * size > MOST:
        rule = f"encrypted, the image has {2 * size:,} bytes, more than any file can have"
        raise EntryError("", rule, "leave less room")
    return 2 * size


def encrypt(layout: Layout, key: bytes, *, sector_size: Size | None = None) -> Layout:
    """The layout of the image of `layout`, encrypted: twice as long, and different each time.

    `key` has 16, 24 or 32 bytes. `sector_size` is that of the device (bytes), by default the one
    that `layout` is planned for; what is encrypted for one cannot be read on another. Nothing
    about the contents is in the new layout: no placements, and no warnings.

    Raises `UsageError` for an invalid key or sector size, without the library
    `cryptography`, and for an image that nothing reads if it is encrypted; `EntryError` as
    `encrypted_size` does.
    """
    if layout.layer_refused is not None:
        raise layout.layer_refused
    size = layout.sector_size if sector_size is None else parse_size(sector_size)
    require_sector_size(size)
    if size > layout.sector_size:
        rule = f"the image is planned for sectors of {layout.sector_size} bytes, not of {size}"
        raise UsageError("", rule, option=f"sector_size={size}")
    if layout.size % size:
        rule = f"only whole sectors of {size} bytes are encrypted, and the image has"
        raise UsageError("", f"{rule} {layout.size:,} bytes", option=f"pad={size}")
    physical = encrypted_size(layout.size)
    chance = os.urandom(NONCE), os.urandom(32)

    def opening() -> PositionalFile:
        """All of it; any position can be read at once."""
        return PositionalFile(EncryptedReader(layout, key, size, *chance), owned=True)

    claims = iter([True])  # there is one

    def claim() -> None:
        if not next(claims, False):
            rule = "an encrypted layout is written once, for its nonces would repeat"
            raise UsageError("", rule, "encrypt the plain layout again")

    opening().close()  # fail now for a bad key or a missing library
    return Layout(
        format=CIPHER,
        title=TITLE,
        runs=_runs(physical, Opened(opening)),
        sector_size=size,
        geometry={
            "cipher": CIPHER,
            "sectors": layout.size // size,
            "first_nonce": chance[0].hex(),  # in the image for all to see; and two differ
        },
        forkable=layout.forkable,
        claim=claim,
    )


def _runs(size: int, image: Opened) -> tuple[Run, ...]:
    """The items of an encrypted image of `size` bytes: pieces of it as a stream."""

    def make(offsets: range) -> Callable[[int, int], Iterator[Extent]]:
        return lambda start, stop: (
            Stream(at, offsets.step, image, None, "the encrypted image", at, size)
            for at in offsets[start:stop]
        )

    if not size:
        return ()
    # The last item has what is left over besides: the writer opens small ones by themselves.
    end = max(size // ITEM - 1, 0) * ITEM
    runs = range(0, end + 1, ITEM), range(end, size + 1, size - end)
    return tuple(Run(offsets, make(offsets)) for offsets in runs)


class EncryptedReader(ReaderThrough):
    """The encrypted image of a layout, computed as it is read, which raises `SourceError`."""

    def __init__(
        self, layout: Layout, key: bytes, sector_size: int, first_nonce: bytes, additional: bytes
    ) -> None:
        super().__init__(LayoutReader(layout.runs), 2 * layout.size)
        self._sector_size = sector_size
        self._encrypt = aes_ccm(key).encrypt
        self._first_nonce = int.from_bytes(first_nonce)
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import CTR

        self._random = Cipher(AES(additional), CTR(bytes(_BLOCK))).encryptor()

    def seal(self, data: bytes, sector: int) -> bytes:
        """The physical sectors of `data`: logical ones, of which the first has that number."""
        size = self._sector_size
        encrypt = self._encrypt
        # Bytes that nobody can tell from random ones, as many as those of the sectors.
        self._random.reset_nonce((sector * size // _BLOCK).to_bytes(_BLOCK))
        additional_data = self._random.update(bytes(len(data)))
        parts: list[bytes] = []
        for at in range(0, len(data), size):
            nonce = ((self._first_nonce + sector) % _NONCES).to_bytes(NONCE)
            additional = additional_data[at : at + size - TAG - NONCE]
            parts += encrypt(nonce, data[at : at + size], additional), nonce, additional
            sector += 1
        return b"".join(parts)

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        size = self._sector_size
        sector, skip = divmod(position, 2 * size)
        count = -(-min(skip + len(view), AT_ONCE) // (2 * size))
        sealed = self.seal(self._whole.read_at(sector * size, count * size), sector)
        piece = sealed[skip : skip + len(view)]
        view[: len(piece)] = piece
        return len(piece)
