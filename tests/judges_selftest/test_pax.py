"""pax reads what GNU tar wrote, and notices when it is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from judges.pax import pax_list, pax_read
from judges.tar_tools import Member, Members

from .real_images import TIME, make_tar, make_tree, patch

Judge = Callable[[Path], object]

LONG = f"{'long' * 40}/file"
"""Longer than what fits into a header without an extension."""


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path) -> Path:
    tree = make_tree(tmp_path / "tree")
    (tree / "dir/link").symlink_to("../UPPER.TXT")
    os.link(tree / "UPPER.TXT", tree / "dir/same")
    (tree / LONG).parent.mkdir(parents=True)
    (tree / LONG).write_bytes(b"far away")
    for path in tree.rglob("*"):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    return tree


@pytest.fixture(name="image", params=["gnu", "pax"])
def fixture_image(request: pytest.FixtureRequest, tree: Path, tmp_path: Path) -> Path:
    return make_tar(tmp_path / "x.tar", tree, "tar", f"--format={request.param}")


def expected(tree: Path) -> Members:
    members: Members = {}
    for path in tree.rglob("*"):
        name = os.fsencode(path.relative_to(tree))
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            members[name] = Member("symlink", b"", mode, None, os.fsencode(os.readlink(path)))
        elif path.is_dir():
            members[name] = Member("directory", b"", mode, None, b"")
        elif name == b"dir/same":
            members[name] = Member("hardlink", path.read_bytes(), mode, TIME, b"UPPER.TXT")
        else:
            members[name] = Member("file", path.read_bytes(), mode, TIME, b"")
    return members


def test_every_member_is_read(tree: Path, image: Path) -> None:
    assert pax_read(image) == expected(tree)
    assert sorted(name.rstrip(b"/") for name in pax_list(image)) == sorted(expected(tree))


def test_a_changed_byte_is_seen(image: Path) -> None:
    patch(image, image.read_bytes().index(b"thirteen"), b"T")
    assert pax_read(image)[b"exactly13.txt"].content == b"Thirteen\n"


@pytest.mark.parametrize("judge", [pax_list, pax_read])
def test_a_damaged_header_is_rejected(image: Path, judge: Judge) -> None:
    patch(image, image.read_bytes().index(b"exactly13.txt"), b"E")
    with pytest.raises(AssertionError, match="pax"):
        judge(image)


@pytest.mark.parametrize("judge", [pax_list, pax_read])
def test_a_truncated_archive_is_rejected(image: Path, judge: Judge) -> None:
    data = image.read_bytes()
    image.write_bytes(data[: data.index(b"exactly13.txt") + 512 + 4])
    with pytest.raises(AssertionError, match="pax"):
        judge(image)


@pytest.mark.parametrize("judge", [pax_list, pax_read])
def test_what_is_no_archive_is_rejected(image: Path, judge: Judge) -> None:
    image.write_bytes(b"no archive at all".ljust(10240, b"\1"))
    with pytest.raises(AssertionError, match="pax"):
        judge(image)


@pytest.mark.parametrize("judge", [pax_list, pax_read])
def test_a_global_record_that_is_too_long_for_it_is_rejected(
    tree: Path, tmp_path: Path, judge: Judge
) -> None:
    option = f"--pax-option=comment={'c' * 600}"
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=pax", option)
    with pytest.raises(AssertionError, match="pax"):
        judge(image)
