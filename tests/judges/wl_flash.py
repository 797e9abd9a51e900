"""A model of ESP-IDF's wear levelling (WL_Flash.cpp, version 2): what a chip makes of a partition.

`WlFlash(partition)` does what `config` and `init` do with a partition that was flashed; a state
whose CRC is wrong would be made anew, and all that was flashed would lie elsewhere, so that fails
here. `read` reads as the file system does, and `step` is what happens every 16 erasures.
"""

from __future__ import annotations

import struct
from binascii import crc32
from pathlib import Path

SECTOR = 4096
HEADER = 64
RECORD = 16
ONES = 0xFFFFFFFF

_STATE = struct.Struct("<8I28sI")
_CONFIG = struct.Struct("<9I12s")


class WlFlash:
    """The partition as bytes, and where its sectors are."""

    def __init__(self, partition: bytes | Path) -> None:
        data = partition.read_bytes() if isinstance(partition, Path) else partition
        self.flash = bytearray(data)
        full = len(data)
        assert full % SECTOR == 0, "a partition is whole sectors"
        self._state_size = -(-(HEADER + full // SECTOR * RECORD) // SECTOR) * SECTOR
        self.size = full - 2 * self._state_size - 2 * SECTOR
        assert self.size > 0, "there is no room for a file system"
        self._states = [full - SECTOR - copy * self._state_size for copy in (2, 1)]
        self._check_states()
        self._check_config(full)
        records = range(self.max_pos)
        self.pos = next((n for n in records if not self._written(n)), self.max_pos - 1)

    def _check_states(self) -> None:
        first, second = (bytes(self.flash[at : at + HEADER]) for at in self._states)
        assert first == second, "the states differ"
        pos, max_pos, moves, count, most, block, version, _, reserved, crc = _STATE.unpack(first)
        assert crc == crc32(first[:60], ONES), "the state has another CRC"
        assert (pos, count, most, block, version) == (0, 0, 16, SECTOR, 2)
        assert max_pos == 1 + self.size // SECTOR
        assert not any(reserved)
        self.max_pos, self.moves = max_pos, moves

    def _check_config(self, full: int) -> None:
        data = bytes(self.flash[-SECTOR:][: _CONFIG.size])
        *fields, crc, padding = _CONFIG.unpack(data)
        assert fields == [0, full, SECTOR, SECTOR, 16, RECORD, 2, 32]
        assert crc == crc32(data[:32], ONES), "the configuration has another CRC"
        assert not any(padding) and set(self.flash[-SECTOR + 48 :]) == {0xFF}

    def _written(self, number: int) -> bool:
        at = self._states[0] + HEADER + number * RECORD
        return self.flash[at : at + RECORD] != b"\xff" * RECORD

    def address(self, logical: int) -> int:
        """Where the byte `logical` of the file system lies."""
        at: int = (self.size - self.moves * SECTOR + logical) % self.size
        return at if at < self.pos * SECTOR else at + SECTOR

    def read(self) -> bytes:
        """All of the file system."""
        starts = (self.address(at) for at in range(0, self.size, SECTOR))
        return b"".join(bytes(self.flash[at : at + SECTOR]) for at in starts)

    def step(self) -> None:
        """Move the dummy sector by one place."""
        source = (self.pos + 1) % self.max_pos * SECTOR
        self.flash[self.pos * SECTOR : (self.pos + 1) * SECTOR] = self.flash[
            source : source + SECTOR
        ]
        for at in self._states:
            record = at + HEADER + self.pos * RECORD
            self.flash[record : record + RECORD] = b"\x5a" * RECORD
        self.pos += 1
        if self.pos == self.max_pos:
            self.pos = 0
            self.moves = (self.moves + 1) % (self.max_pos - 1)
            for at in self._states:
                state = bytearray(self.flash[at : at + HEADER - 4])
                state[8:12] = self.moves.to_bytes(4, "little")
                state += crc32(state, ONES).to_bytes(4, "little")
                self.flash[at : at + self._state_size] = state.ljust(self._state_size, b"\xff")
