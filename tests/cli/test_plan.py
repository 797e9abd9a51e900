"""``plan``: the exact image to be, without touching anything."""

from __future__ import annotations

import builtins
import io
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from cli.running import FORMATS, Command


@pytest.mark.parametrize("form", ["tar", "fat"])  # in which a file is one extent
def test_json_describes_the_image_that_pack_writes(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    result = command("plan", source, "--format", form, "--json")
    plan: dict[str, Any] = json.loads(result.out)
    assert result.err == ""
    keys = {"format", "size", "sector_size", "geometry", "warnings", "entries", "extents"}
    assert set(plan) == keys
    packed = command("pack", source, tmp_path / "image", "--format", form, "--json")
    assert json.loads(packed.out)["geometry"] == plan["geometry"]
    image = (tmp_path / "image").read_bytes()
    assert plan["size"] == len(image)

    at = 0
    for extent in plan["extents"]:
        assert extent["offset"] == at
        at += extent["length"]
        piece = image[extent["offset"] : at]
        if extent["kind"] == "zeros":
            assert not any(piece)
        elif extent["kind"] == "file":
            start = extent["start"]
            assert piece == Path(extent["path"]).read_bytes()[start : start + len(piece)]
        else:
            assert extent["kind"] == "data"
    assert at == len(image), "the extents cover the image"

    for entry in plan["entries"]:
        if entry["kind"] == "file":
            start = entry["offset"]
            data = (source / entry["path"]).read_bytes()
            assert len(data) == entry["size"]
            assert start is None or image[start : start + len(data)] == data
            assert start is not None or form == "erofs" or not data
    assert len(plan["entries"]) == 9


@pytest.mark.parametrize("form", FORMATS)
def test_the_summary_has_size_and_geometry(command: Command, source: Path, form: str) -> None:
    result = command("plan", source, "--format", form)
    words = [line.split() for line in result.lines]
    plan = json.loads(command("plan", source, "--format", form, "--json").out)
    assert ["format", form] in words
    assert any(line[:2] == ["size", str(plan["size"])] for line in words)
    for name, value in plan["geometry"].items():
        assert [*name.split("_"), *str(value).split()] in words or value == ""
    lengths = [
        int(line[3].replace(",", "")) for line in words if line[2:3] in (["extents,"], ["extent,"])
    ]
    assert sum(lengths) == plan["size"]
    assert result.err == ""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("output", [(), ("--json",)], ids=["text", "json"])
def test_nothing_is_opened_and_nothing_is_written(
    command: Command,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    output: tuple[str, ...],
) -> None:
    opens = os.open

    def forbidden(*arguments: object, **_: object) -> NoReturn:
        raise AssertionError(f"opened {arguments[0]!r}")

    def directories(path: bytes, flags: int, *more: Any) -> int:
        """A directory must be opened to be listed."""
        if not flags & os.O_DIRECTORY:
            forbidden(path)
        return opens(path, flags, *more)

    command("plan", source, "--format", form, *output)  # now all modules are imported
    before = {path: path.lstat() for path in tmp_path.rglob("*")}
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", forbidden)
        patched.setattr(io, "open", forbidden)
        patched.setattr(os, "open", directories)
        command("plan", source, "--format", form, *output)
    after = {path: path.lstat() for path in tmp_path.rglob("*")}
    assert before.keys() == after.keys()
    for path, status in before.items():
        assert status.st_mtime_ns == after[path].st_mtime_ns
        assert status.st_atime_ns == after[path].st_atime_ns or path.is_dir()


def test_without_a_format_it_is_asked_for(command: Command, source: Path) -> None:
    assert "--format" in command("plan", source, code=2).err


def test_what_cannot_be_packed_cannot_be_planned(command: Command, source: Path) -> None:
    (source / "what?").write_bytes(b"")
    (source / "so:what").write_bytes(b"")
    result = command("plan", source, "--format", "fat", "--json", code=3)
    assert result.out == b""
    assert len(result.messages) == 3


def test_warnings_go_to_standard_error(command: Command, source: Path) -> None:
    (source / "aux.txt").write_bytes(b"")
    result = command("plan", source, "--format", "fat")
    assert result.messages == [
        "warning: aux.txt: Windows takes this name for a device [device-name]"
    ]
    warnings = json.loads(command("plan", source, "--format", "fat", "--json").out)["warnings"]
    assert warnings == ["aux.txt: Windows takes this name for a device [device-name]"]


@pytest.mark.parametrize("form", ["tar", "fat"])  # which round files up
def test_the_summary_ends_with_what_the_room_is_for(
    command: Command, source: Path, form: str
) -> None:
    lines = command("plan", source, "--format", form, "--free", "1M").lines
    plan = json.loads(command("plan", source, "--format", form, "--free", "1M", "--json").out)
    sizes = {e["path"]: e["size"] for e in plan["entries"] if e["kind"] == "file"}
    told = [line.split()[1] for line in lines if line.endswith("% of the image")]
    free, over = (int(number.replace(",", "")) for number in told)
    assert free + over == plan["size"] - sum(sizes.values())
    assert 1 << 20 <= free < (1 << 20) + 64 * 1024
    unit = plan["geometry"].get("cluster_size", 512)
    slack = [int(line.split()[1].replace(",", "")) for line in lines if line.startswith("slack ")]
    is_shared = form == "erofs"  # blocks have the ends of several files
    assert slack == ([] if is_shared else [sum(-size % unit for size in sizes.values())])
    large = [line.split(maxsplit=4)[-1] for line in lines if line.startswith("large file ")]
    named = sorted(filter(lambda path: sizes[path], sizes), key=lambda path: -sizes[path])
    assert large == named[:5]
    without = json.loads(command("plan", source, "--format", form, "--json").out)["size"]
    line = f"smaller           by {plan['size'] - without:,} bytes without --free"
    assert line in lines


def test_free_room_is_told_with_a_hash_tree_as_without(command: Command, source: Path) -> None:
    given: list[str | Path] = ["plan", source, "--format", "fat", "--free", "5M"]
    free = []
    for more in ((), ("--verity",)):
        lines = [line.split() for line in command(*given, *more).lines]
        free += [words[1] for words in lines if words[0] == "free" and words[2] == "bytes,"]
    assert len(free) == 2 and free[0] == free[1]


@pytest.mark.parametrize("more", [(), ("--verity",)], ids=["plain", "verity"])
def test_what_would_be_smaller_is_smaller(
    command: Command, source: Path, more: tuple[str, ...]
) -> None:
    given: list[str | Path] = ["plan", source, "--format", "fat", *more]
    costly = [*given, "--cluster-size", "64K"]
    size = json.loads(command(*costly, "--json").out)["size"]
    lines = [line for line in command(*costly).lines if line.startswith("smaller")]
    least = json.loads(command(*given, "--json").out)["size"]
    assert lines == [f"smaller           by {size - least:,} bytes without --cluster-size"]
