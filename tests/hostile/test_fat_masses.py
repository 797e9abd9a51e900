"""Masses in FAT file systems are read in bounded time and memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from hostile.fat_images import Fat, short_entry, volume
from hostile.ordeal import OF_MASSES, in_memory, in_time, undergo


def dots(own: int, parent: int = 0) -> bytes:
    """What every directory but the root begins with."""
    return short_entry(b".", directory=True, cluster=own) + short_entry(
        b"..", directory=True, cluster=parent
    )


def mark(bits: int, value: int) -> int:
    """A special value of a FAT32 table's entry as FAT`bits` has it."""
    return value & (1 << bits) - 1


def _below(number: int) -> bytes:
    """What the directory at the cluster `number` begins with, below that at the one before."""
    return dots(number, number - 1 if number > 2 else 0)


def _nested(depth: int, name: bytes) -> bytes:
    """Each directory in the one before."""
    return volume(
        depth + 1,
        short_entry(name, directory=True, cluster=2),
        dict.fromkeys(range(2, depth + 3), 65535),
        {
            number: _below(number) + short_entry(name, directory=True, cluster=number + 1)
            for number in range(2, depth + 2)
        }
        | {depth + 2: _below(depth + 2)},
    )


@pytest.mark.parametrize(("depth", "name"), [(100, b"D"), (1100, b"D"), (1300, b"DIR")])
def test_deep_nesting_is_no_recursion(
    depth: int, name: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(_nested(depth, name), tmp_path, capsys)
    if depth * (len(name) + 1) < 4096:
        assert verdict.problems == []
        assert verdict.extracted
    else:
        assert any("a path of 4,0" in problem for problem in verdict.problems)
        assert verdict.codes["extract"] == 6


def _shared_chain() -> bytes:
    """A thousand files, each with the same chain of thousands of clusters that lie apart."""
    clusters = 8000
    order = [*range(2, clusters, 2), *range(3, clusters, 2)]
    chains = dict(zip(order, [*order[1:], 0xFFFF], strict=True))
    size = 512 * len(order)
    root = b"".join(short_entry(b"F%d" % n, cluster=2, size=size) for n in range(1000))
    return volume(clusters, root, chains, {})


def _shared_directory() -> bytes:
    """Directories that begin within each other: every cluster of one chain is one's first."""
    clusters = 500
    chains = {number: number + 1 for number in range(2, clusters)} | {clusters: 0xFFFF}
    names = iter(range(clusters * 16))
    contents = {
        number: b"".join(
            short_entry(b"D%d" % next(names), directory=True, cluster=2 + (number * 14 + at) % 490)
            for at in range(14)
        )
        for number in range(2, clusters)
    }
    contents = {number: dots(number) + content for number, content in contents.items()}
    return volume(clusters, short_entry(b"D", directory=True, cluster=2), chains, contents)


def _long_paths() -> bytes:
    """A directory of many entries below many of long names: each path is very long."""
    depth = 500
    chains = dict.fromkeys(range(2, depth + 2), 65535)
    contents = {}
    for number in range(2, depth + 2):
        contents[number] = _below(number) + _long_entry("n" * 150, b"N%d" % number, number + 1)
    contents[depth + 2] = _below(depth + 2) + b"".join(
        short_entry(b"F%d" % n) for n in range(16 * 1000 - 2)
    )
    last = range(depth + 2, depth + 2 + 1000)
    chains |= {number: number + 1 for number in last} | {last[-1]: 0xFFFF}
    root = _long_entry("n" * 150, b"N", 2)
    return volume(depth + 1010, root, chains, contents)


def _long_entry(name: str, short: bytes, cluster: int) -> bytes:
    total = 0
    for byte in short.ljust(11):
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    raw = (name + "\0").encode("utf-16-le")
    raw += b"\xff" * (-len(raw) % 26)
    slots = []
    count = len(raw) // 26
    for order in range(count, 0, -1):
        part = raw[26 * order - 26 : 26 * order]
        mark = order | (0x40 if order == count else 0)
        head = bytes([mark]) + part[:10] + b"\x0f\0" + bytes([total])
        slots.append(head + part[10:22] + b"\0\0" + part[22:])
    return b"".join(slots) + short_entry(short, directory=True, cluster=cluster)


def _fragments() -> bytes:
    """One file of thousands of pieces, none beside the next."""
    clusters = 10_000
    order = [*range(2, clusters, 2), *range(3, clusters, 2)]
    order[1::2] = reversed(order[1::2])
    chains = dict(zip(order, [*order[1:], 0xFFFF], strict=True))
    return volume(
        clusters, short_entry(b"PIECES", cluster=order[0], size=512 * len(order)), chains, {}
    )


def _orphans() -> bytes:
    """A directory of nothing but parts of long names."""
    slot = b"\x41" + b"n\0" * 5 + b"\x0f\0\0" + b"n\0" * 6 + b"\0\0" + b"n\0" * 2
    return volume(10, slot * 4000, {}, {})


MASSES: dict[str, tuple[Callable[[], bytes], str]] = {
    "files that share one long chain": (_shared_chain, "which is taken already"),
    "directories that begin within each other": (_shared_directory, "which is taken already"),
    "many very long paths": (_long_paths, "a path of 4,2"),
    "one file of many pieces": (_fragments, ""),
    "parts of long names without end": (_orphans, ""),
}


@pytest.mark.parametrize("name", MASSES)
def test_masses_are_read_in_bounded_time_and_memory(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = MASSES[name]
    verdict = undergo(make(), tmp_path, capsys, commands=OF_MASSES)
    assert not expected or any(expected in problem for problem in verdict.problems)


def test_a_sparse_gigantic_image_costs_nothing_to_list(tmp_path: Path) -> None:
    """FAT32 of 100 GiB with clusters of 32 KiB, all of them free but the root directory's."""
    fat = Fat.of(32)
    sectors = (100 << 30) // 512
    per_fat = 25 << 10
    fat.put(13, 64, 1).put(32, sectors, 4).put(36, per_fat, 4).put(44, 2, 4)
    path = tmp_path / "image"
    with open(path, "wb") as file:
        file.write(fat.data[:512])
        file.seek(fat.fat_offset)
        file.write(b"\xf8\xff\xff\x0f" + b"\xff\xff\xff\x0f" * 2)
        file.truncate(100 << 30)
    with in_time(), in_memory(), blockpack.open_image(path) as image:
        assert list(image.walk()) == []
