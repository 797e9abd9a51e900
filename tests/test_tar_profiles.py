"""What a dialect or a profile's reader cannot hold is refused, and what cures it is named."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

import blockpack
from judges import tar_invariants
from judges.mirage_tar import MirageTar
from judges.tar_invariants import Rules
from judges.tar_tools import bsdtar_read, gnu_tar_read

GiB = 1 << 30
SECONDS = 10**9


def tree_with(path: str, *, mtime: int = 0, size: int | None = None) -> blockpack.Tree:
    """A tree of one file, whose bytes are not looked at where a size is given."""
    tree = blockpack.Tree()
    if size is None:
        tree.add(path, b"content", mtime_ns=mtime * SECONDS)
    else:
        tree.add(path, lambda: pytest.fail("opened"), size=size)
    return tree


def linked() -> blockpack.Tree:
    """A tree with a symbolic link."""
    tree = tree_with("file")
    tree.symlink("link", "file")
    return tree


LONG = "directory/" * 50
REFUSED: dict[str, tuple[dict[str, Any], blockpack.Tree, str]] = {
    "a link for MirageOS": ({"profile": "mirage"}, linked(), "symlinks=follow"),
    "a long path for MirageOS": (
        {"profile": "mirage"},
        tree_with(LONG + "n" * 11),
        "dialect=gnu",
    ),
    "a longer path for MirageOS": (
        {"profile": "mirage"},
        tree_with(LONG + "n" * 12),
        "profile=any",
    ),
    "a longer path in GNU's dialect for MirageOS": (
        {"profile": "mirage", "dialect": "gnu"},
        tree_with(LONG + "n" * 12),
        "profile=any",
    ),
    "a time before 1970 in GNU's dialect for MirageOS": (
        {"profile": "mirage", "dialect": "gnu", "mtime": "keep"},
        tree_with("old", mtime=-1),
        "dialect=pax",
    ),
    "8 GiB in GNU's dialect for MirageOS": (
        {"profile": "mirage", "dialect": "gnu"},
        tree_with("large", size=8 * GiB),
        "dialect=pax",
    ),
    "a time before 1970 in ustar": (
        {"dialect": "ustar", "mtime": "keep"},
        tree_with("old", mtime=-1),
        "dialect=pax",
    ),
    "8 GiB in ustar": ({"dialect": "ustar"}, tree_with("large", size=8 * GiB), "dialect=pax"),
    "a long name in ustar": ({"dialect": "ustar"}, tree_with("n" * 101), "dialect=pax"),
    "an owner in ustar": ({"dialect": "ustar", "owner": "3000000:0"}, linked(), "dialect=pax"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_cured_by_the_option_that_is_named(name: str) -> None:
    options, tree, cure = REFUSED[name]
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.TarVolume(**options).plan(tree)
    for problem in raised.value.exceptions:
        assert isinstance(problem, blockpack.EntryError)
        assert problem.option == cure
        assert ("make it shorter" in problem.remedy) == (name == "a long name in ustar")
    keyword, _, value = cure.partition("=")
    if keyword != "symlinks":  # that is an option of scanning
        blockpack.TarVolume(**(options | {keyword: value})).plan(tree)


def test_the_command_names_the_flag(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from blockpack.cli import main

    source = tmp_path / "source"
    source.mkdir()
    (source / ("n" * 101)).write_bytes(b"")
    assert main(["pack", str(source), str(tmp_path / "x.tar"), "--tar-dialect", "ustar"]) == 3
    assert "--tar-dialect pax" in capfd.readouterr().err


@pytest.mark.parametrize("seconds", [-1, -(10**9), 2**33])
def test_mirage_reads_files_of_any_time(seconds: int, tmp_path: Path) -> None:
    image = tmp_path / "x.tar"
    volume = blockpack.TarVolume(profile="mirage", mtime="keep")
    blockpack.write(volume.plan(tree_with("dir/file", mtime=seconds)), image)
    tar_invariants.check(image, Rules(extended_limit=512))
    for sector_size in (512, 4096):
        assert MirageTar(image, sector_size).get("dir/file") == b"content"
    with tarfile.open(image) as archive:
        assert archive.getmember("dir/file").mtime == seconds
    with blockpack.open_image(image) as ours:
        assert ours["dir/file"].mtime_ns == seconds * SECONDS
    assert bsdtar_read(image)[b"dir/file"].mtime == seconds


@pytest.mark.parametrize("length", [100, 101, 255, 256, 500, 510, 511])
def test_mirage_reads_paths_of_511_bytes_in_gnus_dialect(length: int, tmp_path: Path) -> None:
    image = tmp_path / "x.tar"
    path = LONG[: length // 10 * 10 - 10] + "n" * (10 + length % 10)
    assert len(path) == length
    volume = blockpack.TarVolume(profile="mirage", dialect="gnu")
    blockpack.write(volume.plan(tree_with(path)), image)
    tar_invariants.check(image, Rules(extended_limit=512))
    for sector_size in (512, 4096):
        assert MirageTar(image, sector_size).get(path) == b"content"
    assert gnu_tar_read(image)[path.encode()].content == b"content"


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"profile": "mirage", "pad": 512}, True),
        ({"profile": "mirage", "size": 512 * 9}, True),
        ({"profile": "mirage", "pad": 4096}, False),
        ({"profile": "mirage"}, False),
        ({"profile": "any", "pad": 512}, False),
    ],
)
def test_an_image_whose_end_some_devices_do_not_read_is_warned_of(
    options: dict[str, Any], warned: bool, tmp_path: Path
) -> None:
    layout = blockpack.TarVolume(**options).plan(tree_with("file"))
    assert [warning.code for warning in layout.warnings] == ["short-tail"] * warned
    assert not warned or "4,096" in layout.warnings[0].text
