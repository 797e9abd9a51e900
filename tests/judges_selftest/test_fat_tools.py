"""The FAT programs read what mkfs.fat and mcopy wrote, and notice when it is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from judges import fat_tools
from judges.fat_tools import Contents

from .real_images import CONTENTS, TIME, make_fat, make_tree, patch

READERS: dict[str, Callable[[Path], Contents]] = {
    "mtools": fat_tools.mtools_read,
    "7-Zip": lambda image: fat_tools.sevenzip_read(image)[0],
    "pyfatfs": fat_tools.pyfatfs_read,
    "dissect.fat": fat_tools.dissect_read,
}
VOLUMES = {
    "FAT12": (1 << 20, "-F12", "-s1"),
    "FAT16": (1 << 22, "-F16", "-s1"),
    "FAT32": (40 << 20, "-F32", "-s1"),
}


@pytest.fixture(name="image", params=VOLUMES)
def fixture_image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    size, *options = VOLUMES[request.param]
    return make_fat(tmp_path / "fat.img", size, *options, tree=make_tree(tmp_path / "tree"))


def spelled(contents: Contents, judge: str) -> Contents:
    """`contents` as a judge reads them that does not know of lower-case bits."""
    if judge in ("mtools", "7-Zip"):
        return contents
    # mcopy writes no long names for these, but bits beside the short name.
    return {
        "/".join(
            part.upper() if part in ("nothing", "dir", "deep", "empty") else part
            for part in path.split("/")
        ): data
        for path, data in contents.items()
    }


@pytest.mark.parametrize("judge", READERS)
def test_every_name_and_byte_is_read(image: Path, judge: str) -> None:
    assert READERS[judge](image) == spelled(CONTENTS, judge)


@pytest.mark.parametrize("judge", READERS)
def test_an_empty_volume_is_read(tmp_path: Path, judge: str) -> None:
    assert READERS[judge](make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1")) == {}


@pytest.mark.parametrize("judge", READERS)
def test_one_changed_byte_is_seen(image: Path, judge: str) -> None:
    patch(image, image.read_bytes().index(b"thirteen"), b"T")
    read = READERS[judge](image)
    assert read != spelled(CONTENTS, judge)
    assert read["exactly13.txt"] == b"Thirteen\n"


@pytest.mark.parametrize("judge", READERS)
def test_a_changed_name_is_seen(image: Path, judge: str) -> None:
    patch(image, image.read_bytes().index("xact".encode("utf-16-le")), b"X")
    assert READERS[judge](image).keys() != spelled(CONTENTS, judge).keys()


# pyfatfs does not close a file that it does not understand.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("judge", READERS)
def test_what_is_no_fat_is_rejected(tmp_path: Path, judge: str) -> None:
    image = tmp_path / "fat.img"
    image.write_bytes(bytes(1 << 20))
    with pytest.raises(Exception, match=r"\S"):
        READERS[judge](image)


def test_7zip_tells_the_times(image: Path) -> None:
    _, times = fat_tools.sevenzip_read(image)
    assert {path: times[path] for path in CONTENTS} == dict.fromkeys(CONTENTS, TIME)


def test_7zip_rejects_a_truncated_volume(image: Path) -> None:
    data = image.read_bytes()
    image.write_bytes(data[: data.index(b"thirteen")])
    with pytest.raises(AssertionError):
        fat_tools.sevenzip_read(image)


def test_fsck_has_nothing_to_say(image: Path) -> None:
    fat_tools.fsck(image)


def test_fsck_rejects_differing_fats(image: Path) -> None:
    first = image.read_bytes().index(b"\xf8\xff\xff", 512)
    patch(image, image.read_bytes().index(b"\xf8\xff\xff", first + 512) + 8, b"\x07")
    with pytest.raises(AssertionError, match=r"fsck\.fat"):
        fat_tools.fsck(image)


def test_fsck_rejects_what_it_merely_mentions(image: Path) -> None:
    # A dirty bit does not keep fsck.fat -n from exiting with 0 in every version.
    offset = 65 if b"FAT32   " in image.read_bytes()[:512] else 37
    patch(image, offset, b"\x01")
    with pytest.raises(AssertionError, match=r"fsck\.fat"):
        fat_tools.fsck(image)


def test_mtools_spells_names_beyond_the_bmp_with_underscores() -> None:
    assert fat_tools.mtools_spelling("a/\N{GRINNING FACE}.é") == "a/__.é"


def test_7zip_spells_some_private_characters_as_bytes(tmp_path: Path) -> None:
    name = "a\uef80b\uefc3\uefbc"
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / name).write_bytes(b"private")
    image = make_fat(tmp_path / "fat.img", 1 << 20, "-F12", "-s1", tree=tree)
    assert fat_tools.sevenzip_spelling(name) == "a\udc80bü"
    assert fat_tools.sevenzip_read(image)[0] == {fat_tools.sevenzip_spelling(name): b"private"}
    assert fat_tools.mtools_read(image) == {name: b"private"}
