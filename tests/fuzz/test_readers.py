"""Readers raise their own errors and no others, whatever is done to an image, and they end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fuzz.fuzz_readers import survive, write_corpus
from fuzz.mutations import (
    DISKS,
    EROFS,
    GIT,
    TAR,
    disk_images,
    erofs_images_of,
    fat_images,
    git_images_of,
    tar_images,
)
from hostile.fat_images import sound

SUPERBLOCK = EROFS[12][1024:1040]

EXAMPLES = settings().max_examples
"""How far the profile looks; an example takes milliseconds here, and judges are not asked."""


def examine(data: bytes) -> None:
    problems = survive(data)
    event("damage was found" if problems else "nothing is wrong with it")


@settings(max_examples=10 * EXAMPLES)
@given(tar_images)
def test_a_damaged_archive_is_an_error_or_read(data: bytes) -> None:
    examine(data)


@settings(max_examples=5 * EXAMPLES)
@given(fat_images(12))
def test_a_damaged_fat12_is_an_error_or_read(data: bytes) -> None:
    examine(data)


@settings(max_examples=3 * EXAMPLES)
@given(fat_images(16))
def test_a_damaged_fat16_is_an_error_or_read(data: bytes) -> None:
    examine(data)


@settings(max_examples=EXAMPLES)
@given(fat_images(32))
def test_a_damaged_fat32_is_an_error_or_read(data: bytes) -> None:
    examine(data)


@pytest.mark.parametrize("container", GIT)
@settings(max_examples=2 * EXAMPLES)
@given(data=st.data())
def test_a_damaged_git_image_is_an_error_or_read(container: str, data: st.DataObject) -> None:
    examine(data.draw(git_images_of(container)))


@pytest.mark.parametrize("bits", EROFS)
@settings(max_examples=3 * EXAMPLES)
@given(data=st.data())
def test_a_damaged_erofs_is_an_error_or_read(bits: int, data: st.DataObject) -> None:
    examine(data.draw(erofs_images_of(bits)))


@pytest.mark.parametrize("table", DISKS)
@settings(max_examples=3 * EXAMPLES)
@given(data=st.data())
def test_a_damaged_disk_is_an_error_or_read(table: str, data: st.DataObject) -> None:
    examine(data.draw(disk_images(table)))


@given(
    st.binary(max_size=2048)
    | st.binary(max_size=2048).map(lambda data: data[:257] + b"ustar\x0000" + data[265:])
    | st.binary(max_size=2048).map(lambda data: b"PACK\0\0\0\2\0\0\0" + data)
    | st.binary(max_size=2048).map(lambda data: data[:28] + b"PACK\0\0\0\2\0\0\0" + data[28:])
    | st.binary(max_size=2048).map(lambda data: b"# v2 git bundle\n" + data)
    | st.binary(max_size=2048).map(lambda data: data[:1024] + SUPERBLOCK + data[1040:])
    | st.binary(max_size=2048).map(lambda data: data[:510] + b"\x55\xaa" + data[512:])
    | st.binary(max_size=2048).map(lambda data: b"\xeb" + data[1:510] + b"\x55\xaa" + data[512:])
)
def test_any_bytes_are_an_error_or_read(data: bytes) -> None:
    examine(data)


@pytest.mark.parametrize(
    "data", [TAR, sound(12), sound(16), sound(32), *GIT.values(), *EROFS.values(), *DISKS.values()]
)
def test_what_is_damaged_was_sound(data: bytes) -> None:
    assert survive(data) == []


def test_the_target_for_atheris_has_sound_images_to_begin_with(tmp_path: Path) -> None:
    assert "atheris" not in sys.modules, "it is asked for by those alone who fuzz"
    write_corpus(tmp_path / "corpus")
    images = sorted((tmp_path / "corpus").iterdir())
    assert len(images) == 2 + len(GIT) + len(EROFS) + len(DISKS)
    for image in images:
        assert survive(image.read_bytes()) == []
