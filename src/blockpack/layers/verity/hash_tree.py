"""A hash tree as values: its superblock, and where each level lies.

As in the kernel's Documentation/admin-guide/device-mapper/verity.rst, hash type 1, and cryptsetup's
lib/verity (the superblock, version 1).

Rule 1: digests are padded to a power of two, so that whole ones fill a hash block, and the digest
of block *i* is *i* slots behind the begin of its level.
Rule 2: the hash of a level's blocks is the level above. The lowest level is that of the data, the
top one has a single block, and its hash is the root hash. Of one data block the hash is the root.
Rule 3: levels lie from the top down, in hash blocks, behind the block with the superblock.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from attrs import frozen

from ...errors import EntryError, ImageError
from ...formats.structure import Structure
from ...model.limits import MOST
from ...planning.ids import dashed
from ...planning.layout import Fact, round_up

FORMAT = "verity"
"""The format of a hash tree that is an image of its own."""

MAGIC = b"verity\0\0"

ALGORITHMS = ("sha1", "sha224", "sha256", "sha384", "sha512")
"""The hashes that kernels, cryptsetup and Python call by the same names."""

BLOCK_SIZES = (512, 1024, 2048, 4096)
"""Bytes of a block: larger ones no kernel with pages of 4096 bytes takes."""

HASH_BLOCK = BLOCK_SIZES[-1]
"""Bytes of a hash block, unless others are asked for."""

MOST_SALT = 256
"""Bytes of the longest salt."""

SUPERBLOCK = Structure(
    ("signature", "8s"),
    ("version", "I"),
    ("hash_type", "I"),
    ("uuid", "16s"),
    ("algorithm", "32s"),
    ("data_block_size", "I"),
    ("hash_block_size", "I"),
    ("data_blocks", "Q"),
    ("salt_size", "H"),
    ("reserved", "6s"),
    ("salt", f"{MOST_SALT}s"),
    ("padding", "168s"),
)


def level_blocks(data_blocks: int, per_block: int) -> list[int]:
    """How many hash blocks each level has, the lowest first."""
    found = []
    while data_blocks > 1:
        data_blocks = -(-data_blocks // per_block)
        found.append(data_blocks)
    return found


class Level(NamedTuple):
    """A level of the tree: its first byte, counted from the superblock's, and its hash blocks."""

    start: int
    blocks: int


@frozen(kw_only=True)
class HashTree:
    """The tree of `data_blocks` blocks. Sizes are in bytes; `offset` is the superblock's byte, of a
    file or device that may have other bytes before it. Raises `EntryError` for more than any file.
    """

    data_blocks: int
    data_block_size: int
    hash_block_size: int
    algorithm: str
    salt: bytes
    uuid: bytes
    offset: int = 0

    def __attrs_post_init__(self) -> None:
        if max(self.data_size, self.offset) + self.size > MOST:
            rule = "with its hash tree, the image has more bytes than any file can have"
            raise EntryError("", rule, "leave less room")

    @property
    def data_size(self) -> int:
        """Bytes of the data."""
        return self.data_blocks * self.data_block_size

    @property
    def digest_size(self) -> int:
        """Bytes of a digest."""
        import hashlib  # late: every image that is opened is looked at for a tree

        return hashlib.new(self.algorithm).digest_size

    @property
    def slot(self) -> int:
        """Bytes that a digest takes."""
        return 1 << (self.digest_size - 1).bit_length()

    @property
    def levels(self) -> tuple[Level, ...]:
        """All levels, the lowest first."""
        counts = level_blocks(self.data_blocks, self.hash_block_size // self.slot)
        found = []
        end = self.size
        for count in counts:
            end -= count * self.hash_block_size
            found.append(Level(end, count))
        return tuple(found)

    def level(self, depth: int) -> tuple[int, int, int]:
        """Where the blocks `depth` levels above the data (0) begin; their size, and number."""
        if depth == 0:
            return 0, self.data_block_size, self.data_blocks
        start, blocks = self.levels[depth - 1]
        return start, self.hash_block_size, blocks

    @property
    def size(self) -> int:
        """Bytes from the superblock to the end of the tree."""
        start = round_up(self.offset + SUPERBLOCK.size, self.hash_block_size) - self.offset
        counts = level_blocks(self.data_blocks, self.hash_block_size // self.slot)
        return start + self.hash_block_size * sum(counts)

    def digests(self, blocks: memoryview, size: int) -> bytes:
        """The digests of blocks of `size` bytes, in their slots."""
        import hashlib  # late: every image that is opened is looked at for a tree

        # A method's lookups, made once, are a tenth of the time.
        salted = hashlib.new(self.algorithm, self.salt, usedforsecurity=False).copy
        found: list[bytes] = []
        append = found.append
        for at in range(0, len(blocks), size):
            hashing = salted()
            hashing.update(blocks[at : at + size])
            append(hashing.digest())
        padding = bytes(self.slot - self.digest_size)
        return padding.join(found) + padding

    def superblock(self) -> bytes:
        """The superblock's bytes."""
        return SUPERBLOCK.pack(
            signature=MAGIC,
            version=1,
            hash_type=1,
            uuid=self.uuid,
            algorithm=self.algorithm.encode(),
            data_block_size=self.data_block_size,
            hash_block_size=self.hash_block_size,
            data_blocks=self.data_blocks,
            salt_size=len(self.salt),
            salt=self.salt,
        )

    @classmethod
    def parse(cls, superblock: bytes, offset: int) -> Self:
        """The tree of a superblock at byte `offset`. Raises `ImageError` for what is not read."""
        if len(superblock) < SUPERBLOCK.size or not superblock.startswith(MAGIC):
            rule = f"there is no hash tree of dm-verity at byte {offset:,}"
            raise ImageError("", rule, "give the byte where it begins: {option}", "hash_offset=N")
        fields = SUPERBLOCK.unpack(superblock)
        algorithm = fields["algorithm"].rstrip(b"\0").decode("ascii", "replace")
        is_known = (
            (fields["version"], fields["hash_type"]) == (1, 1)
            and algorithm in ALGORITHMS
            and fields["data_block_size"] in BLOCK_SIZES
            and fields["hash_block_size"] in BLOCK_SIZES
        )
        if not is_known:
            rule = f"the hash tree at byte {offset:,} is of a kind that is not read here"
            raise ImageError("", rule, "veritysetup may know it")
        most = MOST // 2 // fields["data_block_size"]
        if not 1 <= fields["data_blocks"] <= most or fields["salt_size"] > MOST_SALT:
            rule = f"the superblock of the hash tree at byte {offset:,} is damaged"
            raise ImageError("", rule, "copy it again")
        alike = "data_blocks", "data_block_size", "hash_block_size", "uuid"
        salt = fields["salt"][: fields["salt_size"]]
        taken = {name: fields[name] for name in alike}
        return cls(algorithm=algorithm, salt=salt, offset=offset, **taken)

    def facts(self, root_hash: str) -> dict[str, Fact]:
        """What a kernel is told of it, as facts by name."""
        return {
            "root_hash": root_hash,
            "hash_offset": self.offset,
            "hash_algorithm": self.algorithm,
            "hash_salt": self.salt.hex(),
            "hash_uuid": dashed(self.uuid.hex()),
            "data_blocks": self.data_blocks,
            "data_block_size": self.data_block_size,
            "hash_block_size": self.hash_block_size,
        }
