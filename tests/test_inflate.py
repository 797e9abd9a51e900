"""Whichever library inflates, what comes of it is the same."""

from __future__ import annotations

import importlib.util
import random
import sys
import zlib
from contextlib import suppress
from types import ModuleType

import pytest

from blockpack.reading import inflate


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as it is where ISA-L is not installed."""
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    spec = importlib.util.spec_from_file_location("plain", inflate.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.decompress is zlib.decompress
    return module


@pytest.fixture
def fast() -> ModuleType:
    """The module as it is where ISA-L is installed."""
    pytest.importorskip("isal", reason="blockpack[fast] is not installed")
    assert inflate.decompress is not zlib.decompress
    return inflate


def _streams() -> list[bytes]:
    rng = random.Random(7)
    contents = [b"", b"x", b"abc" * 5000, rng.randbytes(70_000), rng.randbytes(300) * 99]
    whole = [zlib.compress(data, level) for data in contents for level in (0, 1, 6, 9)]
    streams = [b"", *whole]
    for stream in whole:
        flipped = bytearray(stream)
        flipped[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        wrong = stream[:-1] + bytes([stream[-1] ^ 1])
        streams += [
            stream[:-1],
            stream[: len(stream) // 2],
            wrong,
            bytes(flipped),
            stream + b"more",
        ]
    return streams


def _inflated(module: ModuleType, stream: bytes) -> bytes | None:
    try:
        found: bytes = module.decompress(memoryview(stream), bufsize=100)
    except module.InflateError:
        return None
    return found


def test_either_gives_the_same(plain: ModuleType, fast: ModuleType) -> None:
    refused = 0
    for stream in _streams():
        found = _inflated(plain, stream)
        assert _inflated(fast, stream) == found
        refused += found is None
        for checksum in ("crc32", "adler32"):
            for begun in (0, 1, 0xDEADBEEF):
                expected = getattr(zlib, checksum)(stream, begun)
                assert getattr(fast, checksum)(stream, begun) == expected
    assert refused > 50


def test_what_zlib_refuses_has_the_right_checksum_if_it_is_taken(
    plain: ModuleType, fast: ModuleType
) -> None:
    data = b"an odd text, and odd again " * 9
    body = zlib.compress(data)[2:-4]
    end = zlib.adler32(data).to_bytes(4)
    rng = random.Random(8)
    streams = [head.to_bytes(2) + body + end for head in range(1 << 16)]
    for _ in range(4000):
        flipped = bytearray(body)
        flipped[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        inflating = zlib.decompressobj(-15)
        with suppress(zlib.error):
            checksum = zlib.adler32(inflating.decompress(bytes(flipped)))
            streams.append(b"\x78\x9c" + flipped + checksum.to_bytes(4))
    taken = 0
    for stream in streams:
        found, expected = _inflated(fast, stream), _inflated(plain, stream)
        if expected is not None:
            assert found == expected
            taken += 1
        elif found is not None:
            assert zlib.adler32(found) == int.from_bytes(stream[-4:])
    assert taken > 2000
