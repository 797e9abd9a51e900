"""Encrypted images of whole trees, before a decoder that was written apart from the code."""

from __future__ import annotations

import io
import os
import random
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.layers.ccm import ITEM, EncryptedReader
from blockpack.layers.ccm_reader import decrypted
from blockpack.model.content import Opened
from blockpack.reading.positional import BytesReader
from blockpack.writing.parallel import pieces
from judges import ccm
from property.strategies import Spec, fold, materialise, mirage_fat_names, specs, tree_of

keys = st.sampled_from((16, 24, 32)).flatmap(lambda size: st.binary(min_size=size, max_size=size))
sector_sizes = st.sampled_from((512, 4096))
trees = specs(mirage_fat_names, key=fold, most_units=100)
KEY = bytes(range(32))


def layouts(sector_size: int) -> st.SearchStrategy[blockpack.Layout]:
    """Layouts of any bytes at all: literal ones, zeros and streams, in whole sectors."""

    def layout(parts: list[tuple[str, int, int]]) -> blockpack.Layout:
        extents: list[blockpack.Data | blockpack.Zeros | blockpack.Stream] = []
        at = 0
        for kind, length, seed in parts:
            data = random.Random(seed).randbytes(length)
            if kind == "data":
                extents.append(blockpack.Data(at, data))
            elif kind == "zeros":
                extents.append(blockpack.Zeros(at, length))
            else:
                opened = Opened(partial(io.BytesIO, data))
                extents.append(blockpack.Stream(at, length, opened, None, "a stream"))
            at += length
        rest = -at % sector_size
        if rest:
            extents.append(blockpack.Zeros(at, rest))
        from blockpack.planning.runs import Run

        return blockpack.Layout(format="raw", runs=(Run.of(*extents),), sector_size=sector_size)

    kinds = st.sampled_from(("data", "zeros", "stream"))
    lengths = st.integers(1, 3000) | st.sampled_from(
        (512, 4096, ITEM // 2, ITEM, ITEM + 1, 200_000)
    )
    return st.lists(st.tuples(kinds, lengths, st.integers(0, 99)), max_size=6).map(layout)


def image_of(layout: blockpack.Layout) -> bytes:
    with layout.open() as file:
        return file.read()


@given(data=st.data(), key=keys, sector_size=sector_sizes)
def test_the_decoder_gives_back_the_image(
    data: st.DataObject, key: bytes, sector_size: int
) -> None:
    """And no two sectors have one nonce; that is the decoder's to say, too."""
    layout = data.draw(layouts(sector_size))
    encrypted = blockpack.encrypt(layout, key)
    assert encrypted.size == 2 * layout.size
    assert encrypted.sector_size == sector_size
    image = io.BytesIO()
    blockpack.write(encrypted, image)
    assert ccm.decoded(image.getvalue(), key, sector_size) == image_of(layout)


@given(spec=trees, format=st.sampled_from(("tar", "fat")), key=keys, sector_size=sector_sizes)
def test_it_is_the_same_bytes_by_any_number_of_processes_and_without_being_written(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, format: str, key: bytes, sector_size: int
) -> None:
    directory = tmp_path_factory.mktemp("ccm")
    (directory / "source").mkdir()
    materialise(spec, directory / "source")
    volumes = {"tar": blockpack.TarVolume, "fat": blockpack.FatVolume}
    volume: blockpack.Volume = volumes[format](sector_size=sector_size)
    layout = volume.plan(blockpack.scan(directory / "source"))
    for jobs in (1, 3):
        encrypted = blockpack.encrypt(layout, key)
        image = image_of(encrypted)
        blockpack.write(encrypted, directory / "image", jobs=jobs)
        assert (directory / "image").read_bytes() == image
    blockpack.write(layout, directory / "plain")
    assert ccm.decoded(image, key, sector_size) == (directory / "plain").read_bytes()
    with blockpack.open_image(directory / "image", key=key) as ours:
        assert ours.size == layout.size
        assert ours.verify() == []
        assert {entry.path for entry in ours.walk()} == set(spec)


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_many_processes_write_the_same_bytes_as_one(tmp_path: Path, sector_size: int) -> None:
    """Of an image that is large enough for each to have several pieces of it."""
    (tmp_path / "source").mkdir()
    for number in range(30):
        (tmp_path / "source" / str(number)).write_bytes(random.Random(number).randbytes(200_000))
    tree = blockpack.scan(tmp_path / "source")
    layout = blockpack.TarVolume(sector_size=sector_size, free=12345).plan(tree)
    for jobs in (1, 3):
        encrypted = blockpack.encrypt(layout, KEY)
        assert len(pieces(encrypted, 3)) > 6
        blockpack.write(encrypted, tmp_path / "image", jobs=jobs)
        assert (tmp_path / "image").read_bytes() == image_of(encrypted)
    piped = io.BytesIO()
    encrypted = blockpack.encrypt(layout, KEY)
    blockpack.write(encrypted, piped)
    assert piped.getvalue() == image_of(encrypted)


def test_an_encrypted_layout_is_written_once(tmp_path: Path) -> None:
    """Or two images would have the same nonces."""
    encrypted = blockpack.encrypt(blockpack.TarVolume().plan(blockpack.Tree()), KEY)
    blockpack.write(encrypted, tmp_path / "one")
    with pytest.raises(blockpack.UsageError, match="written once, for"):
        blockpack.write(encrypted, tmp_path / "two")
    with pytest.raises(blockpack.UsageError, match="written once"):
        blockpack.write(encrypted, io.BytesIO())
    assert not (tmp_path / "two").exists()


def test_a_write_that_fails_before_its_first_byte_does_not_count(tmp_path: Path) -> None:
    encrypted = blockpack.encrypt(blockpack.TarVolume().plan(blockpack.Tree()), KEY)
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    for target in ("directory", "missing/image", "file/image", "image/", "x" * 300):
        with pytest.raises(blockpack.TargetError):
            blockpack.write(encrypted, f"{tmp_path}/{target}")
    with pytest.raises(blockpack.UsageError):
        blockpack.write(encrypted, tmp_path / "image", jobs=0)
    blockpack.write(encrypted, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == image_of(encrypted)


@given(data=st.data(), sector_size=sector_sizes)
def test_it_is_the_same_bytes_from_any_byte_on(data: st.DataObject, sector_size: int) -> None:
    encrypted = blockpack.encrypt(data.draw(layouts(sector_size)), KEY)
    image = image_of(encrypted)
    with encrypted.open() as file:
        for _ in range(4):
            offset = data.draw(st.integers(0, encrypted.size))
            length = data.draw(st.integers(0, 300_000))
            file.seek(offset)
            assert file.read(length) == image[offset : offset + length]


@given(data=st.data(), sector_size=sector_sizes)
def test_extents_can_be_begun_at_any_byte(data: st.DataObject, sector_size: int) -> None:
    encrypted = blockpack.encrypt(data.draw(layouts(sector_size)), KEY)
    extents = list(encrypted.extents)
    offset = data.draw(st.integers(0, encrypted.size))
    expected = [extent for extent in extents if extent.offset + extent.length > offset]
    assert list(encrypted.extents.starting_at(offset)) == expected


@given(data=st.data(), sector_size=sector_sizes)
def test_what_is_encrypted_can_be_read_at_any_byte(data: st.DataObject, sector_size: int) -> None:
    layout = data.draw(layouts(sector_size).filter(lambda layout: layout.size > 0))
    image = image_of(layout)
    encrypted = BytesReader(image_of(blockpack.encrypt(layout, KEY)))
    layer = decrypted(encrypted, "it", KEY, device=False)
    assert layer.size == layout.size
    assert list(layer.damaged()) == []
    plain = layer.file(data.draw(st.sampled_from((1, 100, 16384))))
    for _ in range(4):
        offset = data.draw(st.integers(0, layout.size))
        length = data.draw(st.integers(0, 300_000))
        plain.seek(offset)
        assert plain.read(length) == image[offset : offset + length]


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_two_encryptions_have_nothing_in_common(sector_size: int) -> None:
    """No ciphertext, no tag, no nonce and no additional data, though the key is the same."""
    tree = blockpack.Tree()
    tree.add("a", b"x" * 300_000)
    layout = blockpack.TarVolume(sector_size=sector_size).plan(tree)
    one, other = blockpack.encrypt(layout, KEY), blockpack.encrypt(layout, KEY)
    assert one != other
    images = image_of(one), image_of(other)
    seen: set[bytes] = set()
    for image in images:
        for at in range(0, len(image), 2 * sector_size):
            end = at + sector_size
            parts = image[at:end], image[end : end + 16], image[end + 16 : end + 24]
            assert not seen & {*parts, image[end + 24 : end + sector_size]}
            seen |= {*parts, image[end + 24 : end + sector_size]}
    assert len(seen) == 4 * 2 * layout.size // sector_size


def test_the_same_content_looks_different_in_each_sector() -> None:
    from blockpack.planning.runs import Run

    zeros = (Run.of(blockpack.Zeros(0, 1 << 20)),)
    image = image_of(
        blockpack.encrypt(blockpack.Layout(format="raw", runs=zeros, sector_size=512), KEY)
    )
    blocks = {image[at : at + 16] for at in range(0, len(image) - 8, 16)}
    assert len(blocks) == len(image) // 16, "two blocks of 16 bytes are alike"


def test_nonces_go_on_past_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    really_random = os.urandom
    monkeypatch.setattr(
        os, "urandom", lambda count: b"\xff" * 8 if count == 8 else really_random(count)
    )
    layout = blockpack.TarVolume().plan(blockpack.Tree())
    image = image_of(blockpack.encrypt(layout, KEY))
    nonces = [sector.nonce for sector in ccm.sectors(image, KEY, 512)]
    assert nonces[:3] == [b"\xff" * 8, bytes(8), bytes(7) + b"\x01"]
    assert ccm.decoded(image, KEY, 512) == image_of(layout)


@given(spec=trees)
def test_a_layout_of_an_encrypted_image_gives_nothing_away(spec: Spec) -> None:
    layout = blockpack.TarVolume().plan(tree_of(spec))
    encrypted = blockpack.encrypt(layout, KEY)
    assert (encrypted.format, encrypted.title) == ("aes-ccm", "AES-CCM")
    assert encrypted.geometry.keys() == {"cipher", "sectors", "first_nonce"}
    assert list(encrypted.placements()) == []
    assert encrypted.warnings == ()
    for shown in (repr(encrypted), *map(repr, encrypted.extents)):
        assert KEY.hex() not in shown and repr(KEY) not in shown
        assert "source" not in shown and "entries" not in shown


class Forward(io.RawIOBase):
    """A stream that cannot seek."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._file.readinto(buffer)


def test_a_stream_is_read_once_however_long(tmp_path: Path) -> None:
    """Each piece of the image goes on where the last one ended."""
    data = random.Random(5).randbytes(40 * ITEM)
    opened = 0

    def once() -> io.BufferedReader:
        nonlocal opened
        opened += 1
        return io.BufferedReader(Forward(data))

    tree = blockpack.Tree()
    tree.add("stream", once, size=40 * ITEM)
    encrypted = blockpack.encrypt(blockpack.TarVolume().plan(tree), KEY)
    assert not encrypted.forkable
    blockpack.write(encrypted, tmp_path / "image", jobs=4)
    assert opened == 1
    with blockpack.open_image(tmp_path / "image", key=KEY) as image:
        assert image.open("stream").read() == data


def test_reading_at_the_end_encrypts_nothing_of_what_is_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = blockpack.Tree()
    tree.add("file", bytes(40 * ITEM))
    encrypted = blockpack.encrypt(blockpack.TarVolume().plan(tree), KEY)
    sealed = 0
    really_seal = EncryptedReader.seal

    def seal(self: EncryptedReader, data: bytes, sector: int) -> bytes:
        nonlocal sealed
        sealed += len(data)
        return really_seal(self, data, sector)

    monkeypatch.setattr(EncryptedReader, "seal", seal)
    with encrypted.open() as file:
        for offset in (-10, -(30 * ITEM), -(20 * ITEM)):
            file.seek(offset, os.SEEK_END)
            assert len(file.read(10)) == 10
    assert sealed <= 6 * ITEM


def test_a_source_that_changed_is_an_error_before_any_of_it_is_encrypted(tmp_path: Path) -> None:
    """Or one nonce would have two plaintexts."""
    (tmp_path / "source").mkdir()
    file = tmp_path / "source" / "file"
    file.write_bytes(b"a" * 100_000)
    encrypted = blockpack.encrypt(
        blockpack.TarVolume().plan(blockpack.scan(tmp_path / "source")), KEY
    )
    before = image_of(encrypted)
    file.write_bytes(b"b" * 100_000)
    os.utime(file, (1, 1))
    got = io.BytesIO()
    with pytest.raises(blockpack.SourceError, match="file: was modified since it was planned"):
        blockpack.write(encrypted, got)
    assert before.startswith(got.getvalue())


@pytest.mark.parametrize("size", [0, 1, 15, 17, 31, 33, 64])
def test_a_key_of_another_size_is_a_usage_error(size: int) -> None:
    layout = blockpack.TarVolume().plan(blockpack.Tree())
    with pytest.raises(blockpack.UsageError, match=f"a key has 16 or 24 or 32 bytes, not {size}"):
        blockpack.encrypt(layout, bytes(size))


def test_sector_sizes_that_do_not_fit_are_usage_errors() -> None:
    plan = blockpack.TarVolume().plan
    layout = plan(blockpack.Tree())
    for size, message in (
        (1024, "the sector size of encryption is 512 or 4096, not 1024"),
        (4096, "planned for sectors of 512 bytes, not of 4096; give sector_size=4096"),
    ):
        with pytest.raises(blockpack.UsageError, match=message):
            blockpack.encrypt(layout, KEY, sector_size=size)
    odd = blockpack.Layout(format="raw", runs=layout.runs, sector_size=1)
    with pytest.raises(blockpack.UsageError, match="the sector size of encryption"):
        blockpack.encrypt(odd, KEY)
    from blockpack.planning.runs import Run

    runs = (Run.of(blockpack.Data(0, b"odd")),)
    with pytest.raises(blockpack.UsageError, match="only whole sectors of 512 bytes"):
        blockpack.encrypt(blockpack.Layout(format="raw", runs=runs, sector_size=512), KEY)


def test_smaller_sectors_than_planned_will_do() -> None:
    layout = blockpack.FatVolume(profile="mirage").plan(blockpack.Tree())
    image = image_of(blockpack.encrypt(layout, KEY, sector_size=512))
    assert ccm.decoded(image, KEY, 512) == image_of(layout)
