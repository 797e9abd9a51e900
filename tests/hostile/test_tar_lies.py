"""What is damaged or lies in a tar archive is found and named, and all else is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import blockpack
from hostile.ordeal import undergo
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


def test_what_an_archive_says_after_its_end_is_not_read() -> None:
    data = archive(member(b"file", b"x")) + member(b"../ghost", b"x")
    with blockpack.open_image(io.BytesIO(data)) as image:
        assert [entry.path for entry in image.walk()] == ["file"]
