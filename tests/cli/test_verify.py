"""``verify``: whatever is not as it was is found, and named on standard output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from cli.conftest import TIME
from cli.running import FORMATS, Command

KEEP = ("--mtime", "keep")


@pytest.fixture(name="image", params=FORMATS)
def fixture_image(
    request: pytest.FixtureRequest, command: Command, source: Path, tmp_path: Path
) -> Path:
    """The source as an image, with its own times."""
    image = tmp_path / f"image.{request.param}"
    command("pack", source, image, "--format", request.param, *KEEP)
    return image


def test_a_sound_image_is_said_to_be(command: Command, image: Path) -> None:
    result = command("verify", image)
    assert (result.out, result.messages) == (b"", [f"{image}: sound"])


def test_an_image_like_its_source_is_said_to_be(
    command: Command, image: Path, source: Path
) -> None:
    result = command("verify", image, source, *KEEP)
    assert (result.out, result.messages) == (b"", [f"{image}: sound, and the same as {source}"])


def test_quiet_says_nothing_of_what_is_well(command: Command, image: Path, source: Path) -> None:
    for arguments in ((image,), (image, source, *KEEP)):
        result = command("verify", *arguments, "-q")
        assert (result.out, result.err) == (b"", "")


def _touch(source: Path) -> None:
    os.utime(source / "empty", (TIME + 60, TIME + 60))


def _touch_directory(source: Path) -> None:
    os.utime(source / "hollow", (TIME + 60, TIME + 60))


def _change_byte(source: Path) -> None:
    data = bytearray((source / "video.bin").read_bytes())
    data[70_000] ^= 1
    (source / "video.bin").write_bytes(data)
    os.utime(source / "video.bin", (TIME, TIME))


def _grow(source: Path) -> None:
    with open(source / "video.bin", "ab") as file:
        file.write(b"!")
    os.utime(source / "video.bin", (TIME, TIME))


def _add(source: Path) -> None:
    (source / "more").write_bytes(b"")
    os.utime(source / "more", (TIME, TIME))


def _make_directory(source: Path) -> None:
    (source / "empty").unlink()
    (source / "empty").mkdir()
    os.utime(source / "empty", (TIME, TIME))


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a byte": (_change_byte, ["video.bin: differs from byte 70,000 on"]),
    "a size": (_grow, ["video.bin: has 102,400 bytes, and should have 102,401"]),
    "a file more": (_add, ["more: is missing in the image"]),
    "a file less": (
        lambda source: (source / "empty").unlink(),
        ["empty: is in the image, and not in the source"],
    ),
    "a directory less": (
        lambda source: (source / "hollow").rmdir(),
        ["hollow: is in the image, and not in the source"],
    ),
    "a name": (
        lambda source: (source / "empty").rename(source / "EMPTY"),
        ["EMPTY: is missing in the image", "empty: is in the image, and not in the source"],
    ),
    "a time": (_touch, ["empty: has another time than the source would get"]),
    "a directory's time": (
        _touch_directory,
        ["hollow: has another time than the source would get"],
    ),
    "a kind": (_make_directory, ["empty: is a file, and should be a directory"]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "quiet"])
def test_a_source_that_changed_is_a_difference(
    command: Command, image: Path, source: Path, change: str, quiet: tuple[str, ...]
) -> None:
    make, expected = CHANGES[change]
    make(source)
    result = command("verify", image, source, *KEEP, *quiet, code=1)
    assert sorted(result.lines) == expected
    assert result.err == ""


def test_a_tar_alone_is_no_erofs(command: Command, source: Path, tmp_path: Path) -> None:
    plain, both = tmp_path / "plain.tar", tmp_path / "both.tar"
    command("pack", source, plain)
    command("pack", source, both, "--erofs", "-q")
    refused = command("verify", plain, source, "--erofs", code=2)
    assert "is a tar, and no EROFS; leave --erofs out" in refused.err
    for words in ((), ("--erofs",)):
        assert command("verify", both, source, *words).code == 0


def test_all_differences_are_told_at_once(command: Command, image: Path, source: Path) -> None:
    for change in ("a byte", "a file more", "a directory less", "a time"):
        CHANGES[change][0](source)
    assert len(command("verify", image, source, *KEEP, code=1).lines) == 4


def test_a_byte_that_changed_in_the_image_is_a_difference(
    command: Command, image: Path, source: Path
) -> None:
    with blockpack.open_image(image) as opened:
        offset = opened.get("video.bin").offset
    assert offset is not None
    with open(image, "r+b") as file:
        file.seek(offset + 12_345)
        file.write(b"!")
    assert command("verify", image).code == 0, "a structure knows nothing of contents"
    expected = ["video.bin: differs from byte 12,345 on"]
    assert command("verify", image, source, *KEEP, code=1).lines == expected


def test_times_are_compared_by_the_rule_that_is_given(
    command: Command, source: Path, tmp_path: Path
) -> None:
    command("pack", source, tmp_path / "x.tar")
    CHANGES["a time"][0](source)
    assert command("verify", tmp_path / "x.tar", source).code == 0, "fixed times do not differ"
    assert len(command("verify", tmp_path / "x.tar", source, *KEEP, code=1).lines) == 9


@pytest.mark.parametrize("options", [("--mtime", "keep"), ("--mtime", "keep", "--mode", "keep")])
def test_options_that_may_be_missing_are_named(
    command: Command, source: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (source / "empty").chmod(0o600)
    command("pack", source, tmp_path / "x.tar", *options)
    told = command("verify", tmp_path / "x.tar", source, code=1).messages
    assert told == [f"if it was packed with {' '.join(options)}, give that here, too"]
    assert command("verify", tmp_path / "x.tar", source, *options).code == 0
    (source / "more").write_bytes(b"")
    assert command("verify", tmp_path / "x.tar", source, code=1).messages == []


def test_what_was_excluded_is_no_difference_with_the_same_patterns(
    command: Command, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "x.tar"
    options = ("--exclude", "*.html", "--exclude", "!index.html")
    command("pack", source, image, *options)
    assert command("verify", image, source, *options).code == 0
    expected = ["pages/about us.html: is missing in the image"]
    assert command("verify", image, source, code=1).lines == expected


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_in_its_own_source_is_no_difference(
    command: Command, source: Path, form: str
) -> None:
    command("pack", source, source / "image", "--format", form)
    assert command("verify", source / "image", source).code == 0


def test_a_link_that_leads_elsewhere_is_a_difference(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "link").symlink_to("empty")
    command("pack", source, tmp_path / "x.tar")
    (source / "link").unlink()
    (source / "link").symlink_to("hollow")
    expected = ["link: leads to empty, and should lead to hollow"]
    assert command("verify", tmp_path / "x.tar", source, code=1).lines == expected


def test_size_and_type_of_the_image_are_no_difference(
    command: Command, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    command("pack", source, image, "--format", "fat", "--fat-type", "16", "--size", "20M")
    assert command("verify", image, source).code == 0


def test_damaged_structure_is_told_from_a_difference(
    command: Command, image: Path, source: Path
) -> None:
    data = bytearray(image.read_bytes())
    if image.suffix == ".tar":
        data[0] ^= 0xFF  # the first name, so that the checksum is wrong
    elif image.suffix == ".erofs":
        data[1024 + 4] ^= 0xFF  # the superblock's checksum
    else:
        data[512 * int.from_bytes(data[14:16], "little") + 4] ^= 0xFF  # the first copy of the FAT
    image.write_bytes(data)
    for arguments in ((image,), (image, source, *KEEP)):
        result = command("verify", *arguments, code=6)
        assert result.lines, "the damage is named"
        assert result.err == ""


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_image_that_was_cut_short_is_damaged(
    command: Command, image: Path, share: float
) -> None:
    os.truncate(image, int(image.stat().st_size * share))
    result = command("verify", image, code=6)
    assert "cut short" in result.out.decode() + result.err


def test_a_missing_source_is_no_difference(command: Command, image: Path, tmp_path: Path) -> None:
    assert "nowhere" in command("verify", image, tmp_path / "nowhere", code=4).err


def test_another_format_than_the_images_is_refused(
    command: Command, source: Path, tmp_path: Path
) -> None:
    command("pack", source, tmp_path / "x.tar")
    result = command("verify", tmp_path / "x.tar", source, "--format", "fat", code=2)
    assert result.messages == [f"{tmp_path}/x.tar: is tar, not fat; leave --format out"]
