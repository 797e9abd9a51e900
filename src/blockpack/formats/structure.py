"""An on-disk structure of fixed fields: declared once, packed and unpacked by the same table."""

from __future__ import annotations

import struct
from collections.abc import Iterable
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
