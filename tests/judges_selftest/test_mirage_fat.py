"""The model of `fat_ro` reads real volumes, and fails where the reader is known to."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from judges import fat_tools
from judges.fat_invariants import check
from judges.fat_volume import Rules
from judges.mirage_fat import MirageFat
from judges.mirage_kv import Crash, KvError, NotFound

from .real_images import FILES, make_fat, make_tree, patch

READABLE = {"UPPER.TXT", "two clusters, not quite.bin"}
"""What mcopy stores so that this reader finds it, in the root directory."""
LARGE = ("-F16", "-S4096", "-s1")


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture(name="image")
def fixture_image(tmp_path: Path, tree: Path) -> Path:
    return make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1", tree=tree)


def add_padding_entry(image: Path) -> None:
    """Give ``exactly13.txt``, in the root directory, one more long-name entry."""
    data = image.read_bytes()
    reserved, fats, entries, _, _, length = struct.unpack_from("<HBHHBH", data, 14)
    root = (reserved + fats * length) * 512
    end = root + entries * 32
    at = data.index("xactl".encode("utf-16-le")[:8], root) - 3
    assert data[at] == 0x41, "the one entry of a name of 13 units"
    padding = b"\0\0" + b"\xff" * 24
    extra = (
        b"\x42" + padding[:10] + data[at + 11 : at + 14] + padding[10:22] + b"\0\0" + padding[22:]
    )
    patch(image, at, extra + b"\x01" + data[at + 1 : end - 32])


@pytest.mark.parametrize("sector", [512, 4096])
def test_4096_bytes_a_sector_are_read_on_both(tmp_path: Path, tree: Path, sector: int) -> None:
    image = make_fat(tmp_path / "fat.img", 40 << 20, *LARGE, tree=tree)
    store = MirageFat(image, sector)
    for name in READABLE:
        assert store.get(name) == FILES[name]


def test_512_bytes_a_sector_are_read_on_512_alone(image: Path) -> None:
    assert MirageFat(image, 512).get("UPPER.TXT") == FILES["UPPER.TXT"]
    with pytest.raises(Crash, match="not whole sectors"):
        MirageFat(image, 4096)


def test_names_are_found_exactly_or_not_at_all(image: Path) -> None:
    store = MirageFat(image)
    for name in READABLE:
        assert store.exists(name) == "value"
    assert store.exists("upper.txt") is None
    assert store.exists("TWOCLU~1.BIN") == "value"
    # Stored with lower-case bits, and so known by the short name alone.
    assert store.exists("nothing") is None
    assert store.exists("NOTHING") == "value"
    assert store.exists("DIR") == "dictionary"
    assert store.get("DIR/UPPER.TXT") == FILES["dir/UPPER.TXT"]
    # Found by its Latin-1 bytes, which no UTF-8 program asks for.
    assert store.exists("DIR/DEEP/Größe.txt") is None
    assert store.exists("DIR/DEEP/Größe.txt".encode("latin-1")) == "value"
    assert store.exists("UPPER.TXT/beyond") is None
    with pytest.raises(NotFound):
        store.get("DIR/none")
    with pytest.raises(KvError, match="directory"):
        store.get("DIR")


def test_a_name_of_13_needs_one_more_entry(image: Path) -> None:
    before = fat_tools.sevenzip_read(image)
    assert MirageFat(image).exists("exactly13.txt") is None
    add_padding_entry(image)
    assert MirageFat(image).get("exactly13.txt") == FILES["exactly13.txt"]
    assert fat_tools.sevenzip_read(image) == before
    assert fat_tools.mtools_read(image)["exactly13.txt"] == FILES["exactly13.txt"]
    assert fat_tools.pyfatfs_read(image)["exactly13.txt"] == FILES["exactly13.txt"]
    assert fat_tools.dissect_read(image)["exactly13.txt"] == FILES["exactly13.txt"]
    fat_tools.fsck(image)
    rules = Rules(alignment=512, lower_case_bits=True, mirage=True)
    assert check(image, rules)["exactly13.txt"].content == FILES["exactly13.txt"]
    with pytest.raises(AssertionError, match="2 entries for 13 units"):
        check(image, Rules(alignment=512, lower_case_bits=True))


def test_a_listing_fails_over_a_name_that_is_not_found(image: Path) -> None:
    with pytest.raises(NotFound, match="exactly13"):
        MirageFat(image).list_root()
    add_padding_entry(image)
    assert MirageFat(image).list_root() == {
        b"UPPER.TXT": "value",
        b"NOTHING": "value",
        b"DIR": "dictionary",
        b"exactly13.txt": "value",
        b"two clusters, not quite.bin": "value",
    }


def test_spaces_and_a_leading_dot_are_read_as_short_names(image: Path) -> None:
    store = MirageFat(image)
    assert store.exists(".UPPER") is None
    patch(image, image.read_bytes().index(b"UPPER   TXT"), b"MY FILETXT ")
    store = MirageFat(image)
    assert store.exists("MY FILET.XT") == "value"
    patch(image, image.read_bytes().index(b"MY FILETXT "), b"UPPER      ")
    assert MirageFat(image).exists(".UPPER") == "value"


def test_a_label_is_shown_as_an_empty_file(tmp_path: Path) -> None:
    image = make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1", "-n", "LABEL")
    store = MirageFat(image)
    assert store.list_root() == {b"LABEL": "value"}
    assert store.get("LABEL") == b""


def test_fat32_looks_empty(tmp_path: Path, tree: Path) -> None:
    image = make_fat(tmp_path / "fat.img", 40 << 20, "-F32", "-s1", tree=tree)
    assert MirageFat(image).list_root() == {}


def test_fat12_is_misread(tmp_path: Path, tree: Path) -> None:
    image = make_fat(tmp_path / "fat.img", 1 << 20, "-F12", "-s1", tree=tree)
    with pytest.raises(Crash, match="missing mapping"):
        MirageFat(image).get("two clusters, not quite.bin")


def test_2_gib_are_read_as_nothing(image: Path) -> None:
    entry = image.read_bytes().index(b"UPPER   TXT")
    patch(image, entry + 28, (1 << 31).to_bytes(4, "little"))
    assert MirageFat(image).get("UPPER.TXT") == b""


def test_a_cluster_beyond_the_limit_breaks_the_chain(image: Path) -> None:
    data = image.read_bytes()
    entry = data.index(b"TWOCLU~1BIN")
    (cluster,) = struct.unpack_from("<H", data, entry + 26)
    patch(image, 512 + cluster * 2, b"\xf0\xff")
    with pytest.raises(Crash, match="missing mapping"):
        MirageFat(image).get("two clusters, not quite.bin")


def test_what_is_no_fat_ends_the_unikernel(tmp_path: Path) -> None:
    image = tmp_path / "fat.img"
    image.write_bytes(bytes(1 << 20))
    with pytest.raises(Crash, match="signature"):
        MirageFat(image)
