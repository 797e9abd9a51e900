"""Decrypting an image as it is read, below any format's reader (docs/format/ccm.md).

A sector that does not decrypt is never shown: its tag tells what is damaged from what is not. Only
what was asked for counts; reading ahead into a damaged sector is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ..errors import ImageError, reading_errors
from ..model.limits import SECTOR_SIZES
from ..planning.layout import Fact
from ..reading.positional import PositionalReader, ReaderThrough
from ..workers.sharing import Advance, ignore
from .ccm import AT_ONCE, CIPHER, NONCE, TAG, aes_ccm, require_sector_size
from .damage import stretches, told


def opener(key: bytes, sector_size: int) -> Callable[[memoryview], bytes | None]:
    """What gives the logical sector in two physical ones; None if it does not decrypt."""
    decrypt = aes_ccm(key).decrypt
    from cryptography.exceptions import InvalidTag

    def opened(physical: memoryview) -> bytes | None:
        end = sector_size + TAG
        nonce, additional = physical[end : end + NONCE], physical[end + NONCE :]
        try:
            return decrypt(nonce, physical[:end], additional)
        except InvalidTag:
            return None

    return opened


def sector_size_of(
    key: bytes,
    read: Callable[[int, int], bytes],
    size: int,
    candidates: Iterable[int] = SECTOR_SIZES,
) -> int | None:
    """With which sector size an image decrypts: its first, middle or last sector; None for none."""
    for sector_size in candidates:
        opened = opener(key, sector_size)
        step = 2 * sector_size
        sectors = size // step
        for sector in sorted({0, sectors // 2, sectors - 1}) if sectors else ():
            if opened(memoryview(read(sector * step, step))) is not None:
                return sector_size
    return None


class DecryptedReader(ReaderThrough):
    """The image in an encrypted file. Reading raises `ImageError` where it does not decrypt."""

    def __init__(
        self, encrypted: PositionalReader, key: bytes, sector_size: int, *, device: bool
    ) -> None:
        self._sectors = encrypted.size // (2 * sector_size)
        super().__init__(encrypted, self._sectors * sector_size)
        self.read_ahead = 0  # each byte is decrypted
        self._sector_size = sector_size
        self._opened = opener(key, sector_size)
        self._device = device

    def info(self) -> Mapping[str, Fact]:
        """How the image is encrypted, as facts by name."""
        return {"cipher": CIPHER, "cipher_sector": self._sector_size}

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        size = self._sector_size
        first, skip = divmod(position, size)
        opened = self._open(first, -(-(skip + len(view)) // size))
        sound = []
        for sector in opened:
            if sector is None:
                break
            sound.append(sector)
        if not sound:
            raise self._damage(first, first)
        piece = b"".join(sound)[skip : skip + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    @property
    def checked_size(self) -> int:
        """Bytes that `damaged` reads: all sectors, as they are encrypted."""
        return self._sectors * 2 * self._sector_size

    def damaged(self, advance: Advance = ignore) -> Iterator[ImageError]:
        """What does not decrypt, one for each stretch; `advance` counts the bytes, all of them."""
        numbers = (number for number, data in self._everything(advance) if data is None)
        damaged = stretches(numbers)
        if self._device:  # which goes on behind what was written to it
            damaged = (each for each in damaged if each[1] != self._sectors - 1)
        return told(damaged, self._damage, "sectors that do not decrypt")

    def _everything(self, advance: Advance) -> Iterator[tuple[int, bytes | None]]:
        sector = 2 * self._sector_size
        step = AT_ONCE // sector
        for first in range(0, self._sectors, step):
            yield from enumerate(self._open(first, step), first)
            advance(min(step, self._sectors - first) * sector)

    def _open(self, first: int, count: int) -> Iterator[bytes | None]:
        """Sectors from number `first` on, as many as there are up to `count` and `AT_ONCE`."""
        step = 2 * self._sector_size
        length = min(count, self._sectors - first, AT_ONCE // step) * step
        with reading_errors("the encrypted image"):
            data = memoryview(self._whole.read_at(first * step, length))
        if len(data) != length:
            rule = f"the encrypted image ends early, at byte {first * step + len(data):,}"
            raise ImageError("", rule, "copy it again")
        return (self._opened(data[at : at + step]) for at in range(0, length, step))

    def _damage(self, first: int, last: int) -> ImageError:
        step = 2 * self._sector_size
        where = f"bytes {first * step:,} to {(last + 1) * step - 1:,} of the encrypted image"
        if first == last:
            return ImageError("", f"sector {first:,} does not decrypt ({where}): it is damaged")
        rule = f"sectors {first:,} to {last:,} do not decrypt ({where}): they are damaged"
        return ImageError("", rule)


def decrypted(
    encrypted: PositionalReader,
    name: str,
    key: bytes,
    sector_size: int | None = None,
    *,
    device: bool,
) -> DecryptedReader:
    """The image that is `encrypted`, with sectors of the given size, or of the one that is found.
    What is read of a `device` may go on behind the image. Raises `UsageError` for what is not a
    key, and `ImageError` if the key is not that of the image.
    """
    aes_ccm(key)  # fail now for a bad key or a missing library
    if sector_size is not None:
        require_sector_size(sector_size)
    size = encrypted.size
    with reading_errors(name):
        candidates = SECTOR_SIZES if sector_size is None else (sector_size,)
        found = sector_size_of(key, encrypted.read_at, size, candidates)
    if found is None:
        which = "" if sector_size is None else f" in sectors of {sector_size} bytes"
        rule = f"does not decrypt with this key{which}"
        rule += ": it has another key, is damaged, or is not encrypted"
        raise ImageError(name, rule, "give its own key, or none")
    if size % (2 * found) and not device:
        rule = f"has {size:,} bytes, and encrypted sectors take {2 * found:,} each"
        raise ImageError(name, f"{rule}: it is cut short or damaged", "copy it again")
    return DecryptedReader(encrypted, key, found, device=device)
