"""dm-verity around a layout: its hash tree behind it, or as an image of its own (docs/verity.md).

A tree is planned by reading, for the root hash is to be known before anything is written: a boot
entry, a partition's id or a signature has it. What changed between that and the writing is an
error as everywhere, by the stamps of the sources; so a tree is never that of other bytes.
"""

from __future__ import annotations

import hashlib
import uuid as uuids
from collections.abc import Iterator
from typing import TypedDict, Unpack

from attrs import evolve

from ...errors import EntryError, UsageError
from ...model.content import Opened
from ...model.extent import Stream, Zeros
from ...planning.ids import guid, identity
from ...planning.layout import Layout
from ...planning.layout_reader import LayoutReader
from ...planning.options import Size, optional_size, parse_size, require_choice
from ...planning.runs import Part, Run, zeros
from ...reading.positional import PositionalFile
from ...workers.processors import Jobs
from ...workers.sharing import Advance, ignore
from ..ccm import CIPHER
from .digests import hashed, opened
from .hash_tree import ALGORITHMS, BLOCK_SIZES, FORMAT, MOST_SALT, SUPERBLOCK, HashTree


class TreeOptions(TypedDict, total=False):
    """What a hash tree is made by; docs/verity.md has the defaults."""

    salt: bytes | str | None
    uuid: str | None
    data_block_size: Size | None
    hash_block_size: Size
    algorithm: str


def verity(
    layout: Layout,
    *,
    hash_offset: Size | None = None,
    jobs: Jobs = 1,
    advance: Advance = ignore,
    **options: Unpack[TreeOptions],
) -> Layout:
    """The layout of the image of `layout` with its hash tree behind it, as ``veritysetup format``
    makes it; the root hash is in its `geometry`, as ``root_hash``.

    All of the image is read, by `jobs` processes (``auto``: as many as pay); `advance` is told of
    the bytes. It is filled up to whole data blocks. `hash_offset` is the superblock's byte, the
    first one behind those if it is not given. `salt` is up to 256 bytes, or their hexadecimal
    digits; `salt` and `uuid` follow from the plan if they are not given. Blocks have 512, 1024,
    2048 or 4096 bytes; those of the data are the sectors of the device that a kernel makes, so by
    default they are the largest ones from which the image is read: those of a FAT are its own.

    Raises `UsageError` for options that are wrong, and for an image that is encrypted; `EntryError`
    for one that is empty, or too large; `SourceError` if a source is missing or has changed.
    """
    tree = _planned(layout, **options)
    offset = optional_size(hash_offset)
    if offset is None:
        offset = tree.data_size
    if offset < tree.data_size or offset % SUPERBLOCK.size:
        rule = f"the hash tree begins behind the {tree.data_size:,} bytes of data, at a multiple"
        rule = f"{rule} of {SUPERBLOCK.size}; not at {offset:,}"
        raise UsageError("", rule, option=f"hash_offset={tree.data_size}")
    tree = evolve(tree, offset=offset)
    behind = _layout(tree, layout, jobs, advance)
    layout = covered(layout)
    moved = (run.moved(offset) for run in behind.runs)
    rule = "a hash tree is for the kernel, which decrypts nothing"
    return evolve(
        layout,
        runs=(*layout.runs, zeros(layout.size, offset), *moved),
        geometry={**layout.geometry, **behind.geometry},
        layer_refused=UsageError("", rule, "encrypt only"),
    )


def hash_tree(
    layout: Layout, *, jobs: Jobs = 1, advance: Advance = ignore, **options: Unpack[TreeOptions]
) -> Layout:
    """The layout of the hash tree of the image of `layout`, to be beside it in a file of its own.

    Arguments, geometry and errors are those of `verity`. Nothing is filled up: an image that is not
    a whole number of data blocks is a `UsageError`.
    """
    tree = _planned(layout, **options)
    if layout.size != tree.data_size:
        rule = f"the image has {layout.size:,} bytes, no multiple of the block size"
        option = f"pad={tree.data_block_size}"
        raise UsageError("", f"{rule} {tree.data_block_size}", option=option)
    return _layout(tree, layout, jobs, advance)


def sealed_size(layout: Layout) -> int:
    """The size of what `verity` makes of a layout, for which nothing is read. Raises as that."""
    tree = _planned(layout)
    return tree.data_size + evolve(tree, offset=tree.data_size).size


def covered(layout: Layout) -> Layout:
    """The same image, no byte of which may be anything: a hash tree is about all of them."""

    def required(run: Run) -> Run:
        def parts(start: int, stop: int) -> Iterator[Part]:
            for part in run.parts(start, stop):
                yield evolve(part, free=False) if type(part) is Zeros else part

        return run if run.dense else evolve(run, parts=parts)

    return evolve(layout, runs=tuple(map(required, layout.runs)))


def _planned(
    layout: Layout,
    salt: bytes | str | None = None,
    uuid: str | None = None,
    data_block_size: Size | None = None,
    hash_block_size: Size = 4096,
    algorithm: str = "sha256",
) -> HashTree:
    """The tree, without an offset. Raises `UsageError` and `EntryError`."""
    data_size = optional_size(data_block_size)
    if data_size is None:
        data_size = min(layout.largest_sector, BLOCK_SIZES[-1])
    hash_size = parse_size(hash_block_size)
    require_choice("data_block_size", data_size, BLOCK_SIZES)
    require_choice("hash_block_size", hash_size, BLOCK_SIZES)
    require_choice("algorithm", algorithm, ALGORITHMS)
    if layout.format == CIPHER:
        rule = "a hash tree is for the kernel, which does not decrypt these sectors"
        raise UsageError("", rule, "leave out one of the two; each sector is authenticated anyway")
    if "root_hash" in layout.geometry:
        raise UsageError("", "the image has a hash tree already", "leave one out")
    if min(data_size, hash_size) < layout.sector_size:
        rule = f"no device of {layout.sector_size}-byte sectors is read in smaller blocks"
        raise UsageError("", rule, option=f"data_block_size={layout.sector_size}")
    if data_size > layout.largest_sector:
        rule = f"the blocks of verity are the sectors of a device, and {layout.title} is read from"
        rule = f"{rule} none of sectors over {layout.largest_sector} bytes"
        raise UsageError("", rule, option=f"data_block_size={layout.largest_sector}")
    if not layout.size:
        raise EntryError("", "an image of no bytes has no hash tree", "give it a size")
    plan = hashlib.sha256(identity(layout))
    return HashTree(
        data_blocks=-(-layout.size // data_size),
        data_block_size=data_size,
        hash_block_size=hash_size,
        algorithm=algorithm,
        salt=plan.digest() if salt is None else _salt(salt),
        uuid=uuids.UUID(guid(plan, FORMAT)).bytes if uuid is None else _uuid(uuid),
    )


def _salt(salt: bytes | str) -> bytes:
    """A salt as bytes; ``-`` is none, as it is for ``veritysetup``."""
    try:
        found = salt if isinstance(salt, bytes) else bytes.fromhex("" if salt == "-" else salt)
    except (ValueError, TypeError):
        rule = f"{salt!r} is not a salt"
        raise UsageError("", rule, "give hexadecimal digits, or '-' for none") from None
    if len(found) > MOST_SALT:
        rule = f"a salt has {MOST_SALT} bytes at most, not {len(found)}"
        raise UsageError("", rule, "give a shorter one")
    return found


def _uuid(uuid: str) -> bytes:
    try:
        return uuids.UUID(uuid).bytes
    except (ValueError, TypeError, AttributeError):
        raise UsageError("", f"{uuid!r} is not a UUID", "give one such as uuidgen prints") from None


def _layout(tree: HashTree, layout: Layout, jobs: Jobs, advance: Advance) -> Layout:
    """The layout of the tree alone, from its superblock on."""
    with LayoutReader(layout.runs, forkable=layout.forkable) as data:
        spool, root = hashed(tree, data, jobs, advance)
    # Any position of a spool can be read at once, and a root hash is that of one tree alone.
    store = Opened(lambda: PositionalFile(opened(spool), owned=True), (tree, root))
    return Layout(
        format=FORMAT,
        title="dm-verity",
        runs=(Run.of(Stream(0, tree.size, store, None, "the hash tree")),),
        sector_size=layout.sector_size,
        geometry=tree.facts(root.hex()),
        forkable=layout.forkable,
    )
