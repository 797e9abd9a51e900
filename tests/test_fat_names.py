"""Names that FAT cannot tell apart, does not hold, or that some of its readers take otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

import blockpack
from blockpack import FatVolume, Tree

GiB = 1 << 30

TITLED = [
    (character, character.title())
    for character in map(chr, range(0x20000))  # beyond are ideographs, and private ones
    if len(character.upper()) != 1 == len(character.title())
    if character.title() != character
]
"""Letters without an upper case of one character that have a title case, and this."""


def tree_of(*paths: str) -> Tree:
    tree = Tree()
    for path in paths:
        tree.add(path, b"")
    return tree


def refused(*paths: str, profile: str = "any") -> list[str]:
    """The paths that are refused, of which there is one at least."""
    with pytest.raises(blockpack.Problems) as raised:
        FatVolume(profile=profile).plan(tree_of(*paths))
    return [error.path for error in raised.value.exceptions if hasattr(error, "path")]


def warned(*paths: str, profile: str) -> list[str]:
    warnings = FatVolume(profile=profile).plan(tree_of(*paths)).warnings
    return [warning.path for warning in warnings if warning.code == "device-name"]


def test_there_are_27_letters_with_a_title_case_alone() -> None:
    assert len(TITLED) == 27
    assert ("ᾳ", "ᾼ") in TITLED


@pytest.mark.parametrize(("small", "title"), TITLED)
def test_names_that_are_equal_by_title_case_are_refused(small: str, title: str) -> None:
    assert refused(f"a{small}.txt", f"A{title}.TXT") == [f"a{small}.txt"]
    assert refused(f"dir/{small}", f"dir/{title}", "dir/other") == [f"dir/{title}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "A"),
        ("é", "É"),
        ("я", "Я"),
        ("ǆ", "Ǆ"),
        ("ǅ", "ǆ"),
        ("\u00b5", "\u039c"),
        ("\u017f", "S"),
        ("𐐨", "𐐀"),
    ],
)
def test_names_that_are_equal_but_for_case_are_refused(one: str, other: str) -> None:
    assert len(refused(one, other)) == 1


@pytest.mark.parametrize(("one", "other"), [("ß", "ss"), ("ﬁ", "fi"), ("ΐ", "Ϊ́"), ("a", "á")])
def test_names_that_no_table_of_letters_makes_equal_are_held(one: str, other: str) -> None:
    assert FatVolume().plan(tree_of(one, other)).warnings == ()


@pytest.mark.parametrize("path", ["\uffff", "a\uffffb.txt", "dir/x\uffff"])
@pytest.mark.parametrize("profile", ["any", "linux", "uefi"])
def test_what_fills_long_names_is_no_character_of_one(path: str, profile: str) -> None:
    assert refused(path, "fine", profile=profile) == [path]


def test_characters_beside_it_are_held(tmp_path: Path) -> None:
    names = {"\ufffe", "\ufffd", "\U0001ffff", "\uf8ff"}
    blockpack.write(FatVolume().plan(tree_of(*names)), tmp_path / "image")
    with blockpack.open_image(tmp_path / "image") as image:
        assert {entry.path for entry in image.walk()} == names
        assert image.verify() == []


def unread() -> BinaryIO:
    raise AssertionError("planning reads nothing")


@pytest.mark.parametrize("profile", ["any", "linux", "uefi"])
def test_a_file_that_ends_in_the_last_cluster_of_4_gib_is_warned_of(profile: str) -> None:
    tree = Tree()
    tree.add("dir/largest.bin", unread, size=4 * GiB - 1)
    tree.add("less.bin", unread, size=4 * GiB - (64 << 10))
    tree.add("EFI/BOOT/BOOTX64.EFI", unread, size=1)  # which uefi looks for
    [warning] = FatVolume(profile=profile).plan(tree).warnings
    assert (warning.path, warning.code) == ("dir/largest.bin", "fsck-miscounts")
    tree.remove("dir")
    assert FatVolume(profile=profile).plan(tree).warnings == ()


DEVICES = [
    *("CON", "con", "Con.txt", "PRN", "aux.h", "NUL", "nul.tar.gz"),
    *("COM1", "com9.log", "LPT1", "LPT9.x", "COM¹.txt", "com²", "LPT³"),
    *("CONIN$", "conout$", "CONIN$.txt", "dir/CON", "dir/aux"),
]
NO_DEVICES = [
    *("CONS", "CON1", "ICON", "COM", "COM0", "COM10", "COM⁴", "LPT0.txt", "NULL"),
    *("CONIN", "CLOCK$", "a.con", "con-", "CON/x.CON", "dir/ICON"),
]


@pytest.mark.parametrize("path", DEVICES)
def test_names_of_devices_are_warned_of_where_windows_may_read(path: str) -> None:
    assert warned(path, "other", profile="any") == [path]
    assert warned(path, "Übrige", profile="any") == [path]
    for profile in ("linux", "uefi"):
        assert warned(path, profile=profile) == []


@pytest.mark.parametrize("path", NO_DEVICES)
def test_names_like_those_of_devices_are_not_warned_of(path: str) -> None:
    expected = ["CON"] if path.startswith("CON/") else []
    assert warned(path, profile="any") == expected


def test_all_names_of_devices_are_told_at_once() -> None:
    paths = [path for path in DEVICES if path.isupper()]
    assert warned(*paths, *NO_DEVICES[:9], profile="any") == sorted(paths)


@pytest.mark.parametrize("length", [257, 300, 4095])
def test_a_path_that_linux_alone_reads_names_its_profile(length: int) -> None:
    path = "/".join(["d" * 100] * 50)[:length].rstrip("/")
    for profile in ("any", "uefi"):
        errors = _errors(tree_of(path), profile=profile)
        assert path in {error.path for error in errors}
        assert {error.option for error in errors} == {"profile=linux"}
        assert "profile='linux'" in str(errors[0])
    FatVolume(profile="linux").plan(tree_of(path))


def test_a_path_that_no_reader_takes_names_no_profile() -> None:
    path = "/".join(["d" * 100] * 50)
    for profile in ("any", "linux", "mirage"):
        [error] = [e for e in _errors(tree_of(path), profile=profile) if e.path == path]
        assert not error.option


def test_mirage_takes_paths_of_1000() -> None:
    path = "/".join(["d" * 99] * 10)
    FatVolume(profile="mirage").plan(tree_of(path))
    assert len(_errors(tree_of(path + "e/ee"), profile="mirage")) >= 1


def _errors(tree: Tree, **options: object) -> list[blockpack.BlockpackError]:
    with pytest.raises(blockpack.Problems) as raised:
        FatVolume(**options).plan(tree)  # type: ignore[arg-type]
    return [e for e in raised.value.exceptions if isinstance(e, blockpack.BlockpackError)]


@pytest.mark.parametrize("epoch", [-1, 0, 315_532_799, 4_354_819_200, 1 << 40])
@pytest.mark.parametrize("mtime", ["fixed", "keep"])
def test_a_date_that_fat_cannot_show_is_refused(epoch: int, mtime: str) -> None:
    """That of a label is one, too."""
    [error] = _errors(tree_of("a"), label="X", mtime=mtime, epoch=epoch)
    assert "outside 1980 to 2107" in error.rule
    assert error.option == "epoch=315532800"
    if mtime == "keep":  # then nothing shows the epoch
        FatVolume(mtime="keep", epoch=epoch).plan(tree_of("a"))


def test_a_link_names_what_follows_it() -> None:
    tree = Tree()
    tree.symlink("link", "target")
    [error] = _errors(tree)
    assert error.option == "symlinks=follow"


@pytest.mark.parametrize("size", [512, 4096, 127 * 512])
def test_a_size_that_fatfs_does_not_mount_is_refused(size: int) -> None:
    [error] = _errors(tree_of("a"), size=size)
    assert "FatFs" in error.rule and error.option == "size=65536"
    assert FatVolume(size=65536).plan(tree_of("a")).size == 65536


def test_a_size_that_is_too_small_names_one_that_is_not() -> None:
    tree = Tree()
    tree.add("a", bytes(100_000))
    [error] = _errors(tree, size=65536)
    name, _, value = error.option.partition("=")
    assert name == "size"
    assert FatVolume(size=int(value)).plan(tree).size == int(value)


def _never() -> BinaryIO:
    raise AssertionError("planning reads nothing")


@pytest.mark.parametrize(
    ("options", "option"),
    [({"fat_type": 12}, "fat_type=auto"), ({"profile": "mirage"}, "format=tar")],
)
def test_a_tree_that_a_type_cannot_hold_names_what_can(
    options: dict[str, object], option: str
) -> None:
    tree = Tree()
    for number in range(3):
        tree.add(f"{number}.bin", _never, size=2 * GiB - 1)
    [error] = [error for error in _errors(tree, **options) if error.path == ""]
    assert error.option == option
