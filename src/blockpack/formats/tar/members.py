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

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import evolve, frozen

from ...errors import EntryError
from ...model.entry import Directory, Entry, File, Symlink, encode
from ...planning.profile import TarLimits
from . import header, pax

Dialect = Literal["pax", "ustar", "gnu"]
"""How what does not fit a ustar header is written."""


@frozen
class Member:
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
            and self.size <= header.MAX_SIZE
            and 0 <= self.mtime <= header.MAX_SIZE
            and 0 <= self.uid <= header.MAX_ID
            and 0 <= self.gid <= header.MAX_ID
        )


def blocks(member: Member, dialect: Dialect) -> bytes:
    """The header of `member`, with the extended headers that it needs before it.

    It must be one that `refusals` has nothing against.
    """
    if dialect == "gnu":
        return _gnu_blocks(member)
    if member.plain:
        return _ustar_block(member)
    records = list(_records(member))
    extended = pax.extended_header(records) if records else b""
    return _gnu_long_names(_long_bytes(member)) + extended + _cut_block(member)


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
        yield EntryError(entry.path, rule, "make it shorter", "dialect=pax")
    elif dialect == "pax":
        payload = sum(len(pax.record(*pair)) for pair in _records(member))
        payload = max([payload, *(len(text) + 1 for _, text in _long_bytes(member))])
        if limits.extended_header is not None and payload > limits.extended_header:
            rule = (
                f"needs an extended header of {payload} bytes, and the profile's reader takes "
                f"{limits.extended_header}"
            )
            yield EntryError(entry.path, rule, "shorten its path", _with_room(member, limits))
    else:
        longest = max(len(member.name), len(member.linkname)) + 1
        if limits.extended_header is not None and longest > limits.extended_header:
            rule = (
                f"needs an extended header of {longest} bytes, and the profile's reader takes "
                f"{limits.extended_header}"
            )
            yield EntryError(entry.path, rule, "shorten its path", "profile=any")
        if not limits.base_256 and _needs_base_256(member):
            rule = "needs a base-256 number, on which the profile's reader fails"
            yield EntryError(entry.path, rule, option="dialect=pax")


def _with_room(member: Member, limits: TarLimits) -> str:
    """The option by which a member fits whose pax records are too long for the profile's reader."""
    longest = max(len(member.name), len(member.linkname)) + 1
    fits = limits.extended_header is not None and longest <= limits.extended_header
    return "dialect=gnu" if fits and not _needs_base_256(member) else "profile=any"


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


def _needs_base_256(member: Member) -> bool:
    numbers = ((member.size, header.MAX_SIZE), (member.mtime, header.MAX_SIZE))
    ids = ((member.uid, header.MAX_ID), (member.gid, header.MAX_ID))
    return any(not 0 <= number <= most for number, most in numbers + ids)


def _records(member: Member) -> Iterator[tuple[bytes, bytes]]:
    """The pax records for all of `member` that its header cannot hold (Rule 2)."""
    if header.split_name(member.name) is None and member.name.isascii():
        yield b"path", member.name
    if len(member.linkname) > header.NAME_SIZE and member.linkname.isascii():
        yield b"linkpath", member.linkname
    if member.size > header.MAX_SIZE:
        yield b"size", b"%d" % member.size
    if not 0 <= member.mtime <= header.MAX_SIZE:
        yield b"mtime", b"%d" % member.mtime
    if not 0 <= member.uid <= header.MAX_ID:
        yield b"uid", b"%d" % member.uid
    if not 0 <= member.gid <= header.MAX_ID:
        yield b"gid", b"%d" % member.gid


def _long_bytes(member: Member) -> Iterator[tuple[bytes, bytes]]:
    """The type and text of GNU headers for what is too long and not ASCII (Rule 4)."""
    if len(member.linkname) > header.NAME_SIZE and not member.linkname.isascii():
        yield header.GNU_LONG_LINK, member.linkname
    if header.split_name(member.name) is None and not member.name.isascii():
        yield header.GNU_LONG_NAME, member.name


def _ustar_block(member: Member) -> bytes:
    prefix, name = header.split_name(member.name) or (b"", b"")
    return header.pack(
        name,
        prefix=prefix,
        typeflag=member.typeflag,
        size=member.size,
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        linkname=member.linkname,
    )


def _cut_block(member: Member) -> bytes:
    """The header behind an extended one: what that overrides is cut, or zero.

    Numbers are zero rather than base 256, on which some readers fail before they apply the
    records.
    """
    fits = header.split_name(member.name) is not None
    cut = evolve(
        member,
        name=member.name if fits else member.name[: header.NAME_SIZE],
        size=_or_zero(member.size, header.MAX_SIZE),
        uid=_or_zero(member.uid, header.MAX_ID),
        gid=_or_zero(member.gid, header.MAX_ID),
        mtime=_or_zero(member.mtime, header.MAX_SIZE),
        linkname=member.linkname[: header.NAME_SIZE],
    )
    return _ustar_block(cut)


def _or_zero(number: int, most: int) -> int:
    return number if 0 <= number <= most else 0


def _gnu_blocks(member: Member) -> bytes:
    long: list[tuple[bytes, bytes]] = []
    if len(member.linkname) > header.NAME_SIZE:
        long.append((header.GNU_LONG_LINK, member.linkname))
    if len(member.name) > header.NAME_SIZE:
        long.append((header.GNU_LONG_NAME, member.name))
    return _gnu_long_names(long) + header.pack(
        member.name[: header.NAME_SIZE],
        typeflag=member.typeflag,
        size=member.size,
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        linkname=member.linkname[: header.NAME_SIZE],
        magic=header.GNU,
    )


def _gnu_long_names(texts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """GNU headers of these types, whose contents are names, each ended by a NUL."""
    packed = b""
    for typeflag, text in texts:
        size = len(text) + 1
        packed += header.pack(b"././@LongLink", typeflag=typeflag, size=size, magic=header.GNU)
        packed += text.ljust(header.padded(size), b"\0")
    return packed
