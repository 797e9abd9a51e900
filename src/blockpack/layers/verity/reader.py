"""Finding and checking a hash tree, behind an image or beside it (docs/verity.md).

Nothing in an image says where its tree begins; a kernel is told. But of an image that was made here
the size says it, for all of it is data, superblock and tree: so it is found for a few short reads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product

from ...errors import Deviation, ImageError, UsageError, reading_errors
from ...formats.reader import ImageReader
from ...planning.layout import Fact, round_up
from ...reading.positional import PartReader, PositionalReader
from ...workers.sharing import Advance, ignore
from ..damage import stretches, told
from .hash_tree import BLOCK_SIZES, MAGIC, SUPERBLOCK, HashTree, level_blocks

_SLOTS = (32, 64)
"""Bytes that digests take in trees that are looked for."""

_MOST_ROUNDED = 64
"""More hash blocks than are added by rounding up: one a level, and the superblock's."""

_ONE = "does not have the hash that the tree has of it: one of the two is damaged"
_SEVERAL = "do not have the hashes that the tree has of them: these or those are damaged"


class VerityReader(PartReader):
    """The data that a `tree`, read from `hashes`, is of: the begin of `whole`. `root_hash` is what
    its root ought to be, if known; `name` is for messages. Raises `ImageError` for a shorter image,
    and `UsageError` for what is no root hash.
    """

    def __init__(
        self,
        whole: PositionalReader,
        hashes: PositionalReader,
        tree: HashTree,
        root_hash: str | None = None,
        name: str = "",
    ) -> None:
        super().__init__(whole, 0, tree.data_size)
        self.whole = whole
        self._hashes = hashes
        self._tree = tree
        self._root_hash = root_hash
        if self.size < tree.data_size:
            rule = f"has {self.size:,} bytes, and its hash tree is of {tree.data_size:,}"
            raise ImageError(name, rule, "copy it again, or give its own tree")
        digits = 2 * tree.digest_size
        if root_hash is not None and len(root_hash) != digits:
            rule = f"{root_hash!r} is not a root hash of {tree.algorithm}"
            raise UsageError("", rule, f"give {digits} hexadecimal digits")

    @property
    def root_hash(self) -> str:
        """The root hash of the tree as it is there, in hex. Raises `ImageError`."""
        from .digests import digests  # late: every image that is opened is looked at for a tree

        reader, size, _ = self._level(len(self._tree.levels))
        ((_, root),) = digests(self._tree, reader, size, 0, 1)
        return root[: self._tree.digest_size].hex()

    def info(self) -> Mapping[str, Fact]:
        """What a kernel is told of the tree, as facts by name."""
        with reading_errors("the hash tree"):
            return self._tree.facts(self.root_hash)

    @property
    def checked_size(self) -> int:
        """Bytes of the data, which `damaged` reads."""
        return self.size

    def damaged(self, advance: Advance = ignore) -> Iterator[ImageError]:
        """Blocks that do not have the hash that the tree has of them, and what is wrong with the
        tree, from its root down; `advance` counts the bytes of data. What is below a damaged block
        of the tree cannot be checked.
        """
        with reading_errors("the image"):
            yield from self._damaged(advance)

    def _damaged(self, advance: Advance) -> Iterator[ImageError]:
        tree, levels = self._tree, self._tree.levels
        if self._hashes.read_at(tree.offset, SUPERBLOCK.size) != tree.superblock():
            rule = f"the superblock of the hash tree, at byte {tree.offset:,}, is damaged"
            yield ImageError("", rule)
        root_hash = self.root_hash
        if self._root_hash not in (None, root_hash):
            where = self._where(len(levels), 0, 0)
            rule = f"{where} has the hash {root_hash}, and not the root hash {self._root_hash}"
            yield ImageError("", f"{rule}: it is damaged, or of another image")
            return
        if levels:
            reader, size, _ = self._level(len(levels))
            end = self._level(len(levels) - 1)[2] * tree.slot
            if any(reader.read_at(end, size - end)):
                rule = f"{self._where(len(levels), 0, 0)} does not end in zeros: it is damaged"
                yield ImageError("", rule)
        per_block = tree.hash_block_size // tree.slot
        lost: list[tuple[int, int]] = []
        for depth in reversed(range(len(levels))):
            lost = [(first * per_block, (last + 1) * per_block - 1) for first, last in lost]
            wrong: list[tuple[int, int]] = []

            def tell(first: int, last: int) -> ImageError:
                wrong.append((first, last))  # noqa: B023 - called before the next level
                what = _ONE if first == last else _SEVERAL
                return ImageError("", f"{self._where(depth, first, last)} {what}")  # noqa: B023

            numbers = self._wrong(depth, lost, advance if depth == 0 else ignore)
            yield from told(stretches(numbers), tell, "damaged blocks")
            lost += wrong

    def _level(self, depth: int) -> tuple[PositionalReader, int, int]:
        """What reads the blocks `depth` levels above the data, their size in bytes, and number."""
        start, size, blocks = self._tree.level(depth)
        if depth == 0:
            return self, size, blocks
        return PartReader(self._hashes, self._tree.offset + start, blocks * size), size, blocks

    def _wrong(
        self, depth: int, lost: Sequence[tuple[int, int]], advance: Advance
    ) -> Iterator[int]:
        """The blocks with another hash than the level above them says, but for those `lost`."""
        from .digests import digests  # as above

        tree = self._tree
        reader, size, blocks = self._level(depth)
        above, slot = self._level(depth + 1)[0], tree.slot
        for first, found in digests(tree, reader, size, 0, blocks):
            stored = above.read_at(first * slot, len(found))
            if stored != found:
                for at in range(0, len(found), slot):
                    number = first + at // slot
                    if stored[at : at + slot] != found[at : at + slot] and not any(
                        begin <= number <= end for begin, end in lost
                    ):
                        yield number
            advance(len(found) // slot * size)

    def _where(self, depth: int, first: int, last: int) -> str:
        start, size, _ = self._tree.level(depth)
        start += self._tree.offset if depth else 0
        what = "the hash tree's block" if depth else "block"
        numbers = f"{what} {first:,}" if first == last else f"{what}s {first:,} to {last:,}"
        where = f"bytes {start + first * size:,} to {start + (last + 1) * size - 1:,}"
        return f"{numbers} ({where})"

    def close(self) -> None:
        """Close both."""
        super().close()
        self._hashes.close()


def tree_at(hashes: PositionalReader, offset: int, name: str = "the hash tree") -> HashTree:
    """The tree at byte `offset` of what is called `name`. Raises `ImageError` without all of it."""
    try:
        with reading_errors(name):
            found = HashTree.parse(hashes.read_at(offset, SUPERBLOCK.size), offset)
        if offset + found.size > hashes.size:
            rule = f"the hash tree at byte {offset:,} is cut short or damaged"
            raise ImageError("", rule, "copy it again")
    except ImageError as error:
        error.path = name
        raise
    return found


def tree_behind(data: PositionalReader) -> HashTree | None:
    """The tree that begins where the data end, and is all that is behind them; None if there is
    none of which the hash blocks have 4096 bytes, or as many as the data's.
    """
    for hash_size, data_size in product(reversed(BLOCK_SIZES), repeat=2):
        if hash_size in (data_size, BLOCK_SIZES[-1]) and not data.size % hash_size:
            for at in _offsets(data.size, data_size, hash_size):
                with reading_errors("the image"):
                    if data.read_at(at, len(MAGIC)) != MAGIC:
                        continue
                with suppress(ImageError):
                    found = tree_at(data, at)
                    if found.data_size == at and at + found.size == data.size:
                        return found
    return None


def behind(reader: ImageReader) -> ImageError | None:
    """What is wrong behind an image's end, where zeros may be. Raises `ImageError`."""
    at = reader.behind()
    if at is None:
        return None
    rule = f"there is something after the {reader.whole}'s end at byte {reader.end:,}"
    return stray_tree(reader.data, at) or Deviation("", rule)


def stray_tree(data: PositionalReader, at: int) -> ImageError | None:
    """What is wrong with the tree at byte `at`, which was not found; None if none begins there."""
    with reading_errors("the image"):
        if data.read_at(at, len(MAGIC)) != MAGIC:
            return None
    with suppress(ImageError):
        found = tree_at(data, at)
        if found.data_size <= at:
            rule = f"there is a hash tree at byte {at:,}, which was not looked for there"
            return ImageError("", rule, option=f"hash_offset={at}")
    return ImageError("", f"the hash tree at byte {at:,} is cut short or damaged", "copy it again")


def _offsets(size: int, data_block_size: int, hash_block_size: int) -> Iterator[int]:
    """Where the superblock may be, if `size` bytes are data, superblock and tree."""
    for slot in _SLOTS:
        per_block = hash_block_size // slot

        def end(blocks: int) -> int:
            start = round_up(blocks * data_block_size + SUPERBLOCK.size, hash_block_size)
            return start + hash_block_size * sum(level_blocks(blocks, per_block))  # noqa: B023

        # The levels have a geometric series of blocks, each rounded up.
        others = per_block - 1
        share = data_block_size * others + hash_block_size
        most = size * others // share
        least = max(1, (size - _MOST_ROUNDED * hash_block_size) * others // share)
        first = least + bisect_left(range(least, most + 1), size, key=end)
        for blocks in range(first, most + 1):
            if end(blocks) != size:
                break
            yield blocks * data_block_size
