"""Nothing in a hostile tar archive gets out of the target, or harms who looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile.ordeal import undergo
from hostile.tar_images import (
    archive,
    directory,
    hardlink,
    header,
    member,
    pax,
    symlink,
)

ESCAPES: dict[str, tuple[bytes, str]] = {
    "a parent": (archive(member(b"../escaped", b"x")), "part '..'"),
    "a parent further down": (archive(member(b"a/b/../../../escaped", b"x")), "part '..'"),
    "a parent by a prefix": (archive(member(b"escaped", b"x", prefix=b"..")), "part '..'"),
    "a parent by a pax record": (
        archive(pax({b"path": b"../escaped"}), member(b"fine", b"x")),
        "part '..'",
    ),
    "a parent by a GNU header": (
        archive(member(b"L", b"../escaped\0", b"L"), member(b"fine", b"x")),
        "part '..'",
    ),
    "a directory that is the parent": (archive(directory(b"..")), "part '..'"),
    "a NUL": (archive(pax({b"path": b"a\0b"}), member(b"x", b"x")), "no NUL"),
    "a file through a symlink": (
        archive(symlink(b"way", b"/tmp"), member(b"way/escaped", b"x")),
        "way/escaped: is in way, a symlink",
    ),
    "a file through a symlink to the parent": (
        archive(symlink(b"way", b".."), member(b"way/escaped", b"x")),
        "way/escaped: is in way, a symlink",
    ),
    "a file far through a symlink": (
        archive(symlink(b"way", b".."), member(b"way/a/b/escaped", b"x")),
        "way/a/b/escaped: is in way, a symlink",
    ),
    "a file through a later symlink": (
        archive(member(b"way/escaped", b"x"), symlink(b"way", b"..")),
        "way/escaped: is in way, a symlink",
    ),
    "a link through a symlink": (
        archive(symlink(b"way", b".."), symlink(b"way/escaped", b"x")),
        "way/escaped: is in way, a symlink",
    ),
    "a file in a file": (
        archive(member(b"file", b"x"), member(b"file/escaped", b"x")),
        "file/escaped: is in file, a file",
    ),
    "a hard link to the outside": (
        archive(hardlink(b"link", b"../bait")),
        "link: links to ../bait, which is not in the archive",
    ),
    "a hard link to an absolute path": (
        archive(hardlink(b"link", b"/etc/passwd")),
        "link: links to etc/passwd, which is not in the archive",
    ),
    "a hard link through a symlink": (
        archive(symlink(b"way", b".."), hardlink(b"link", b"way/bait")),
        "link: links to way/bait, which is not in the archive",
    ),
    "a hard link to itself": (
        archive(hardlink(b"link", b"link")),
        "link: links to link, which is not in the archive",
    ),
    "a circle of hard links": (
        archive(hardlink(b"a", b"b"), hardlink(b"b", b"a")),
        "a: links to b, which is not in the archive",
    ),
    "a symlink to nothing": (archive(symlink(b"link", b"")), "link: links to ''"),
    "a symlink with a NUL": (
        archive(pax({b"linkpath": b"a\0b"}), symlink(b"link", b"x")),
        "link: links to 'a\\x00b'",
    ),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_leads_outside(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, expected = ESCAPES[name]
    verdict = undergo(data, tmp_path, capsys)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert not verdict.extracted
    assert verdict.codes["extract"] == 6
    assert expected in verdict.messages


def test_every_escape_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = archive(*(member(b"../escaped%d" % number, b"x") for number in range(20)))
    verdict = undergo(data, tmp_path, capsys)
    assert len(verdict.problems) == 20
    assert verdict.messages.count("part '..'") == 20


@pytest.mark.parametrize("name", [b"/escaped", b"//escaped", b"/tmp/escaped"])
def test_absolute_paths_are_below_the_target(
    name: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with every tar, the leading slash goes."""
    assert undergo(archive(member(name, b"x")), tmp_path, capsys).extracted
    assert (tmp_path / "sandbox/below/out" / name.decode().strip("/")).read_bytes() == b"x"


def test_symlinks_may_lead_anywhere_and_nothing_is_written_through_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = archive(symlink(b"a", b"../../bait"), symlink(b"b", b"/etc"), member(b"c", b"x"))
    assert undergo(data, tmp_path, capsys).extracted
    out = tmp_path / "sandbox/below/out"
    assert (out / "a").is_symlink()
    assert (out / "a").readlink() == Path("../../bait")
    assert (tmp_path / "sandbox/bait").read_bytes() == b"bait"


def test_set_id_bits_are_not_extracted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = archive(header(b"file", mode=0o6755), header(b"dir", b"5", mode=0o7777))
    assert undergo(data, tmp_path, capsys).extracted
    out = tmp_path / "sandbox/below/out"
    assert (out / "file").stat().st_mode & 0o7777 == 0o755
    assert (out / "dir").stat().st_mode & 0o7777 == 0o777


def test_read_only_directories_are_filled_and_read_only_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = archive(
        header(b"dir", b"5", mode=0), header(b"dir/sub", b"5", mode=0), member(b"dir/sub/a", b"x")
    )
    verdict = undergo(data, tmp_path, capsys)
    for path in (tmp_path / "sandbox").rglob("dir"):
        path.chmod(0o700)
    assert verdict.extracted


def test_devices_and_pipes_are_shown_and_not_extracted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = archive(header(b"disk", b"4"), header(b"tty", b"3"), header(b"pipe", b"6"))
    verdict = undergo(data, tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.messages.count("is a device or a pipe") == 3
    assert verdict.codes == {"verify": 0, "ls": 0, "info": 0, "cat": 6, "extract": 6}


@pytest.mark.parametrize(
    "name",
    [b"bell\x07", b"\x1b[2J", b"line\nline", b"\xff\xfe", b"\x9b31m", "\u202egpj".encode()],
)
def test_names_that_would_harm_a_terminal_are_escaped(
    name: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = archive(member(name, b"x"), symlink(b"link", name), member(b"../" + name, b"x"))
    verdict = undergo(data, tmp_path, capsys)
    assert verdict.codes["ls"] == 0
