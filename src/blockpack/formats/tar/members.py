"""Members: a tree's entries as tar headers.

Rule 1: what fits a plain ustar header is one, so that the oldest reader can read it.
Rule 2: what does not fit goes where the dialect has a place for it: pax records, GNU's long
names and base-256 numbers, or nowhere (ustar).
Rule 3: what the profile's reader does not understand is refused, never written.
Rule 4: pax records are UTF-8: other bytes make bsdtar complain, and of pax's own way to hold them
(`hdrcharset=BINARY`) GNU tar does; what is UTF-8, bsdtar composes (NFC). So a long name that is
not ASCII goes into GNU's header for long names, which is bytes, and which every reader takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from ...errors import EntryError
from ...model.entry import Directory, Entry, File, Symlink, encode
from ...planning.profile import TarLimits
from . import header
from .extended import extended_header, record

Dialect = Literal["pax", "ustar", "gnu"]
"""How what does not fit a ustar header is written."""


class Member(NamedTuple):
    """One entry as the archive shows it; sizes in bytes, `mtime` in seconds since 1970."""

    name: bytes
    typeflag: bytes
    mode: int
    mtime: int
    size: int = 0
    uid: int = 0
    gid: int = 0
    linkname: bytes = b""

    @classmethod
    def of(
        cls, entry: Entry, mode: int, mtime: int, owner: tuple[int, int], linked: str | None
    ) -> Member:
        """The member for `entry`; `linked` is the path that it is a hard link to, if any."""
        name = encode(entry.path)
        if linked is not None:
            return cls(name, header.HARDLINK, mode, mtime, 0, *owner, encode(linked))
        if isinstance(entry, File):
            return cls(name, header.FILE, mode, mtime, entry.size, *owner)
        if isinstance(entry, Directory):
            return cls(name + b"/", header.DIRECTORY, mode, mtime, 0, *owner)
        return cls(name, header.SYMLINK, mode, mtime, 0, *owner, encode(entry.target))

    @property
    def plain(self) -> bool:
        """Whether a ustar header holds it (Rule 1)."""
        return (
            header.split_name(self.name) is not None
            and len(self.linkname) <= header.NAME_SIZE
            and not self.beyond
        )

    @property
    def beyond(self) -> dict[str, int]:
        """The numbers that octal fields cannot hold, by their names."""
        numbers = (
            ("size", self.size, header.MAX_SIZE),
            ("mtime", self.mtime, header.MAX_SIZE),
            ("uid", self.uid, header.MAX_ID),
            ("gid", self.gid, header.MAX_ID),
        )
        return {name: number for name, number, most in numbers if not 0 <= number <= most}


def blocks(member: Member, dialect: Dialect) -> bytes:
    """The header of `member`, with the extended headers that it needs before it.

    It must be one that `refusals` has nothing against.
    """
    if dialect == "gnu":
        name = member.name[: header.NAME_SIZE]
        return _long_names(member, dialect) + _block(member, name, magic=header.GNU)
    prefix, name = header.split_name(member.name) or (b"", member.name[: header.NAME_SIZE])
    if member.plain:
        return _block(member, name, prefix)
    # What a record overrides is zero rather than base 256, on which some readers fail before they
    # apply the records.
    zeros: dict[str, Any] = dict.fromkeys(member.beyond, 0)
    cut = member._replace(**zeros)
    records = list(_records(member))
    extended = extended_header(records) if records else b""
    return _long_names(member, dialect) + extended + _block(cut, name, prefix)


def _block(member: Member, name: bytes, prefix: bytes = b"", magic: bytes = header.USTAR) -> bytes:
    """The header alone, with as much as it holds of what is long."""
    return header.pack(
        name,
        prefix=prefix,
        typeflag=member.typeflag,
        size=member.size,
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        linkname=member.linkname[: header.NAME_SIZE],
        magic=magic,
    )


def refusals(
    member: Member, entry: Entry, dialect: Dialect, limits: TarLimits
) -> Iterator[EntryError]:
    """What keeps `member` out of an archive of this dialect for this reader."""
    if isinstance(entry, Symlink) and not limits.links:
        rule = "is a symbolic link, which the profile's reader shows as an empty file"
        yield EntryError(entry.path, rule, "follow or skip links: {option}", "symlinks=follow")
    if member.plain and (dialect != "gnu" or len(member.name) <= header.NAME_SIZE):
        return
    if dialect == "ustar":
        rule = f"does not fit a ustar header: {_too_large(member)}"
        is_name = header.split_name(member.name) is None or len(member.linkname) > header.NAME_SIZE
        yield EntryError(entry.path, rule, "make it shorter" if is_name else "", "dialect=pax")
        return
    most = limits.extended_header
    if most is not None and (payload := _payload(member, dialect)) > most:
        rule = f"needs an extended header of {payload} bytes, and the profile's reader takes {most}"
        by_gnu = dialect == "pax" and not member.beyond and _payload(member, "gnu") <= most
        option = "dialect=gnu" if by_gnu else "profile=any"
        yield EntryError(entry.path, rule, "shorten its path", option)
    if dialect == "gnu" and not limits.base_256 and member.beyond:
        rule = "needs a base-256 number, on which the profile's reader fails"
        yield EntryError(entry.path, rule, option="dialect=pax")


def _payload(member: Member, dialect: Dialect) -> int:
    """The bytes of the longest extended header that `member` needs."""
    records = _records(member) if dialect == "pax" else ()
    names = _too_long(member, dialect)
    return max(
        sum(len(record(*each)) for each in records), 0, *(len(text) + 1 for _, text in names)
    )


def _too_large(member: Member) -> str:
    """Which field it is that a ustar header is too small for."""
    if header.split_name(member.name) is None:
        return f"its name of {len(member.name)} bytes does not split into 155 and 100"
    if len(member.linkname) > header.NAME_SIZE:
        return f"its link's target has {len(member.linkname)} bytes, more than 100"
    if member.size > header.MAX_SIZE:
        return f"its size of {member.size:,} bytes is 8 GiB or more"
    if member.mtime < 0:
        return "its time is before 1970"
    return "its owner or its time is too large"


def _records(member: Member) -> Iterator[tuple[bytes, bytes]]:
    """The pax records for all of `member` that its header cannot hold (Rule 2)."""
    if header.split_name(member.name) is None and member.name.isascii():
        yield b"path", member.name
    if len(member.linkname) > header.NAME_SIZE and member.linkname.isascii():
        yield b"linkpath", member.linkname
    for name, number in member.beyond.items():
        yield name.encode("ascii"), b"%d" % number


def _too_long(member: Member, dialect: Dialect) -> Iterator[tuple[bytes, bytes]]:
    """The type and text of GNU headers for what is too long, and in pax not ASCII (Rule 4)."""
    gnu = dialect == "gnu"
    if len(member.linkname) > header.NAME_SIZE and (gnu or not member.linkname.isascii()):
        yield header.GNU_LONG_LINK, member.linkname
    holds = len(member.name) <= header.NAME_SIZE if gnu else header.split_name(member.name)
    if not holds and (gnu or not member.name.isascii()):
        yield header.GNU_LONG_NAME, member.name


def _long_names(member: Member, dialect: Dialect) -> bytes:
    """GNU headers whose contents are names, each ended by a NUL."""
    packed = b""
    for typeflag, text in _too_long(member, dialect):
        size = len(text) + 1
        packed += header.pack(b"././@LongLink", typeflag=typeflag, size=size, magic=header.GNU)
        packed += text.ljust(header.padded(size), b"\0")
    return packed
