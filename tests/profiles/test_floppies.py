"""Floppies are as DOS and mtools format them, and judges read whole trees on them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import blockpack
from blockpack.planning.profile import PROFILES
from judges import fat_invariants
from judges.fat_tools import fsck, mtools_read, sevenzip_read, sevenzip_spelling
from judges.fat_volume import Rules
from judges.fatfs import fatfs_read
from judges.programs import require, run, run_silent
from property.fat_images import expected_contents, never, written
from property.strategies import EPOCH, LAST, Spec, ascii_fat_names, fold, specs, times, tree_of

MEDIA = {medium.size: medium for medium in PROFILES["floppy"].fat.media}
KIB = {"1440": 2880, "2880": 5760, "1200": 2400, "720": 1440, "360": 720}
"""What mformat calls each, and its number of sectors."""


def packed(tree: blockpack.Tree, directory: Path, size: int | str | None = None) -> Path:
    options: dict[str, Any] = {} if size is None else {"size": size}
    return written(blockpack.FatVolume(profile="floppy", **options).plan(tree), directory)


@pytest.mark.parametrize("name", KIB)
def test_the_boot_sector_has_the_geometry_that_mformat_gives(tmp_path: Path, name: str) -> None:
    theirs = tmp_path / "theirs.img"
    run("mformat", ["-C", "-f", name, "-i", theirs, "::"])
    ours = packed(blockpack.Tree(), tmp_path, f"{name}K")
    # From the bytes of a sector on: counts, media, tracks, heads, hidden sectors, drive.
    assert ours.read_bytes()[11:37] == theirs.read_bytes()[11:37]
    assert ours.stat().st_size == theirs.stat().st_size == 512 * KIB[name]


def test_a_floppy_has_1440_kib_unless_it_is_said(tmp_path: Path) -> None:
    assert packed(blockpack.Tree(), tmp_path).stat().st_size == 1440 << 10


@pytest.mark.parametrize("name", KIB)
def test_programs_take_it_for_a_floppy(tmp_path: Path, name: str) -> None:
    tree = blockpack.Tree()
    tree.add("AUTOEXEC.BAT", b"@echo off\r\n")
    image = packed(tree, tmp_path, f"{name}K")
    # Without the variable that keeps mtools from looking at tracks and heads.
    shown = subprocess.run(
        [require("mdir"), "-i", image, "::"],
        capture_output=True,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        check=True,
    )
    assert not shown.stderr and b"AUTOEXEC BAT" in shown.stdout
    told = run_silent("file", ["-b", image]).decode()
    medium = MEDIA[int(name) << 10]
    assert f"root entries {medium.root_entries}, sectors {KIB[name]} " in told
    assert "FAT (12 bit)" in told


@given(
    spec=specs(ascii_fat_names, key=fold, times=times(EPOCH, LAST)), size=st.sampled_from([*MEDIA])
)
def test_every_judge_reads_back_every_name_and_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, size: int
) -> None:
    tree = tree_of(spec)
    assume(_holds(tree, size))
    directory = tmp_path_factory.mktemp("floppy")
    image = packed(tree, directory, size)
    expected = expected_contents(spec)
    fsck(image)
    rules = Rules(alignment=512, media=MEDIA[size].media)
    assert fat_invariants.check(image, rules).keys() == expected.keys()
    assert mtools_read(image) == expected
    contents = {sevenzip_spelling(path): data for path, data in expected.items()}
    assert sevenzip_read(image)[0] == contents
    assert fatfs_read(image) == expected
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []


@given(content=st.integers(0, 4 << 20), size=st.sampled_from([*MEDIA]))
def test_what_is_too_large_is_refused_and_the_least_that_holds_it_is_named(
    content: int, size: int
) -> None:
    tree = blockpack.Tree()
    tree.add("content.bin", never, size=content)
    holding = sorted(each for each in MEDIA if _holds(tree, each))
    try:
        layout = blockpack.FatVolume(profile="floppy", size=size).plan(tree)
    except blockpack.Problems as problems:
        [problem] = problems.errors
        assert size not in holding
        assert problem.option == (f"size={holding[0]}" if holding else "")
    else:
        assert size in holding and layout.size == size


def _holds(tree: blockpack.Tree, size: int) -> bool:
    try:
        blockpack.FatVolume(profile="floppy", size=size).plan(tree)
    except blockpack.Problems:
        return False
    return True


def test_a_root_directory_has_as_many_entries_as_the_medium() -> None:
    tree = blockpack.Tree()
    for number in range(224):
        tree.add(f"{number}.TXT", b"")
    assert blockpack.FatVolume(profile="floppy").plan(tree).geometry["root_entries"] == 224
    tree.add("225.TXT", b"")
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.FatVolume(profile="floppy").plan(tree)
    [error] = raised.value.errors
    assert "takes 225 entries, FAT12 has at most 224" in error.rule
    assert error.option == "size=2949120"


@pytest.mark.parametrize(
    "options",
    [
        {"size": "1439K"},
        {"size": "4M"},
        {"free": "1K"},
        {"cluster_size": 1024},
        {"fat_type": 16},
        {"fats": 1},
        {"sector_size": 4096},
    ],
    ids=str,
)
def test_what_no_floppy_has_is_wrong_usage(options: dict[str, Any]) -> None:
    with pytest.raises(blockpack.UsageError):
        blockpack.FatVolume(profile="floppy", **options)
