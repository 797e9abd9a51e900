"""An on-disk structure of fixed fields: declared once, packed and unpacked by the same table."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any


class Structure:
    """Fields end to end, as (name, struct code); little-endian unless `order` says otherwise."""

    def __init__(self, *fields: tuple[str, str], order: str = "<") -> None:
        self.fields = fields
        names, codes = zip(*fields, strict=True)
        self._struct = struct.Struct(order + "".join(codes))
        self.size = self._struct.size
        """Bytes of it."""
        self.pack_all = self._struct.pack
        """Packs the values of all fields, in their order: faster than `pack`."""
        self.values = self._struct.unpack_from
        """The values of all fields, in their order: faster than `unpack`."""
        self._zeros = dict(zip(names, self.values(bytes(self.size)), strict=True))

    def pack(self, **values: Any) -> bytes:
        """Its bytes: zeros in fields that are not given, and behind short texts.

        Raises `struct.error`.
        """
        return self.pack_all(*(values.get(name, zero) for name, zero in self._zeros.items()))

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """The fields by name; there must be `size` bytes at `offset`."""
        return dict(zip(self._zeros, self.values(data, offset), strict=True))

    def all_of(self, data: bytes | memoryview) -> Iterator[tuple[Any, ...]]:
        """The values of structures that lie end to end, from each whole one in `data`."""
        return self._struct.iter_unpack(data[: len(data) // self.size * self.size])
