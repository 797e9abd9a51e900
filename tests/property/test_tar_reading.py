"""Tar archives that others may have made, read as GNU tar reads them, or else told of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import blockpack
from blockpack.errors import Deviation, ImageError
from blockpack.formats.tar.reader import TarReader
from blockpack.reading.positional import BytesReader
from hostile.tar_images import archive, directory, hardlink, header, member, pax, record, symlink
from judges.programs import run
from judges.tar_tools import read_members

Found = dict[str, tuple[str, bytes]]
"""Kinds by path, with a file's bytes or a link's target."""

names = st.sampled_from(("a", "b", "c", "d/x", "d/y"))
spellings = st.sampled_from(("{}", "./{}", ".//{}", "/{}", "/./{}", "//{}", "././/./{}"))
Spelled = tuple[str, str]
spelled: st.SearchStrategy[Spelled] = st.tuples(names, spellings)


@st.composite
def steps(draw: st.DrawFn) -> bytes:
    """One member whose name, and target, may be there already."""
    name = _spell(draw(spelled))
    kind = draw(st.sampled_from(("file", "file", "hardlink", "hardlink", "symlink")))
    if kind == "file":
        return member(name, draw(st.binary(max_size=600)))
    if kind == "symlink":
        return symlink(name, draw(st.sampled_from((b"a", b"./nowhere", b"d//x"))))
    return hardlink(name, _spell(draw(spelled)))


def _spell(spelled: Spelled) -> bytes:
    name, spelling = spelled
    return spelling.format(name.replace("/", "//") if "." in spelling else name).encode()


def ours(data: bytes) -> tuple[Found, list[ImageError]]:
    """All that we read without doubt, and what we tell."""
    told: list[ImageError] = []
    reader = TarReader(BytesReader(data))
    entries = {entry.path: entry for entry in reader.entries(told.append)}
    found: Found = {}
    for path, entry in entries.items():
        if entry.damage:
            assert any(problem.path == path for problem in told), "damage is told"
        elif entry.kind == "symlink":
            found[path] = "symlink", os.fsencode(entry.target)
        elif entry.kind in ("file", "hardlink"):
            file = entries[entry.target] if entry.kind == "hardlink" else entry
            assert file.kind == "file"
            assert sum(length for _, length in file.extents) == file.size
            found[path] = "file", reader.content(file).read_at(0, file.size)
        else:
            found[path] = entry.kind, b""
    return found, told


def gnu(data: bytes, scratch: Path) -> Found:
    """What GNU tar extracts, whatever it complains of."""
    image, target = scratch / "x.tar", scratch / "out"
    image.write_bytes(data)
    target.mkdir()
    os.system(f"tar --no-same-owner -xf {image} -C {target} 2>{scratch}/errors")
    found: Found = {}
    for path, item in read_members(os.fsencode(target)).items():
        kind = "file" if item.kind == "hardlink" else item.kind
        content = item.linkname if kind == "symlink" else item.content
        found[os.fsdecode(path)] = kind, content
    return found


@given(members=st.lists(steps(), max_size=12))
@example(members=[member(b"a", b"1"), hardlink(b"b", b"a"), member(b"a", b"2")])
@example(members=[hardlink(b"a", b"b"), hardlink(b"b", b"a")])
@example(members=[symlink(b"a", b"to"), hardlink(b"b", b"a"), hardlink(b"c", b"b")])
def test_names_that_come_again_and_links_are_what_gnu_tar_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, members: list[bytes]
) -> None:
    data = archive(directory(b"d/"), *members)
    found, told = ours(data)
    later = {
        problem.path
        for problem in told
        if not isinstance(problem, Deviation) or "comes after" in problem.rule
    }
    expected = gnu(data, tmp_path_factory.mktemp("gnu"))
    assert {p: e for p, e in found.items() if p not in later} == {
        p: e for p, e in expected.items() if p not in later
    }


MEMBERS: Mapping[str, bytes] = {
    "first": member(b"first", b"1" * 700),
    "empty": member(b"empty"),
    "dir": directory(b"dir/"),
    "dir/link": symlink(b"dir/link", b"first"),
    "inner.tar": member(b"inner.tar", archive(member(b"first", b"not this"), member(b"trap"))),
    "n" * 120: pax({b"path": b"n" * 120}) + member(b"n" * 100, b"long"),
    "g" * 120: member(b"././@LongLink", b"g" * 120, b"L") + member(b"g" * 100, b"gnu"),
    "last": member(b"last", b"9" * 513),
}


@given(which=st.sampled_from(list(MEMBERS)), at=st.integers(0, 511), bit=st.integers(0, 7))
@example(which="inner.tar", at=124 + 10, bit=0)
def test_a_damaged_header_costs_its_own_member(which: str, at: int, bit: int) -> None:
    before = b"".join(MEMBERS[name] for name in list(MEMBERS)[: list(MEMBERS).index(which)])
    data = bytearray(archive(*MEMBERS.values()))
    sound, told = ours(bytes(data))
    assert sound.keys() == MEMBERS.keys() and not told
    data[len(before) + at] ^= 1 << bit
    found, told = ours(bytes(data))
    if found == sound:
        # Bits that do not count: those of the checksum's end, for one.
        return
    assert told
    if which == "inner.tar" and 124 <= at < 136:
        # Where the size is lost, an archive in the content cannot be told from the one around it;
        # then a name that comes again is in doubt.
        found = {path: entry for path, entry in found.items() if path != "trap"}
        sound = {path: entry for path, entry in sound.items() if path in found or path == which}
    assert found == {path: entry for path, entry in sound.items() if path != which}


@given(data=st.binary(min_size=1, max_size=1024))
@example(data=b"PACK" + bytes(1020))
@example(data=b"\xeb\x3c\x90mkfs.fat" + bytes(1000))
def test_what_is_no_archive_is_not_taken_for_one(data: bytes) -> None:
    assert TarReader.recognises(data) == (len(data) >= 1024 and not any(data))


@given(
    name=st.binary(min_size=1, max_size=100).filter(lambda name: b"\0" not in name),
    size=st.integers(0, 0o77777777777),
    typeflag=st.sampled_from((b"\0", b"0", b"1", b"2", b"5")),
)
def test_an_archive_without_magic_is_known_by_its_checksum(
    name: bytes, size: int, typeflag: bytes
) -> None:
    block = header(name, typeflag, size, magic=b"")
    assert TarReader.recognises(block)
    assert not TarReader.recognises(header(name, typeflag, b"size", magic=b""))
    broken = bytearray(block)
    broken[0] ^= 1
    assert not TarReader.recognises(bytes(broken))


def _sparse_1_0(pieces: list[tuple[int, int]], size: int, stored: int) -> bytes:
    text = b"%d\n" % len(pieces) + b"".join(b"%d\n%d\n" % piece for piece in pieces)
    content = text + bytes(-len(text) % 512) + b"x" * stored
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"holes",
        b"GNU.sparse.realsize": b"%d" % size,
    }
    return archive(pax(records), member(b"GNUSparseFile.0/holes", content))


def _sparse_0(pieces: list[tuple[int, int]], size: int, stored: int, *, one: bool) -> bytes:
    records = record(b"GNU.sparse.size", b"%d" % size)
    if one:
        text = b",".join(b"%d,%d" % piece for piece in pieces)
        records += record(b"GNU.sparse.name", b"holes") + record(b"GNU.sparse.map", text)
    else:
        for offset, length in pieces:
            records += record(b"GNU.sparse.offset", b"%d" % offset)
            records += record(b"GNU.sparse.numbytes", b"%d" % length)
    return archive(pax(records), member(b"holes", b"x" * stored))


def _sparse_old(pieces: list[tuple[int, int]], size: int, stored: int) -> bytes:
    fields = [b"%011o\0%011o\0" % piece for piece in pieces]
    first, rest = fields[:4], fields[4:]
    block = bytearray(header(b"holes", b"S", stored, magic=b"ustar  \0"))
    block[386:482] = b"".join(first).ljust(96, b"\0")
    block[482] = bool(rest)
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    blocks = [bytes(block)]
    while rest:
        more, rest = rest[:21], rest[21:]
        blocks.append(b"".join(more).ljust(504, b"\0") + bytes([bool(rest)]) + bytes(7))
    return archive(*blocks, b"x" * stored + bytes(-stored % 512))


@given(
    steps=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 700)), min_size=1, max_size=60),
    after=st.integers(0, 5000),
    kind=st.sampled_from(("1.0", "0.1", "0.0", "old")),
    lie=st.sampled_from(("", "", "more", "less", "order", "beyond")),
)
@example(steps=[(1, 1)], after=0, kind="1.0", lie="less")
@example(steps=[(1, 1)], after=0, kind="0.1", lie="less")
@example(steps=[(1, 1)], after=0, kind="0.0", lie="less")
@example(steps=[(1, 1)], after=0, kind="old", lie="less")
def test_sparse_files_are_their_pieces_and_zeros_or_told_of(
    steps: list[tuple[int, int]], after: int, kind: str, lie: str
) -> None:
    pieces, at = [], 0
    for hole, length in steps:
        pieces.append((at + hole, length))
        at += hole + length
    size = at + after
    stored = sum(length for _, length in pieces)
    content = bytearray(size)
    for offset, length in pieces:
        content[offset : offset + length] = b"x" * length
    if lie == "more":
        stored += 512
    elif lie == "less":
        stored -= 1
    elif lie == "order":
        pieces.append((0, 5))
        stored += 5
    elif lie == "beyond":
        size = at - 1
    make = {
        "1.0": _sparse_1_0,
        "0.1": lambda *a: _sparse_0(*a, one=True),
        "0.0": lambda *a: _sparse_0(*a, one=False),
        "old": _sparse_old,
    }[kind]
    found, told = ours(make(pieces, size, stored))
    if lie:
        assert found == {} and [problem.path for problem in told] == ["holes"]
        assert "sparse file that cannot be read" in told[0].rule
    else:
        assert told == []
        assert found == {"holes": ("file", bytes(content))}


@pytest.mark.parametrize("dialect", ["gnu", "posix"])
def test_the_volumes_of_an_archive_are_read_as_far_as_they_go(dialect: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).write_bytes(name.encode() * 15_000)
    volumes = [tmp_path / f"{number}.tar" for number in range(5)]
    files = [option for volume in volumes for option in ("-f", volume)]
    run("tar", ["-cM", "-L", "20", f"--format={dialect}", *files, "-C", source, "a", "b", "c"])
    read: Found = {}
    for volume in volumes:
        if volume.exists():
            with blockpack.open_image(volume, report=lambda _: None) as image:
                for entry in image.entries.values():
                    if entry.damage:
                        assert "volume" in entry.damage or "cut short" in entry.damage
                    else:
                        read[entry.path] = "file", image.read(entry.path)
    for path, (_, content) in read.items():
        assert content == (source / path).read_bytes()
    assert "a" in read
    assert "b" not in read, "it is in two"
