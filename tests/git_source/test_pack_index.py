"""Looking objects up in the index of a pack."""

from __future__ import annotations

import mmap
import random
from pathlib import Path

import pytest

from blockpack.formats.git.index import IndexLookup, pack_index


@pytest.mark.parametrize("count", [1, 15, 400])
@pytest.mark.parametrize("asked", [0, 1, 20, 500])
def test_however_many_are_asked_for_each_is_where_it_is(
    tmp_path: Path, count: int, asked: int
) -> None:
    rng = random.Random(count)
    ids = [rng.randbytes(20) for _ in range(count)]
    offsets = [rng.choice((12, (1 << 31) - 1, 1 << 31, (1 << 63) - 1)) + n for n in range(count)]
    offsets = [min(offset, (1 << 63) - 1) for offset in offsets]
    path = tmp_path / "pack.idx"
    path.write_bytes(pack_index(ids, [0] * count, offsets, bytes(20), "sha1"))
    places = dict(zip(ids, offsets, strict=True))
    some = [rng.choice(ids) if rng.random() < 0.7 else rng.randbytes(20) for _ in range(asked)]
    with open(path, "rb") as file:
        lookup = IndexLookup(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), 20, asked)
    assert [lookup.offset(oid) for oid in some] == [places.get(oid) for oid in some]
