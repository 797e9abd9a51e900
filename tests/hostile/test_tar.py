"""Hostile and damaged tar archives: a clear error in bounded time and memory, nothing outside."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from hostile.ordeal import in_memory, in_time, undergo
from hostile.tar_images import (
    END,
    archive,
    base_256,
    directory,
    hardlink,
    header,
    member,
    pax,
    record,
    symlink,
)

SOUND = archive(
    directory(b"dir/"),
    member(b"dir/file", b"content" * 100),
    pax({b"path": b"dir/" + b"long" * 40}),
    member(b"short", b"long name"),
    symlink(b"link", b"dir/file"),
    hardlink(b"same", b"dir/file"),
)

MEMBERS_END = (512, 2048, 4096, 4608, 5120)
CONTENTS_END = (512, 1724, 3593, 4608, 5120)
"""Where the members of that end, and where what is in them does."""

MANY = 8_000

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


LIES: dict[str, tuple[bytes, str]] = {
    "a size beyond the end": (
        header(b"file", size=1 << 20) + END,
        "file: its content ends at byte 1,049,088",
    ),
    "the largest size": (header(b"file", size=0o77777777777) + END, "cut short or damaged"),
    "a size in base 256 beyond the end": (
        header(b"file", size=base_256(1 << 70)) + END,
        "cut short or damaged",
    ),
    "a negative size": (
        header(b"file", size=base_256(-512)) + END,
        "file: its header has no size",
    ),
    "a very negative size": (
        header(b"file", size=base_256(-(1 << 90))) + END,
        "file: its header has no size",
    ),
    "a size of letters": (
        header(b"file", size=b"gigantic") + END,
        "file: its header has no size",
    ),
    "a size record beyond the end": (
        archive(pax({b"size": b"99999999"}), member(b"file", b"x")),
        "file: its content ends at byte",
    ),
    "a negative size record": (
        archive(pax({b"size": b"-512"}), member(b"file", b"x")),
        "file: its extended header has an invalid size",
    ),
    "a size record that leads back": (
        archive(pax({b"size": b"-2048"}), member(b"file", b"x")),
        "file: its extended header has an invalid size",
    ),
    "a size record of thousands of digits": (
        archive(pax({b"size": b"9" * 4300}), member(b"file", b"x")),
        "has an invalid size",
    ),
    "a size record of letters": (
        archive(pax({b"size": b"12x"}), member(b"file", b"x")),
        "has an invalid size",
    ),
    "a global size record": (
        archive(pax({b"size": b"99999999"}, b"g"), member(b"file", b"x")),
        "file: a global header gives it another size: readers differ",
    ),
    "a global path": (
        archive(pax({b"path": b"all"}, b"g"), member(b"a", b"x"), member(b"b", b"x")),
        "the global header at byte 0 gives all members one path",
    ),
    "a global link target": (
        archive(pax({b"linkpath": b"/etc"}, b"g"), symlink(b"a", b"b")),
        "the global header at byte 0 gives all members one linkpath",
    ),
    "a size that is taken back": (
        archive(pax({b"size": b"99999"}), pax({b"mtime": b"1"}), member(b"file", b"x")),
        "file: its content ends at byte",
    ),
    "a record without a length": (
        archive(pax(b"path=x\n"), member(b"file")),
        "the extended header at byte 0: a record has no length",
    ),
    "a record with a length too long": (
        archive(pax(b"99 path=x\n"), member(b"file")),
        "the extended header at byte 0: a record's length is wrong",
    ),
    "a record with a length too short": (
        archive(pax(b"3 path=x\n"), member(b"file")),
        "the extended header at byte 0: a record's length is wrong",
    ),
    "a record with a length of nothing": (
        archive(pax(b"0 path=x\n"), member(b"file")),
        "the extended header at byte 0: a record's length is wrong",
    ),
    "a record with a length of many digits": (
        archive(pax(b"9" * 5000 + b" path=x\n"), member(b"file")),
        "the extended header at byte 0: a record has no length",
    ),
    "a record without a keyword": (
        archive(pax(record(b"", b"x")), member(b"file")),
        "the extended header at byte 0: a record has no keyword",
    ),
    "a record without an equals sign": (
        archive(pax(b"8 path\n\n"), member(b"file")),
        "the extended header at byte 0: a record has no keyword",
    ),
    "an invalid time": (
        archive(pax({b"mtime": b"noon"}), member(b"file", b"x")),
        "file: has an invalid time",
    ),
    "a time of thousands of digits": (
        archive(pax({b"mtime": b"9" * 4000}), member(b"file", b"x")),
        "file: has an invalid time",
    ),
    "a time that no machine has": (
        archive(header(b"file", mtime=base_256(1 << 80))),
        "file: has an invalid time",
    ),
    "a time long before all times": (
        archive(header(b"dir", b"5", mtime=base_256(-(1 << 80)))),
        "dir: has an invalid time",
    ),
    "an extended header at the end": (
        archive(pax({b"path": b"x"})),
        "the archive ends after an extended header",
    ),
    "a gigantic extended header": (
        archive(pax({b"comment": b"x" * (2 << 20)}), member(b"file")),
        "the extended header at byte 0: it has 2,097,",
    ),
    "a gigantic GNU name": (
        archive(member(b"L", b"x" * (2 << 20), b"L"), member(b"file")),
        "the extended header at byte 0: it has 2,097,152 bytes",
    ),
    "a gigantic GNU link target": (
        archive(member(b"K", b"x" * (2 << 20), b"K"), symlink(b"link", b"x")),
        "the extended header at byte 0: it has 2,097,152 bytes",
    ),
    "an extended header that claims more than there is": (
        header(b"L", b"L", 1 << 33) + END,
        "cut short or damaged",
    ),
    "a wrong checksum": (
        header(b"file", checksum=1) + END,
        "the header at byte 0 has a wrong checksum",
    ),
    "a wrong checksum further on": (
        archive(member(b"a", b"x"), header(b"b", checksum=0o777)),
        "the header at byte 1,024 has a wrong checksum",
    ),
    "a name twice": (
        archive(member(b"file", b"a"), member(b"file", b"b")),
        "file: is in the archive twice",
    ),
    "a name twice in two spellings": (
        archive(member(b"./file", b"a"), member(b"file", b"b")),
        "file: is in the archive twice",
    ),
    "a directory that is a file too": (
        archive(directory(b"file"), member(b"file", b"b")),
        "file: is in the archive twice",
    ),
    "no end": (member(b"file", b"x"), "ends at byte 1,024 with no block of zeros"),
    "a size led by a NUL": (
        archive(header(b"file", size=b"\0" + b"0000000001\0") + b"x" * 512),
        "file: its size is led by a NUL: readers differ",
    ),
    "two extended headers with names": (
        archive(pax({b"path": b"one"}), pax({b"path": b"two"}), member(b"file", b"x")),
        "two: has two extended headers",
    ),
    "two names of two kinds": (
        archive(member(b"L", b"one\0", b"L"), pax({b"path": b"two"}), member(b"file", b"x")),
        "two: has two extended headers",
    ),
    "a name of a hundred thousand bytes": (
        archive(pax({b"path": b"long" * 25_000}), member(b"file", b"x")),
        "has a name of 100,000 bytes, more than any system takes",
    ),
    "no name": (archive(member(b"", b"x")), "the member before byte 512 has no name"),
    "a file that begins elsewhere": (
        archive(member(b"file", b"x", b"M")),
        "file: begins in another volume",
    ),
    "a sparse file of star's": (
        archive(member(b"file", b"x", b"S")),
        "file: is a sparse file of star's",
    ),
    "a sparse file of Solaris": (
        archive(pax({b"SUN.holesdata": b" 0 8"}), member(b"file", b"x")),
        "file: is a sparse file of Solaris",
    ),
    "half an end": (member(b"file", b"x") + bytes(512) + b"x" * 512, "one block of zeros, not two"),
    "something after the end": (
        archive(member(b"file", b"x")) + bytes(512) + b"!" + bytes(511),
        "there is something after the archive's end at byte 2,048",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_found_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, expected = LIES[name]
    verdict = undergo(data, tmp_path, capsys)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert len(verdict.problems) == len(set(verdict.problems)), "each thing is said once"
    assert verdict.codes["verify"] == 6


@pytest.mark.parametrize("length", sorted({*range(0, len(SOUND), 256), 257, 262, 263, 511, 513}))
def test_of_an_archive_cut_short_anywhere_all_before_is_read(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(SOUND[:length], tmp_path, capsys)
    if length > len(SOUND) - 1024:  # one block of zeros may do for an end
        return
    assert verdict.problems
    whole = length in MEMBERS_END
    assert verdict.extracted == whole
    assert verdict.codes["extract"] == (0 if whole else 6)
    if length >= 512:
        with blockpack.open_image(SOUND[:length], report=lambda _: None) as image:
            found = {entry.path for entry in image if not entry.damage}
        assert len(found) == sum(end <= length for end in CONTENTS_END)


def test_a_sound_archive_passes_the_ordeal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(SOUND, tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.extracted


MASSES: dict[str, Callable[[], bytes]] = {
    "global headers of nothing": lambda: header(b"g", b"g") * MANY + archive(member(b"f", b"x")),
    "global headers, each with other keywords": lambda: archive(
        *(pax({b"k%d.%d" % (number, at): b"" for at in range(200)}, b"g") for number in range(100)),
        *(member(b"f%d" % number) for number in range(MANY // 2)),
    ),
    "extended headers of nothing": lambda: header(b"x", b"x") * MANY + archive(member(b"f", b"x")),
    "GNU names of nothing": lambda: header(b"L", b"L") * MANY + archive(member(b"f", b"x")),
    "one name over and over": lambda: archive(member(b"file") * MANY),
    "one directory over and over": lambda: archive(directory(b"dir") * MANY),
    "the root over and over": lambda: archive(directory(b"./") * MANY),
    "a long global name for everything": lambda: archive(
        pax({b"path": b"long/" * 20_000}, b"g"), header(b"f") * MANY
    ),
    "a path of a million characters": lambda: archive(
        pax({b"path": b"d/" * 500_000 + b"f"}), member(b"f", b"x")
    ),
    "an extended header of nothing but records": lambda: archive(
        pax(record(b"a", b"") * 20_000), member(b"f", b"x")
    ),
    "an extended header of one endless number": lambda: archive(
        pax(b"1" * (1 << 20)), member(b"f", b"x")
    ),
    "zeros without end": lambda: bytes(32 << 20),
    "symlinks in a long chain": lambda: archive(
        *(symlink(b"l%d" % number, b"l%d" % (number + 1)) for number in range(MANY // 2))
    ),
    "hard links to later ones": lambda: archive(
        *(hardlink(b"l%d" % number, b"l%d" % (number + 1)) for number in range(MANY // 2)),
        member(b"l%d" % (MANY // 2)),
    ),
    "files whose name comes again after a link to each": lambda: archive(
        *(member(b"f", b"x") + hardlink(b"l%d" % number, b"f") for number in range(MANY // 4))
    ),
    "headers without a size": lambda: archive(
        *(header(b"f%d" % number, size=b"none") for number in range(MANY // 2))
    ),
    "headers with wrong checksums": lambda: archive(
        *(header(b"f", checksum=1) + header(b"f%d" % number) for number in range(MANY // 4))
    ),
    "a sparse file of a hundred thousand pieces": lambda: archive(
        pax(
            {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.realsize": b"9" * 18,
            }
        ),
        member(b"f", b"100000\n" + b"".join(b"%d\n1\n" % (2 * at) for at in range(100_000))),
    ),
    "hard links to hard links": lambda: archive(
        member(b"l0"),
        *(hardlink(b"l%d" % (number + 1), b"l%d" % number) for number in range(MANY // 2)),
    ),
}


@pytest.mark.parametrize("name", MASSES)
def test_masses_are_read_in_bounded_time_and_memory(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undergo(MASSES[name](), tmp_path, capsys)


@pytest.mark.parametrize(("depth", "listed"), [(100, True), (1100, True), (1100, False)])
def test_deep_nesting_is_no_recursion(
    depth: int, listed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether or not the archive has an entry for every directory."""
    steps = range(1, depth + 1) if listed else ()
    members = [pax({b"path": b"d/" * step}) + directory(b"d") for step in steps]
    data = archive(*members, pax({b"path": b"d/" * depth + b"f"}), member(b"f", b"deep"))
    verdict = undergo(data, tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.codes["ls"] == 0
    assert verdict.extracted


def test_a_path_longer_than_the_machines_is_read() -> None:
    path = "d/" * 5000 + "f"
    data = archive(pax({b"path": path.encode()}), member(b"f", b"deep"))
    with in_time(), in_memory(256 << 20), blockpack.open_image(data) as image:
        assert image.read(path) == b"deep"


def test_a_failure_deep_inside_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was made so far goes, however deep it is: here a second name is too long."""
    data = archive(
        pax({b"path": b"d/" * 1000 + b"f"}),
        member(b"f", b"deep"),
        pax({b"path": b"n" * 300}),
        member(b"n", b"too long"),
    )
    verdict = undergo(data, tmp_path, capsys)
    assert not verdict.extracted


def test_a_sparse_gigantic_archive_costs_nothing_to_list(tmp_path: Path) -> None:
    """A member of a TiB, that is there: its content is passed over."""
    path = tmp_path / "image"
    with open(path, "wb") as file:
        file.write(header(b"huge", size=base_256(1 << 40)))
        file.seek(512 + (1 << 40))
        file.write(END)
    with in_time(), in_memory(), blockpack.open_image(path) as image:
        assert [(entry.path, entry.size) for entry in image.walk()] == [("huge", 1 << 40)]
        assert image.verify() == []
        with image.open("huge") as content:
            content.seek(1 << 39)
            assert content.read(10) == bytes(10)


def test_what_an_archive_says_after_its_end_is_not_read() -> None:
    data = archive(member(b"file", b"x")) + member(b"../ghost", b"x")
    with blockpack.open_image(io.BytesIO(data)) as image:
        assert [entry.path for entry in image.walk()] == ["file"]
