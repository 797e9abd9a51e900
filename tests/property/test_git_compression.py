"""What is deflated in a git image, and what is stored."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import GitVolume, Tree
from judges import git_pack

SLICE = 1 << 16


def packed(data: bytes) -> int:
    """The bytes that a pack takes for the content `data`."""
    tree = Tree()
    tree.add("file", data)
    layout = GitVolume(container="pack").plan(tree)
    with layout.open() as image:
        pack = git_pack.read_pack(image.read(int(layout.geometry["pack_size"])))
    found = pack.objects[git_pack.object_id(b"blob", data)]
    return found.end - found.offset


def lines(seed: int, size: int) -> bytes:
    """Text without two words that are the same."""
    source = random.Random(seed)
    return b" ".join(source.randbytes(4).hex().encode() for _ in range(size // 9 + 1))[:size]


@given(seed=st.integers(0, 1 << 32), size=st.integers(300, 300_000))
def test_text_is_deflated(seed: int, size: int) -> None:
    assert packed(lines(seed, size)) < 0.8 * size


@given(seed=st.integers(0, 1 << 32), size=st.integers(300, 300_000))
def test_random_bytes_grow_by_no_more_than_it_takes_to_store_them(seed: int, size: int) -> None:
    assert packed(random.Random(seed).randbytes(size)) <= size + 5 * (size // 0xFFFF + 1) + 10


@pytest.mark.parametrize("size", [2_000, 50_000, 500_000])
@pytest.mark.parametrize("period", [256, 700])
def test_random_bytes_that_come_again_are_deflated(size: int, period: int) -> None:
    once = random.Random(period).randbytes(period)
    assert packed((once * (size // period + 1))[:size]) < size / 2


@pytest.mark.parametrize("quarter", range(4))
def test_text_in_a_quarter_of_large_random_content_is_found(quarter: int) -> None:
    parts = [random.Random(number).randbytes(SLICE) for number in range(4)]
    parts[quarter] = lines(quarter, SLICE)
    data = b"".join(parts)
    assert packed(data) < len(data) - SLICE / 4


@pytest.mark.parametrize("size", [0, 1, 40, 200, 256])
def test_what_is_tiny_is_deflated_if_that_is_shorter(size: int) -> None:
    data = bytes(size)
    assert packed(data) <= 2 + min(len(zlib.compress(data)), size + 11)
