"""Tar archives that no writer would make, put together by hand."""

from __future__ import annotations

END = bytes(1024)


def header(
    name: bytes,
    typeflag: bytes = b"0",
    size: int | bytes = 0,
    *,
    linkname: bytes = b"",
    mtime: int | bytes = 0,
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    mode: int | bytes = 0o644,
    checksum: int | None = None,
) -> bytes:
    """A header block; fields given as bytes are taken as they are."""

    def octal(value: int | bytes, width: int) -> bytes:
        return value if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)

    def field(value: bytes, width: int) -> bytes:
        return value[:width].ljust(width, b"\0")

    block = bytearray(
        b"".join(
            [
                field(name, 100),
                field(octal(mode, 8), 8),
                b"0000000\0" * 2,
                field(octal(size, 12), 12),
                field(octal(mtime, 12), 12),
                b" " * 8,
                typeflag,
                field(linkname, 100),
                field(magic, 8),
                bytes(64),
                b"0000000\0" * 2,
                field(prefix, 155),
                bytes(12),
            ]
        )
    )
    block[148:156] = b"%06o\0 " % (sum(block) if checksum is None else checksum)
    return bytes(block)


def member(name: bytes, content: bytes = b"", typeflag: bytes = b"0", **fields: bytes) -> bytes:
    """A header with its content, padded to whole blocks."""
    head = header(name, typeflag, len(content), **fields)  # type: ignore[arg-type]
    return head + content + bytes(-len(content) % 512)


def symlink(name: bytes, target: bytes) -> bytes:
    """A symbolic link."""
    return header(name, b"2", linkname=target)


def hardlink(name: bytes, target: bytes) -> bytes:
    """A hard link."""
    return header(name, b"1", linkname=target)


def directory(name: bytes) -> bytes:
    """A directory."""
    return header(name, b"5", mode=0o755)


def record(keyword: bytes, value: bytes) -> bytes:
    """A pax record with its right length."""
    length = len(keyword) + len(value) + 3
    digits = len(str(length))
    if len(str(length + digits)) > digits:
        digits += 1
    return b"%d %b=%b\n" % (length + digits, keyword, value)


def pax(records: dict[bytes, bytes] | bytes, typeflag: bytes = b"x") -> bytes:
    """An extended header with `records`, or with these very bytes."""
    if isinstance(records, dict):
        records = b"".join(record(*pair) for pair in records.items())
    return member(b"pax", records, typeflag)


def base_256(number: int, width: int = 12) -> bytes:
    """A number in GNU's base 256."""
    raw = bytearray((number % (1 << 8 * width)).to_bytes(width, "big"))
    raw[0] |= 0x80
    return bytes(raw)


def archive(*members: bytes) -> bytes:
    """The members and the archive's end."""
    return b"".join(members) + END
