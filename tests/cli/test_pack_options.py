"""``blockpack pack``: options of profiles and formats, and what is wrong with their values."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

import blockpack
from cli.conftest import TIME
from cli.packing import contents, info, tree_of
from cli.running import FORMATS, Command


def test_the_profile_rules_the_geometry(command: Command, source: Path, tmp_path: Path) -> None:
    (source / "pages/deep/er/Größe.txt").unlink()  # its reader finds ASCII names only
    options = ("--format", "fat", "--profile", "mirage")
    command("pack", source, tmp_path / "image", *options)
    facts = info(command, tmp_path / "image")
    assert (facts["fat_type"], facts["sector_size"]) == (16, 4096)


def test_an_unknown_profile_is_wrong_usage_and_the_known_ones_are_named(
    command: Command, source: Path, tmp_path: Path
) -> None:
    result = command("pack", source, tmp_path / "x.tar", "--profile", "amiga", code=2)
    for name in ("amiga", "any", "mirage", "linux", "uefi"):
        assert name in result.err


@pytest.mark.parametrize("form", FORMATS)
def test_times_are_fixed_kept_or_clamped(
    command: Command,
    source: Path,
    tmp_path: Path,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = TIME + 1000
    os.utime(source / "index.html", (later, later))

    def seconds(*options: str) -> dict[str, int]:
        command("pack", source, tmp_path / "image", "--format", form, *options)
        with blockpack.open_image(tmp_path / "image") as image:
            return {entry.path: entry.mtime_ns // 10**9 for entry in image.walk()}

    assert set(seconds().values()) == {315_532_800}
    kept = seconds("--mtime", "keep")
    assert (kept["index.html"], kept["video.bin"], kept["hollow"]) == (later, TIME, TIME)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(TIME + 10))
    assert set(seconds("--mtime", "fixed").values()) == {TIME + 10}
    clamped = seconds("--mtime", "clamp")
    assert (clamped["index.html"], clamped["video.bin"]) == (TIME + 10, TIME)


def test_a_source_date_epoch_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    result = command("pack", source, tmp_path / "x.tar", code=2)
    assert "SOURCE_DATE_EPOCH is 'yesterday'" in result.err


def test_the_label_is_in_the_image(command: Command, source: Path, tmp_path: Path) -> None:
    command("pack", source, tmp_path / "image", "--format", "fat", "--label", "WWW")
    assert info(command, tmp_path / "image")["label"].strip() == "WWW"


@pytest.mark.parametrize("label", ["TWELVE_CHARS", 'A"B'])
def test_a_label_that_fat_cannot_hold_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, label: str
) -> None:
    options = ("--format", "fat", "--label", label)
    assert "label" in command("pack", source, tmp_path / "image", *options, code=2).err


@pytest.mark.parametrize(
    ("bits", "room"), [("12", "100K"), ("16", "4M"), ("32", "40M"), ("auto", "100K")]
)
def test_the_fat_type_can_be_forced(
    command: Command, source: Path, tmp_path: Path, bits: str, room: str
) -> None:
    options = ("--format", "fat", "--fat-type", bits, "--free", room)
    command("pack", source, tmp_path / "image", *options)
    assert info(command, tmp_path / "image")["fat_type"] == (12 if bits == "auto" else int(bits))
    assert contents(tmp_path / "image") == tree_of(source)


@pytest.mark.parametrize(("text", "size"), [("512", 512), ("8K", 8192), ("64K", 65536)])
def test_the_cluster_size_can_be_given(
    command: Command, source: Path, tmp_path: Path, text: str, size: int
) -> None:
    command("pack", source, tmp_path / "image", "--format", "fat", "--cluster-size", text)
    assert info(command, tmp_path / "image")["cluster_size"] == size


def test_a_cluster_size_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path
) -> None:
    options = ("--format", "fat", "--cluster-size", "3000")
    assert "3000" in command("pack", source, tmp_path / "image", *options, code=2).err


@pytest.mark.parametrize("dialect", ["pax", "ustar", "gnu"])
def test_the_tar_dialect_says_how_long_names_are_written(
    command: Command, source: Path, tmp_path: Path, dialect: str
) -> None:
    name = "/".join(["long" * (15 if dialect == "ustar" else 30)] * 3)
    (source / name).parent.mkdir(parents=True)
    (source / name).write_bytes(b"far")
    command("pack", source, tmp_path / "x.tar", "--tar-dialect", dialect)
    image = (tmp_path / "x.tar").read_bytes()
    assert (b"ustar  \0" in image) == (dialect == "gnu")
    assert (b"@PaxHeader" in image) == (dialect == "pax")
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert name in archive.getnames()


@pytest.mark.parametrize(
    ("align", "boundary", "threshold"),
    [("auto", 4096, 64 << 10), ("4096", 4096, 4096), ("16K", 16384, 16384), ("512", 512, 0)],
)
def test_align_puts_payloads_on_boundaries(
    command: Command, source: Path, tmp_path: Path, align: str, boundary: int, threshold: int
) -> None:
    command("pack", source, tmp_path / "x.tar", "--align", align)
    with blockpack.open_image(tmp_path / "x.tar") as image:
        offsets = [entry.offset or 0 for entry in image.walk() if entry.size >= max(threshold, 1)]
        assert offsets
        assert all(offset % boundary == 0 for offset in offsets)
    assert contents(tmp_path / "x.tar") == tree_of(source)


@pytest.mark.parametrize("align", ["1000", "0", "often", "2M"])
def test_an_alignment_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, align: str
) -> None:
    assert "align" in command("pack", source, tmp_path / "x.tar", "--align", align, code=2).err


def test_the_owner_is_root_or_kept_or_given(command: Command, source: Path, tmp_path: Path) -> None:
    def owners(*options: str) -> set[tuple[int, int]]:
        command("pack", source, tmp_path / "x.tar", *options)
        with tarfile.open(tmp_path / "x.tar") as archive:
            # The root, "./", is there for alignment alone.
            return {(member.uid, member.gid) for member in archive if member.name != "."}

    status = source.stat()
    assert owners() == owners("--owner", "0:0") == {(0, 0)}
    assert owners("--owner", "12:34") == {(12, 34)}
    assert owners("--owner", "keep") == {(status.st_uid, status.st_gid)}


@pytest.mark.parametrize("owner", ["root", "0", "0:", "a:b", "-1:0"])
def test_an_owner_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, owner: str
) -> None:
    assert "owner" in command("pack", source, tmp_path / "x.tar", f"--owner={owner}", code=2).err


def test_modes_are_normal_or_kept(command: Command, source: Path, tmp_path: Path) -> None:
    (source / "index.html").chmod(0o600)
    (source / "empty").chmod(0o700)
    (source / "hollow").chmod(0o700)

    def modes(*options: str) -> list[int]:
        command("pack", source, tmp_path / "x.tar", *options)
        with tarfile.open(tmp_path / "x.tar") as archive:
            return [archive.getmember(name).mode for name in ("index.html", "empty", "hollow")]

    assert modes() == [0o644, 0o755, 0o755]
    assert modes("--mode", "keep") == [0o600, 0o700, 0o700]


@pytest.mark.parametrize(
    ("form", "option"),
    [
        ("tar", "--label=X"),
        ("tar", "--fat-type=16"),
        ("tar", "--cluster-size=4K"),
        ("fat", "--tar-dialect=pax"),
        ("fat", "--align=512"),
        ("fat", "--owner=0:0"),
        ("fat", "--mode=keep"),
    ],
)
def test_an_option_of_the_other_format_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, form: str, option: str
) -> None:
    result = command("pack", source, tmp_path / "image", "--format", form, option, code=2)
    assert f"{option.partition('=')[0]} is not for the format {form}" in result.err


@pytest.mark.parametrize(
    "option",
    ["--format=zip", "--mtime=now", "--symlinks=maybe", "--fat-type=8", "--tar-dialect=v7"],
)
def test_an_unknown_choice_is_wrong_usage_and_the_known_ones_are_named(
    command: Command, source: Path, tmp_path: Path, option: str
) -> None:
    result = command("pack", source, tmp_path / "x.tar", option, code=2)
    assert option.partition("=")[0] in result.err
    assert "choose from" in result.err
