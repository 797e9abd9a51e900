"""Damage as hypothesis strategies: changes to a sound image, each a function of its bytes.

Blind flips seldom get far: a tar header's checksum or a boot sector stops them. So most changes
know the structures, and put what is interesting where it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from hypothesis import strategies as st

from disks.hand_made import mend, with_content
from hostile import erofs_images, git_images
from hostile.fat_images import Fat, sound
from hostile.tar_images import archive, directory, hardlink, member, pax, symlink

Change = Callable[[bytearray], bytearray]

TAR = archive(
    directory(b"dir/"),
    member(b"dir/file", b"content" * 100),
    pax({b"path": b"dir/" + b"long" * 40, b"mtime": b"1234567890.5", b"size": b"9"}),
    member(b"short", b"long name"),
    pax({b"comment": b"nothing"}, b"g"),
    member(b"L", b"gnu/" * 30 + b"name\0", b"L"),
    member(b"gnu", b"x", magic=b"ustar  \0"),
    symlink(b"link", b"dir/file"),
    hardlink(b"same", b"dir/file"),
)
"""A sound archive with all that the reader knows."""

GIT = {name: wrap(*git_images.sound()) for name, wrap in git_images.CONTAINERS.items()}
"""Sound git images by their containers."""

NUMBERS = st.one_of(
    st.sampled_from((0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)),
    st.sampled_from((0xFF7, 0xFF8, 0xFFF, 0xFFF7, 0xFFF8, 0x0FFFFFF7, 0x0FFFFFF8, 0x0FFFFFFF)),
    st.integers(0, 60),
    st.integers(0, 0xFFFFFFFF),
)


def _flip(at: int, bit: int) -> Change:
    def change(data: bytearray) -> bytearray:
        if data:
            data[at % len(data)] ^= 1 << bit
        return data

    return change


def _put(at: int, content: bytes) -> Change:
    def change(data: bytearray) -> bytearray:
        end = min(at + len(content), len(data))
        data[at:end] = content[: max(0, end - at)]
        return data

    return change


def _cut(at: int) -> Change:
    return lambda data: data[: at % (len(data) + 1)]


def _splice(source: int, target: int, length: int) -> Change:
    def change(data: bytearray) -> bytearray:
        piece = data[source : source + length]
        data[target : target + len(piece)] = piece
        return data

    return change


def _blind(size: int) -> st.SearchStrategy[Change]:
    """Changes that know nothing, in the first `size` bytes."""
    offsets = st.integers(0, size - 1)
    blocks = st.integers(0, size // 32 - 1).map(lambda number: number * 32)
    return st.one_of(
        st.builds(_flip, offsets, st.integers(0, 7)),
        st.builds(_put, offsets, st.binary(min_size=1, max_size=16)),
        st.builds(_splice, blocks, blocks, st.sampled_from((32, 64, 512, 1024))),
        st.builds(_cut, offsets),
    )


_FIELDS = (
    # offset, size
    *((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8)),
    (345, 155),
)
_TEXTS = (
    b"",
    b"..",
    b"../x",
    b"/etc/x",
    b"a//b",
    b".",
    b"./",
    b"/",
    b"dir",
    b"dir/file",
    b"link/x",
)
_DIGITS = (b"-1", b" 7 ", b"7x", b"00000001000\0", b"77777777777\0", b"99999999999\0")
_BINARY = (b"\x80" + bytes(11), b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\xc0" + bytes(11))
_TYPES = tuple(bytes([code]) for code in b"01234567xgLKSV\0")
_RECORDS = (
    *(b"11 size=-1\n", b"14 size=99999\n", b"8 path=\n", b"0 a=b\n", b"999 a=b\n", b"6 a=b\n6"),
    *(b"13 path=../x\n", b"14 linkpath=/\n", b"16 mtime=-1.5e3\n", b"11 path=\0\n", b"6  a=b"),
)


def _field(number: int, field: tuple[int, int], content: bytes) -> Change:
    """Put `content` into a field of a header, and mend its checksum."""

    def change(data: bytearray) -> bytearray:
        at = number * 512
        offset, size = field
        if at + 512 <= len(data):
            data[at + offset : at + offset + size] = content[:size].ljust(size, b"\0")
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
        return data

    return change


_tar_blocks = st.integers(0, len(TAR) // 512 - 1)

tar_changes = st.one_of(
    st.builds(
        _field,
        _tar_blocks,
        st.sampled_from(_FIELDS),
        st.sampled_from(_TEXTS + _DIGITS + _BINARY + _TYPES) | st.binary(max_size=12),
    ),
    st.builds(_field, _tar_blocks, st.just((156, 1)), st.sampled_from(_TYPES)),
    st.builds(_field, _tar_blocks, st.just((124, 12)), st.sampled_from(_DIGITS + _BINARY)),
    st.builds(_put, _tar_blocks.map(lambda number: number * 512), st.sampled_from(_RECORDS)),
    _blind(len(TAR)),
)
"""Changes to `TAR`."""

_ENTRY_FIELDS = ((0, 1), (0, 4), (8, 3), (11, 1), (13, 1), (20, 2), (22, 4), (26, 2), (28, 4))
_BOOT_FIELDS = (
    *((11, 2), (13, 1), (14, 2), (16, 1), (17, 2), (19, 2), (21, 1), (22, 2), (32, 4), (36, 4)),
    *((44, 4), (48, 2), (50, 2), (510, 2)),
)


def _number(at: int, field: tuple[int, int], value: int) -> Change:
    offset, size = field
    return _put(at + offset, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


def _cell(bits: int, number: int, value: int) -> Change:
    """Put a value into the table of a FAT, in every copy."""

    def change(data: bytearray) -> bytearray:
        fat = Fat(data, bits)
        end = fat.fat_offset + fat.number(16, 1) * fat.fat_size
        if len(data) > 512 and end <= len(data) and fat.number(16, 1) <= 2:
            fat.set_cell(number, value & (1 << bits) - 1)
        return data

    return change


def fat_changes(bits: int) -> st.SearchStrategy[Change]:
    """Changes to the sound image of FAT`bits`."""
    fat = Fat.of(bits)
    used = next(number for number in range(2, fat.clusters) if fat.cell(number) == 0)
    start = min(fat.root_offset, fat.data_offset)
    directories = {start, fat.root_offset}
    directories |= {fat.cluster(fat.first(name)) for name in (b"DIR        ", b"SUB        ")}
    slots = st.sampled_from([at + 32 * slot for at in sorted(directories) for slot in range(16)])
    names = st.sampled_from(
        (b"..", b".          ", b"A/B", b"\0", b"\xe5", b"\x05", b"A", b" " * 11)
    )
    return st.one_of(
        st.builds(_number, slots, st.sampled_from(_ENTRY_FIELDS), NUMBERS),
        st.builds(_put, slots, names | st.binary(min_size=32, max_size=32)),
        st.builds(_splice, slots, slots, st.sampled_from((32, 64, 128))),
        st.builds(_cell, st.just(bits), st.integers(0, used + 2), NUMBERS),
        st.builds(_cell, st.just(bits), st.integers(0, used + 2), st.integers(0, used + 2)),
        st.builds(_number, st.just(0), st.sampled_from(_BOOT_FIELDS), NUMBERS),
        _blind(fat.cluster(used)),
    )


_STREAMS = (
    git_images.packed(git_images.BLOB, b"other"),
    git_images.packed(git_images.TREE, b"100644 ..\0" + bytes(20)),
    git_images.packed(git_images.TREE, b""),
    git_images.packed(git_images.BLOB, b"x", size=1 << 40),
    git_images.packed(git_images.OFS_DELTA, b"\x04\x80\x80\x04\x80", base=b"\x10"),
    git_images.packed(git_images.OFS_DELTA, b"\x05\x01\x01x", base=b"\x00"),
    git_images.packed(git_images.REF_DELTA, b"\x05\x01\x01x", base=bytes(20)),
)
_GIT_NUMBERS = st.sampled_from((0, 1, 11, 12, 28, 29, 4095, 4096, 8192, 1 << 31, (1 << 64) - 1))


def git_changes(container: str) -> st.SearchStrategy[Change]:
    """Changes to the sound image of that container; checksums are mended by some of them."""
    pack, commit = git_images.sound()
    image = GIT[container]
    start = image.index(b"PACK")
    objects = st.sampled_from([start + offset for offset, _ in pack.places.values()])
    near = st.builds(int.__add__, objects, st.integers(0, 12))
    index = image.index(b"\xfftOc") if container == "docteur" else 0
    ids = st.sampled_from(sorted(pack.places))
    changes = [
        st.builds(_put, objects, st.sampled_from(_STREAMS)),
        st.builds(_put, near, st.binary(min_size=1, max_size=4)),
        st.builds(_put, objects, st.integers(0, 255).map(lambda byte: bytes([byte]))),
        st.builds(_splice, objects, objects, st.sampled_from((20, 40, 80, 200))),
        st.builds(_put, st.just(start + 8), NUMBERS.map(lambda n: n.to_bytes(4))),
        _blind(len(image.rstrip(b"\0"))),
    ]
    if index:
        words = st.integers(0, (1032 + 28 * pack.count) // 4).map(lambda n: index + 4 * n)
        last = st.integers(0, 9 * pack.count).map(lambda n: index + 1032 + 4 * n)
        places = st.integers(0, pack.count - 1).map(lambda n: index + 1032 + 20 * n)
        changes += [
            st.builds(_put, words | last, NUMBERS.map(lambda n: n.to_bytes(4))),
            st.builds(_put, places, ids),
            st.builds(_put, st.just(20), _GIT_NUMBERS.map(lambda n: n.to_bytes(8, "little"))),
            st.builds(_put, st.just(0), ids),
        ]
    assert commit in pack.places
    return st.one_of(changes)


EROFS = {bits: erofs_images.sound(bits) for bits in (9, 12)}
"""Sound EROFS images by the bits of their block size."""

_SUPER_FIELDS = (
    *((0, 4), (8, 4), (12, 1), (13, 1), (14, 2), (16, 8), (24, 8), (32, 4), (36, 4), (40, 4)),
    *((64, 16), (80, 4), (86, 2), (90, 1), (112, 8)),
)
_INODE_FIELDS = (
    *((0, 2), (2, 2), (4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (24, 4), (32, 4), (36, 4)),
    *((40, 4), (44, 4), (64, 4), (68, 4)),
)
_DIRENT_FIELDS = ((0, 4), (4, 4), (8, 2), (10, 1))


def erofs_changes(bits: int) -> st.SearchStrategy[Change]:
    """Changes to the sound EROFS image; its checksum is mended after most of them."""
    image = erofs_images.sample(bits)
    inodes = st.sampled_from([nid * 32 for nid in image.nids.values()])
    numbers = NUMBERS | st.sampled_from([*image.nids.values(), 0x41ED, 0x81A4, 0xA1FF, 1 << 31])
    slots = st.sampled_from(
        [image.at(name) + 32 + 12 * slot for name in ("root", "dir") for slot in range(12)]
    )
    near = st.builds(int.__add__, inodes, st.integers(0, 200))

    def mended(change: Change) -> Change:
        def changed(data: bytearray) -> bytearray:
            found = erofs_images.Erofs(bits)
            found.data = change(data)
            if len(data) >= 4096:
                found.mend()
            return found.data

        return changed

    changes = st.one_of(
        st.builds(_number, inodes, st.sampled_from(_INODE_FIELDS), numbers),
        st.builds(_number, slots, st.sampled_from(_DIRENT_FIELDS), numbers),
        st.builds(_number, st.just(1024), st.sampled_from(_SUPER_FIELDS), numbers),
        st.builds(
            _put, near, st.sampled_from((b"..", b".", b"a/b", b"\0")) | st.binary(max_size=8)
        ),
        st.builds(_splice, inodes, inodes, st.sampled_from((32, 64, 128))),
        _blind(max(image.nids.values()) * 32 + 128),
    )
    return changes.map(mended) | changes


DISKS = {table: with_content(TAR, sound(12), GIT["pack"], table=table) for table in ("gpt", "mbr")}
"""Sound disks by their tables."""

_GPT_FIELDS = (
    *((12, 4), (24, 8), (32, 8), (40, 8), (48, 8), (56, 16), (72, 8), (80, 4), (84, 4), (88, 4)),
)
_GPT_ENTRY_FIELDS = ((0, 16), (16, 16), (32, 8), (40, 8), (48, 8), (56, 72))
_MBR_ENTRY_FIELDS = ((0, 1), (4, 1), (8, 4), (12, 4))
_LBAS = st.sampled_from(
    (0, 1, 2, 3, 33, 34, 39, 40, 41, 100, 1 << 31, (1 << 32) - 1, 1 << 55, (1 << 64) - 1)
)


def _mended(change: Change) -> Change:
    """A change after which the checksums of a GPT are right."""
    return lambda data: mend(change(data))


def disk_changes(table: str) -> st.SearchStrategy[Change]:
    """Changes to the sound disk with that table, and to what is in its partitions."""
    disk = DISKS[table]
    numbers = NUMBERS | _LBAS | st.integers(0, len(disk) // 512)
    places = [at for at in range(0, len(disk), 512) if disk[at + 510 : at + 512] == b"\x55\xaa"]
    slots = [at + 446 + 16 * number for at in places for number in range(4)]
    changes = [
        st.builds(_number, st.sampled_from(slots), st.sampled_from(_MBR_ENTRY_FIELDS), numbers),
        st.builds(_splice, st.sampled_from(slots), st.sampled_from(slots), st.just(16)),
        _blind(len(disk)),
    ]
    if table == "gpt":
        last = len(disk) - 512
        heads = st.sampled_from((512, last))
        entries = st.sampled_from([at + 128 * n for at in (1024, last - 1024) for n in range(8)])
        changes += [
            st.builds(_number, heads, st.sampled_from(_GPT_FIELDS), numbers).map(_mended),
            st.builds(_number, entries, st.sampled_from(_GPT_ENTRY_FIELDS), numbers).map(_mended),
            st.builds(_splice, entries, entries, st.just(128)).map(_mended),
            st.builds(_number, heads, st.sampled_from(_GPT_FIELDS), numbers),
        ]
    return st.one_of(changes)


def damaged(base: bytes, changes: st.SearchStrategy[Change]) -> st.SearchStrategy[bytes]:
    """`base` after a few changes."""

    def apply(chosen: list[Change]) -> bytes:
        return bytes(reduce(lambda data, change: change(data), chosen, bytearray(base)))

    return st.lists(changes, min_size=1, max_size=4).map(apply)


def fat_images(bits: int) -> st.SearchStrategy[bytes]:
    """Damaged images of FAT`bits`."""
    return damaged(sound(bits), fat_changes(bits))


tar_images = damaged(TAR, tar_changes)
"""Damaged archives."""


def git_images_of(container: str) -> st.SearchStrategy[bytes]:
    """Damaged git images."""
    return damaged(GIT[container], git_changes(container))


def erofs_images_of(bits: int) -> st.SearchStrategy[bytes]:
    """Damaged EROFS images."""
    return damaged(EROFS[bits], erofs_changes(bits))


def disk_images(table: str) -> st.SearchStrategy[bytes]:
    """Damaged disks."""
    return damaged(DISKS[table], disk_changes(table))
