"""The frame of ESP-IDF's wear levelling around a file system in flash (its version 2).

    dummy sector | sectors of the file system | state | the state again | configuration

The dummy sector wanders through the others as they are written, one place every `UPDATE_RATE`
erasures, and notes each step in a record behind the state. When it has been everywhere, all
sectors lie one place further on, and the state counts a move. In a new image it is the first.

`STATE` and `CONFIGURATION` are the structures, once; each is followed by its CRC-32, which is
begun with all ones (WL_Flash.cpp, wl_fatfsgen.py of ESP-IDF 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from zlib import crc32

from attrs import evolve

from ...errors import EntryError, UsageError
from ...planning.layout import Layout, round_up
from ...planning.runs import literal, zeros
from ...reading.positional import PositionalReader, ReaderThrough
from ..structure import Structure

SECTOR = 4096
"""Bytes in a sector of flash, that is erased at once."""

STATE = Structure(
    ("pos", "I"),
    ("max_pos", "I"),
    ("move_count", "I"),
    ("access_count", "I"),
    ("max_count", "I"),
    ("block_size", "I"),
    ("version", "I"),
    ("device_id", "I"),
    ("reserved", "28s"),
)
"""The state: where the dummy sector is, and how often all were moved."""

CONFIGURATION = Structure(
    ("start_addr", "I"),
    ("full_mem_size", "I"),
    ("page_size", "I"),
    ("sector_size", "I"),
    ("updaterate", "I"),
    ("wr_size", "I"),
    ("version", "I"),
    ("temp_buff_size", "I"),
)
"""The configuration: what the file system was framed with."""

UPDATE_RATE, RECORD, VERSION, BUFFER = 16, 16, 2, 32
"""Erasures between two steps; bytes of a record; the version; bytes that are copied at once."""

_HEADER = STATE.size + 4  # with its CRC
_UNWRITTEN = b"\xff"
_LARGEST = 1 << 32  # bytes of flash that the configuration can tell


def state_size(size: int) -> int:
    """Bytes of one state in a partition of `size` bytes: there is a record for each sector."""
    return round_up(_HEADER + size // SECTOR * RECORD, SECTOR)


def room(size: int) -> int:
    """Bytes for a file system in a partition of `size` bytes; less than 1 if there are none."""
    return size - 2 * SECTOR - 2 * state_size(size)


def refusals(size: int) -> Iterator[UsageError]:
    """Why no partition with a frame has `size` bytes."""
    if size % SECTOR or room(size) < SECTOR:
        least = partition_size(SECTOR, SECTOR)
        rule = f"with wear levelling the size is a multiple of {SECTOR} from {least} on, not {size}"
        yield UsageError("", rule, option=f"size={max(least, round_up(size, SECTOR))}")


def partition_size(content: int, unit: int) -> int:
    """The least size of a partition, a multiple of `unit` bytes, with room for `content` bytes."""
    unit = round_up(unit, SECTOR)
    size = round_up(content + 4 * SECTOR, unit)
    while (missing := content - room(size)) > 0:
        size += round_up(missing, unit)
    return size


def framed(layout: Layout, size: int, device_id: int) -> Layout:
    """The layout of a partition of `size` bytes that has `layout` in it; `device_id` has 32 bits.
    Raises `EntryError` if that is more than the configuration can tell.
    """
    if size >= _LARGEST:
        rule = f"flash of {size:,} bytes is more than wear levelling counts to"
        raise EntryError("", rule, "pack less, or leave less room")
    at = SECTOR + layout.size
    end = SECTOR + room(size)
    state = _with_crc(
        STATE.pack(
            max_pos=1 + room(size) // SECTOR,
            max_count=UPDATE_RATE,
            block_size=SECTOR,
            version=VERSION,
            device_id=device_id,
        )
    )
    configuration = _with_crc(
        CONFIGURATION.pack(
            full_mem_size=size,
            page_size=SECTOR,
            sector_size=SECTOR,
            updaterate=UPDATE_RATE,
            wr_size=RECORD,
            version=VERSION,
            temp_buff_size=BUFFER,
        )
    )
    # Aligned to 16 bytes, for flash that is encrypted; what was never written is all ones.
    last = configuration.ljust(round_up(len(configuration), 16), b"\0").ljust(SECTOR, _UNWRITTEN)
    states = 2 * state.ljust(state_size(size), _UNWRITTEN)
    return evolve(
        layout,
        runs=(
            literal(0, _UNWRITTEN * SECTOR),
            *(run.moved(SECTOR) for run in layout.runs),
            zeros(at, end, free=True),
            literal(end, states + last),
        ),
        title=f"{layout.title} with wear levelling",
        placements=lambda: (each.moved(SECTOR) for each in layout.placements()),
    )


def _with_crc(data: bytes) -> bytes:
    return data + crc32(data, 0xFFFFFFFF).to_bytes(4, "little")


class UnframedReader(ReaderThrough):
    """What is in the frame; `place` is the dummy sector's, which was everywhere `moves` times."""

    def __init__(self, data: PositionalReader, place: int, moves: int) -> None:
        super().__init__(data, room(data.size))
        self._place = place
        self._moves = moves

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        number, skip = divmod(position, SECTOR)
        at = (number - self._moves) % (self.size // SECTOR)
        at += at >= self._place  # behind the dummy sector
        return self._whole.pread(view[: SECTOR - skip], at * SECTOR + skip)


def unframed(data: PositionalReader) -> UnframedReader | None:
    """What is in the frame; None if `data` has none. Most is told by one read near the end."""
    size = data.size
    if size % SECTOR or not SECTOR <= size < _LARGEST or room(size) < SECTOR:
        return None
    configuration = data.read_at(size - SECTOR, CONFIGURATION.size + 4)
    if configuration != _with_crc(configuration[:-4]):
        return None
    if CONFIGURATION.unpack(configuration)["full_mem_size"] != size:
        return None
    first, each = SECTOR + room(size), state_size(size)
    for at in (first, first + each):
        header = data.read_at(at, _HEADER)
        if header != _with_crc(header[:-4]):
            continue
        state = STATE.unpack(header)
        if state["max_pos"] * SECTOR != first or state["block_size"] != SECTOR:
            continue
        records = data.read_at(at + _HEADER, each - _HEADER)
        steps = (records[start : start + RECORD] for start in range(0, len(records), RECORD))
        place = sum(1 for _ in takewhile(lambda record: record.strip(_UNWRITTEN), steps))
        return UnframedReader(data, min(place, state["max_pos"] - 1), state["move_count"])
    return None
