"""A model of how MirageOS reads a tar image: `tar_kv_ro`, that is tar-mirage 3.3.

`MirageTar(image, sector_size)` does what `connect` does: it walks the headers, one sector a
read, and keeps a map of names. Wherever the unikernel would end, `Crash` is raised. What the
model keeps of the reader, because an image can stumble over it:

- The payload of an extended header (`x`, `g`, `L`, `K`) is asserted to be at most 512 bytes,
  and is copied out of a buffer of whole sectors that is empty for a payload of length 0.
- Numbers are octal digits and nothing else: base-256 is an error.
- What follows an `x` header is taken for its file, whatever its type is. Of two records with
  the same keyword in one header the first counts. A `g` header holds for all that follows.
- A name is a directory's if it ends in ``/``, whatever the type is; a directory that comes
  again, or after its children, is empty from there on; a file is no parent.
- Every file's data is read with the sector that its end lies in, though none of that may be
  needed: a file that ends on a sector boundary needs one more sector on the device.
- Two zero blocks in a row are the end, and without them the device's end is run into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .image import Source
from .mirage_kv import (
    BlockError,
    Crash,
    Device,
    DictionaryExpected,
    Kind,
    NotFound,
    ValueExpected,
    segments,
)

BLOCK = 512
LONG_LINK = b"././@LongLink"
_OCTAL = re.compile(rb"[0-7_]*")
_DECIMAL = re.compile(rb"[+-]?[0-9][0-9_]*")
_INTEGERS = (b"uid", b"gid", b"size")
_TIMES = (b"atime", b"mtime")


@dataclass(frozen=True, slots=True)
class Value:
    """A file: where its data begins, in bytes, and how many bytes they are."""

    offset: int
    size: int


@dataclass(slots=True)
class Dictionary:
    """A directory."""

    nodes: dict[bytes, Value | Dictionary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Header:
    """What counts of a header block."""

    name: bytes
    size: int
    typeflag: bytes

    @property
    def padding(self) -> int:
        """Bytes from the end of the data to the next block."""
        return -self.size % BLOCK


Records = Mapping[bytes, bytes]


class MirageTar:
    """The store of a tar image on a device of `sector_size` bytes a sector."""

    def __init__(self, source: Source, sector_size: int = 512) -> None:
        if sector_size < BLOCK or sector_size % BLOCK:
            raise Crash("the sector size is to be a multiple of 512")
        self._device = Device(source, sector_size)
        self._root = Dictionary()
        for name, value in self._files():
            self._insert(name, value)

    def exists(self, key: str | bytes) -> Kind | None:
        """What is under `key`, if anything is."""
        try:
            return _kind(self._node(key))
        except NotFound:
            return None

    def list(self, key: str | bytes = "") -> dict[bytes, Kind]:
        """The names in the dictionary `key`."""
        node = self._node(key)
        if isinstance(node, Value):
            raise DictionaryExpected(key)
        return {name: _kind(child) for name, child in sorted(node.nodes.items())}

    def walk(self) -> Iterator[tuple[bytes, Kind]]:
        """Every key of the store, parents first."""
        waiting = [(b"", self._root)]
        while waiting:
            parent, directory = waiting.pop()
            for name, node in sorted(directory.nodes.items()):
                path = parent + b"/" + name if parent else name
                yield path, _kind(node)
                if isinstance(node, Dictionary):
                    waiting.append((path, node))

    def get(self, key: str | bytes) -> bytes:
        """The whole value of `key`."""
        return self.get_partial(key, 0, (1 << 62) - 1)

    def get_partial(self, key: str | bytes, offset: int, length: int) -> bytes:
        """`length` bytes at `offset` of the value of `key`, or those up to its end.

        :raises BlockError: The sectors that the reader asks for are not all on the device.
        """
        node = self._node(key)
        if isinstance(node, Dictionary):
            raise ValueExpected(key)
        length = min(node.size - offset, length)
        if length < 0:
            return b""
        size = self._device.sector_size
        first, skipped = divmod(node.offset + offset, size)
        last = (node.offset + offset + length) // size
        data = self._device.read(first, (last + 1 - first) * size)
        return data[skipped : skipped + length]

    def _node(self, key: str | bytes) -> Value | Dictionary:
        node: Value | Dictionary = self._root
        for segment in segments(key):
            if isinstance(node, Value):
                raise DictionaryExpected(key)
            if segment not in node.nodes:
                raise NotFound(key)
            node = node.nodes[segment]
        return node

    def _insert(self, name: bytes, value: Value) -> None:
        """Add an entry as the reader does: the last one of a name wins, and wins all."""
        if name.startswith(b"./"):
            name = name[2:]
        elif name.startswith(b"/"):
            name = name[1:]
        if not name:
            return
        parts = segments(name)
        if not parts:
            raise Crash(f"assertion: the entry {name!r} has no segment")
        directory = self._root
        for part in parts[:-1]:
            child = directory.nodes.setdefault(part, Dictionary())
            if isinstance(child, Value):
                raise Crash(f"assertion: a parent of {name!r} is a file")
            directory = child
        directory.nodes[parts[-1]] = Dictionary() if name.endswith(b"/") else value

    def _files(self) -> Iterator[tuple[bytes, Value]]:
        """The entries of the archive in order, each with its name as the archive says it."""
        offset = 0
        shared: Records = {}
        long_name: bytes | None = None
        ending = False
        while True:
            block = self._read(offset, BLOCK)
            offset += BLOCK
            if not any(block):
                if ending:
                    return
                ending = True
                continue
            ending = False
            header = _decode_header(block, shared)
            long = header.typeflag in (b"L", b"K") and header.name == LONG_LINK
            if long or header.typeflag in (b"g", b"x"):
                payload = self._read(offset, header.size)
                offset += header.size + header.padding
                if long:
                    if not payload:
                        raise Crash("a long name of no bytes")
                    if header.typeflag == b"L":
                        long_name = payload[:-1]
                    continue
                records = {**shared, **_decode_records(payload)}
                if header.typeflag == b"g":
                    shared = records
                    continue
                block = self._read(offset, BLOCK)
                offset += BLOCK
                if not any(block):
                    raise Crash("corrupt PAX header: no header follows it")
                header = _decode_header(block, records)
            name = header.name if long_name is None else long_name
            long_name = None
            yield name, Value(offset, header.size)
            offset += header.size + header.padding

    def _read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, out of as many whole sectors as hold that many bytes."""
        if not 0 <= length <= BLOCK:
            raise Crash(f"assertion: {length} bytes of a header are read at once")
        size = self._device.sector_size
        sector, skipped = divmod(offset, size)
        try:
            data = self._device.read(sector, length + -length % size)
        except BlockError as error:
            raise Crash(f"error reading archive: {error}") from error
        if skipped + length > len(data):
            raise Crash(f"{length} bytes at {skipped} are outside a buffer of {len(data)}")
        return data[skipped : skipped + length]


def _kind(node: Value | Dictionary) -> Kind:
    return "value" if isinstance(node, Value) else "dictionary"


def _octal(raw: bytes) -> int:
    digits = raw.replace(b"\0", b" ").strip(b" \t\n\f\r")
    if not _OCTAL.fullmatch(digits):
        raise Crash(f"failed to parse integer {digits!r}")
    return int(b"0" + digits.replace(b"_", b""), 8)


def _decimal(raw: bytes) -> int:
    if not _DECIMAL.fullmatch(raw):
        raise Crash(f"failed to parse integer {raw!r}")
    number = int(raw.replace(b"_", b""))
    if not -(1 << 62) <= number < 1 << 62:
        raise Crash(f"integer {number} is out of range")
    return number


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _decode_header(block: bytes, records: Records) -> _Header:
    """A header block, with the records of extended headers taking precedence."""
    stored = _octal(block[148:156])
    if sum(block[:148]) + 8 * ord(" ") + sum(block[156:]) != stored:
        raise Crash("checksum mismatch")
    name = _text(block[:100])
    ustar = block[257:262] == b"ustar"
    if ustar:
        prefix = _text(block[345:500])
        if prefix:
            separator = b"" if prefix.endswith(b"/") or not name else b"/"
            name = prefix + separator + name
        # Only their form matters: a field that is not an octal number ends `connect`.
        _octal(block[329:337])
        _octal(block[337:345])
    _octal(block[100:108])
    if b"uid" not in records:
        _octal(block[108:116])
    if b"gid" not in records:
        _octal(block[116:124])
    if b"mtime" not in records:
        _octal(block[136:148])
    size = _decimal(records[b"size"]) if b"size" in records else _octal(block[124:136])
    return _Header(records.get(b"path", name), size, block[156:157])


def _decode_records(payload: bytes) -> dict[bytes, bytes]:
    """The records of an extended header; a malformed one ends `connect`."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(payload):
        space = payload.find(b" ", at)
        equals = payload.find(b"=", space)
        if space < 0 or equals < 0:
            raise Crash("failed to decode pax extended header record")
        length = _decimal(payload[at:space])
        value = slice(equals + 1, at + length - 1)
        if not value.start <= value.stop <= len(payload):
            raise Crash("a pax record is longer or shorter than it says")
        records.setdefault(payload[space + 1 : equals], payload[value])
        at += length
    decoded = {keyword: _text(value) for keyword, value in records.items()}
    for keyword in _INTEGERS:
        if keyword in records:
            _decimal(records[keyword])
            decoded[keyword] = records[keyword]
    for keyword in _TIMES:
        if keyword in records:
            seconds, *subseconds = records[keyword].split(b".")
            if len(subseconds) > 1:
                raise Crash(f"wrong pax time {records[keyword]!r}")
            _decimal(seconds)
    return decoded
