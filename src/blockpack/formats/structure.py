"""An on-disk structure of fixed fields: declared once, packed and unpacked by the same table."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any


class Structure:
    """Fields end to end, as (name, struct code); little-endian unless `order` says otherwise."""

    def __init__(self, fields: Iterable[tuple[str, str]], order: str = "<") -> None:
        self.names, codes = zip(*fields, strict=True)
        self._struct = struct.Struct(order + "".join(codes))
        self.size = self._struct.size
        """Bytes of it."""

    def pack(self, **values: Any) -> bytes:
        """Its bytes; short texts are filled up with zeros. Raises `struct.error`."""
        return self._struct.pack(*(values[name] for name in self.names))

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """The fields by name; there must be `size` bytes at `offset`."""
        return dict(zip(self.names, self._struct.unpack_from(data, offset), strict=True))

    def values(self, data: bytes | memoryview, offset: int = 0) -> tuple[Any, ...]:
        """The fields in their order, for what there are millions of."""
        return self._struct.unpack_from(data, offset)

    def all_of(self, data: bytes | memoryview) -> Iterator[tuple[Any, ...]]:
        """The fields of structures that lie end to end, from each whole one in `data`."""
        return self._struct.iter_unpack(data[: len(data) // self.size * self.size])
