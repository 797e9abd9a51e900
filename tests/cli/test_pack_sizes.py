"""``blockpack pack``: how large images and their sectors are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.packing import contents, info, tree_of
from cli.running import FORMATS, Command


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("1024K", 1 << 20),
        ("1024k", 1 << 20),
        ("3M", 3 << 20),
        ("3MiB", 3 << 20),
        ("1G", 1 << 30),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_size_is_the_size_of_the_image_and_takes_k_m_g(
    command: Command, source: Path, tmp_path: Path, form: str, text: str, size: int
) -> None:
    command("pack", source, tmp_path / "image", "--format", form, "--size", text)
    assert (tmp_path / "image").stat().st_size == size
    assert contents(tmp_path / "image") == tree_of(source)


@pytest.mark.parametrize("option", ["--size", "--free", "--pad", "--sector-size"])
@pytest.mark.parametrize("text", ["1.5M", "-1", "M", "1Q", "", "0x10"])
def test_a_size_that_is_none_is_wrong_usage(
    command: Command, source: Path, tmp_path: Path, option: str, text: str
) -> None:
    result = command("pack", source, tmp_path / "x.tar", f"{option}={text}", code=2)
    assert option in result.err
    assert repr(text) in result.err


@pytest.mark.parametrize("form", FORMATS)
def test_free_leaves_that_much_room(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "exact", "--format", form)
    command("pack", source, tmp_path / "roomy", "--format", form, "--free", "1M")
    exact, roomy = ((tmp_path / name).stat().st_size for name in ("exact", "roomy"))
    assert roomy < exact + (2 << 20)
    if form == "fat":  # even the exact one has room, to be large enough for FatFs
        facts = info(command, tmp_path / "roomy")
        assert facts["free_clusters"] * facts["cluster_size"] >= 1 << 20
    else:
        assert exact + (1 << 20) <= roomy


def test_size_and_free_exclude_each_other(command: Command, source: Path, tmp_path: Path) -> None:
    options = ("--size", "1M", "--free", "1M")
    assert "not both" in command("pack", source, tmp_path / "x.tar", *options, code=2).err


@pytest.mark.parametrize("form", FORMATS)
def test_images_are_padded_to_4096_unless_told_otherwise(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    command("pack", source, tmp_path / "image", "--format", form)
    assert (tmp_path / "image").stat().st_size % 4096 == 0
    command("pack", source, tmp_path / "wide", "--format", form, "--pad", "1M")
    assert (tmp_path / "wide").stat().st_size % (1 << 20) == 0


def test_pad_512_makes_a_tar_as_small_as_can_be(
    command: Command, source: Path, tmp_path: Path
) -> None:
    command("pack", source, tmp_path / "x.tar", "--pad", "512")
    assert (tmp_path / "x.tar").stat().st_size == info(command, tmp_path / "x.tar")["end"]


def test_the_sector_size_is_fats(command: Command, source: Path, tmp_path: Path) -> None:
    for size in (512, 4096):
        options = ("--format", "fat", "--sector-size", str(size))
        command("pack", source, tmp_path / "image", *options)
        assert info(command, tmp_path / "image")["sector_size"] == size


def test_other_sector_sizes_are_wrong_usage(command: Command, source: Path, tmp_path: Path) -> None:
    result = command("pack", source, tmp_path / "x.tar", "--sector-size", "1K", code=2)
    assert "512 or 4096, not 1024" in result.err
