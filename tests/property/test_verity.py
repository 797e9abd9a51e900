"""Hash trees, before cryptsetup: what it makes with the same parameters is the same bytes."""

from __future__ import annotations

import io
import os
import random
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.layers.verity.hash_tree import ALGORITHMS, BLOCK_SIZES, HashTree
from blockpack.layers.verity.reader import VerityReader, tree_at, tree_behind
from blockpack.model.content import Opened
from blockpack.reading.positional import BytesReader
from judges import verity as judge

block_sizes = st.sampled_from(BLOCK_SIZES)
salts = st.none() | st.just("-") | st.binary(max_size=256).map(bytes.hex)


def layout_of(size: int, seed: int) -> blockpack.Layout:
    """A layout of so many bytes: literal ones, zeros and a stream, in thirds."""
    third = -(-size // 3)
    data = random.Random(seed).randbytes(third)
    opened = Opened(partial(io.BytesIO, data))
    extents: list[blockpack.Extent] = [
        blockpack.Data(0, data),
        blockpack.Zeros(third, third),
        blockpack.Stream(2 * third, third, opened, None, "a stream"),
    ]
    whole = [each for each in extents if each.offset + each.length <= size]
    if rest := size - sum(each.length for each in whole):
        whole.append(blockpack.Data(size - rest, data[:rest]))
    run = blockpack.Run.of(*whole)
    return blockpack.Layout(format="raw", runs=(run,), sector_size=512)


def written(layout: blockpack.Layout, path: Path) -> bytes:
    blockpack.write(layout, path)
    return path.read_bytes()


@given(
    block_sizes,
    block_sizes,
    st.sampled_from((8, 9, 15, 16, 17, 127, 128, 129, 300)),
    st.integers(0, 511),
    salts,
    st.sampled_from(ALGORITHMS),
    st.booleans(),
)
def test_the_bytes_are_those_of_cryptsetup(
    data_size: int,
    hash_size: int,
    blocks: int,
    missing: int,
    salt: str | None,
    algorithm: str,
    beside: bool,
) -> None:
    layout = layout_of(blocks * data_size - missing, blocks)
    options: dict[str, Any] = {
        "salt": salt,
        "data_block_size": data_size,
        "hash_block_size": hash_size,
        "algorithm": algorithm,
    }
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        appended = blockpack.verity(layout, **options)
        image = written(appended, scratch / "image")
        offset = int(appended.geometry["hash_offset"])
        assert offset == blocks * data_size
        assert len(image) == appended.size
        if not beside:
            found, root = judge.made(scratch / "image", appended.geometry, scratch)
            assert found == image
        elif missing:
            with pytest.raises(blockpack.UsageError, match=f"pad={data_size}"):
                blockpack.hash_tree(layout, **options)
            return
        else:
            tree = blockpack.hash_tree(layout, **options)
            found, root = judge.made(scratch / "image", tree.geometry, scratch)
            assert found == written(tree, scratch / "tree")
        assert root == appended.geometry["root_hash"]


@pytest.mark.parametrize("blocks", [1, 2, 128 * 128 + 1])
def test_one_block_is_its_own_root_and_many_have_levels(blocks: int, tmp_path: Path) -> None:
    layout = layout_of(blocks * 4096, blocks)
    appended = blockpack.verity(layout, uuid="c0ffee00-0000-4000-8000-00000000beef", jobs=2)
    image = written(appended, tmp_path / "image")
    found, root = judge.made(tmp_path / "image", appended.geometry, tmp_path)
    assert (found, root) == (image, appended.geometry["root_hash"])
    judge.verify(tmp_path / "image", tmp_path / "image", root, blocks * 4096)


@given(
    st.integers(1, (1 << 50) - 1) | st.integers(1, 300),
    block_sizes,
    st.booleans(),
    st.sampled_from(ALGORITHMS),
)
def test_where_a_tree_begins_follows_from_the_size(
    blocks: int, block_size: int, is_large: bool, algorithm: str
) -> None:
    tree = HashTree(
        data_blocks=blocks,
        data_block_size=block_size,
        hash_block_size=4096 if is_large else block_size,
        algorithm=algorithm,
        salt=b"",
        uuid=bytes(16),
        offset=blocks * block_size,
    )

    class Sparse(BytesReader):
        def __init__(self) -> None:
            super().__init__(tree.superblock())
            self.size = tree.offset + tree.size

        def read_at(self, position: int, length: int) -> bytes:
            at = position - tree.offset
            return bytes(self._data[at : at + length]) if at >= 0 else bytes(length)

    assert tree_behind(Sparse()) == tree
    longer = Sparse()
    longer.size += block_size
    assert tree_behind(longer) is None


def damaged(image: bytes | bytearray, layout: blockpack.Layout) -> list[str]:
    """What is told of the image of a layout."""
    offset, root = int(layout.geometry["hash_offset"]), str(layout.geometry["root_hash"])
    data = BytesReader(image)
    return list(map(str, VerityReader(data, data, tree_at(data, offset), root).damaged()))


@given(st.integers(2, 400), st.sampled_from((512, 4096)), st.data())
def test_a_damaged_bit_is_found_with_its_block(
    blocks: int, block_size: int, data: st.DataObject
) -> None:
    sizes: dict[str, Any] = {"data_block_size": block_size, "hash_block_size": block_size}
    layout = blockpack.verity(layout_of(blocks * block_size, 1), **sizes)
    with layout.open() as file:
        image = bytearray(file.read())
    assert damaged(image, layout) == []
    tree = (blocks + 1) * block_size
    places = st.integers(0, blocks * block_size - 1) | st.integers(tree, len(image) - 1)
    at = data.draw(places)
    image[at] ^= 1 << data.draw(st.integers(0, 7))
    (told,) = damaged(image, layout)
    start = at // block_size * block_size
    assert f"(bytes {start:,} to {start + block_size - 1:,})" in told


def test_a_source_that_changes_between_hashing_and_writing_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "site"
    source.mkdir()
    file = source / "index.html"
    file.write_bytes(b"before" * 1000)
    layout = blockpack.verity(blockpack.TarVolume().plan(blockpack.scan(source)))
    status = file.stat()
    file.write_bytes(b"beyond" * 1000)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(blockpack.SourceError, match="was modified since it was planned"):
        blockpack.write(layout, tmp_path / "image")
    assert not (tmp_path / "image").exists()
