"""Of a damaged image, what can be read is given; what cannot is told, and the exit code is 6."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import Command


@pytest.fixture(name="image")
def fixture_image(command: Command, tmp_path: Path) -> Path:
    """A FAT whose file ``lost`` has a chain that leads beyond the volume."""
    source = tmp_path / "whole"
    source.mkdir()
    for name in ("fine", "lost"):
        (source / name).write_bytes(name.encode() * 3000)
    image = tmp_path / "image"
    command("pack", source, image, "--format", "fat", "--cluster-size", "512", "--fat-type", "12")
    data = bytearray(image.read_bytes())
    entry = data.index(b"LOST    ")
    data[entry + 26 : entry + 28] = (4000).to_bytes(2, "little")
    image.write_bytes(data)
    return image


def test_ls_lists_what_can_be_read(command: Command, image: Path) -> None:
    result = command("ls", image, code=6)
    assert "fine" in result.lines
    assert any("lost" in line for line in result.messages)


def test_cat_gives_a_file_that_is_whole(command: Command, image: Path) -> None:
    result = command("cat", image, "fine")
    assert (result.out, result.err) == (b"fine" * 3000, "")
    result = command("cat", image, "lost", code=6)
    assert result.out == b"" and "lost" in result.err


def test_extract_leaves_out_what_is_damaged(command: Command, image: Path, tmp_path: Path) -> None:
    result = command("extract", image, tmp_path / "out", code=6)
    assert (tmp_path / "out" / "fine").read_bytes() == b"fine" * 3000
    assert not (tmp_path / "out" / "lost").exists()
    assert any("lost" in line for line in result.messages)


def test_verify_tells_of_it(command: Command, image: Path) -> None:
    result = command("verify", image, code=6)
    assert any("lost" in line for line in result.lines)


def test_verify_tells_of_what_costs_nothing(command: Command, tmp_path: Path) -> None:
    """A tar without its end can be read, and is not as the format wants it."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "a").write_bytes(b"a")
    command("pack", tmp_path / "whole", tmp_path / "x.tar", "--pad", "512")
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data.rstrip(b"\0").ljust(1024, b"\0"))
    assert command("ls", tmp_path / "x.tar").lines == ["a"]
    assert command("verify", tmp_path / "x.tar", code=6).lines
