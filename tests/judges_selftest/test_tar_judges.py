"""The tar programs and the POSIX checker accept real archives, and notice damage."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from judges import tar_invariants, tar_tools
from judges.tar_invariants import Rules, check, payload_offsets
from judges.tar_tools import READERS, Member, Members

from .real_images import CONTENTS, TIME, make_tar, make_tree, patch

LONG = "/".join(["long" * 25, "longer" * 20, "file"])
LATIN_1 = os.fsdecode(b"caf\xe9")
PLAIN = Rules(alignment=512)
WRITERS: dict[str, tuple[str, list[str]]] = {
    "GNU tar, pax": ("tar", ["--format=pax"]),
    "GNU tar, gnu": ("tar", ["--format=gnu"]),
    "bsdtar, pax": ("bsdtar", ["--format=pax"]),
}
Reader = Callable[[Path], Members]


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path) -> Path:
    """The usual tree with links, odd modes, a long path and a name that is not UTF-8."""
    tree = make_tree(tmp_path / "tree")
    (tree / "dir/link").symlink_to("../UPPER.TXT")
    (tree / "dir/out").symlink_to("/etc/hostname")
    os.link(tree / "UPPER.TXT", tree / "dir/same")
    (tree / LONG).parent.mkdir(parents=True)
    (tree / LONG).write_bytes(b"far away")
    (tree / "UPPER.TXT").chmod(0o600)
    (tree / LATIN_1).write_bytes(b"Latin-1")
    for path in [*tree.rglob("*")]:
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    return tree


def expected(tree: Path) -> Members:
    """What is in `tree`, with all files 0644 but one, and directories 0755."""
    members: Members = {}
    for path in tree.rglob("*"):
        name = os.fsencode(path.relative_to(tree))
        if path.is_symlink():
            target = os.fsencode(os.readlink(path))
            members[name] = Member("symlink", b"", 0o777, TIME, target)
        elif path.is_dir():
            members[name] = Member("directory", b"", 0o755, TIME, b"")
        elif name == b"dir/same":
            members[name] = Member("hardlink", path.read_bytes(), 0o600, TIME, b"UPPER.TXT")
        else:
            mode = path.stat().st_mode & 0o7777
            members[name] = Member("file", path.read_bytes(), mode, TIME, b"")
    return members


def forgiving(members: Members, reader: Reader) -> Members:
    """`members` as `reader` shows them."""
    if reader is not tar_tools.busybox_read:
        return members
    return {
        path: member._replace(mtime=None) if member.kind in ("symlink", "directory") else member
        for path, member in members.items()
    }


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("writer", WRITERS)
def test_every_member_is_read(tree: Path, tmp_path: Path, writer: str, reader: Reader) -> None:
    program, options = WRITERS[writer]
    if writer.endswith("pax"):
        # bsdtar wants hdrcharset=BINARY for such a name, of which GNU tar complains.
        (tree / LATIN_1).unlink()
    image = make_tar(tmp_path / "x.tar", tree, program, *options)
    assert reader(image) == forgiving(expected(tree), reader)


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_header_is_rejected(tree: Path, tmp_path: Path, reader: Reader) -> None:
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")
    patch(image, image.read_bytes().index(b"exactly13.txt"), b"E")
    with pytest.raises((AssertionError, tarfile.TarError)):
        reader(image)


@pytest.mark.parametrize("reader", READERS)
def test_a_truncated_archive_is_rejected(tree: Path, tmp_path: Path, reader: Reader) -> None:
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")
    data = image.read_bytes()
    image.write_bytes(data[: data.index(b"exactly13.txt") + 512 + 4])
    with pytest.raises((AssertionError, tarfile.TarError)):
        reader(image)


@pytest.mark.parametrize("reader", READERS)
def test_a_changed_byte_is_seen(tree: Path, tmp_path: Path, reader: Reader) -> None:
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")
    patch(image, image.read_bytes().index(b"thirteen"), b"T")
    assert reader(image)[b"exactly13.txt"].content == b"Thirteen\n"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", ["root in between", "comment", "path"])
def test_padding_is_skipped_without_a_word(tmp_path: Path, case: str, reader: Reader) -> None:
    image = tmp_path / "x.tar"
    image.write_bytes(GOOD[case])
    assert reader(image).keys() == check(image, PLAIN).keys()


def test_a_mere_warning_is_rejected(tmp_path: Path) -> None:
    image = tmp_path / "x.tar"
    image.write_bytes(header(b"g", b"g") + FILE + END)
    with pytest.raises(AssertionError, match="Warnings"):
        tar_tools.sevenzip_tar_read(image)
    record = b"15 surprise=ab\n"
    image.write_bytes(pax(record) + FILE + END)
    with pytest.raises(AssertionError, match="complained"):
        tar_tools.gnu_tar_read(image)
    assert tar_tools.gnu_tar_read(image, unknown_keywords=True).keys() == {b"f"}


@pytest.mark.parametrize("writer", WRITERS)
def test_real_archives_are_sound(tree: Path, tmp_path: Path, writer: str) -> None:
    program, options = WRITERS[writer]
    if program == "bsdtar":
        (tree / LATIN_1).unlink()  # It says a word about such a name, though it stores it.
    image = make_tar(tmp_path / "x.tar", tree, program, *options)
    # GNU tar does not say that a path record is no UTF-8.
    members = check(image, Rules(alignment=512, utf8_records=program != "tar"))
    assert members.keys() == expected(tree).keys()
    for path, member in members.items():
        if member.kind == "file":
            wanted = expected(tree)[path].content
            assert image.read_bytes()[member.offset :][: member.size] == wanted


def test_payload_offsets_are_those_of_tarfile(tree: Path, tmp_path: Path) -> None:
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")
    with tarfile.open(image) as archive:
        wanted = {os.fsencode(info.name): info.offset_data for info in archive if info.size}
    assert payload_offsets(image, PLAIN) == wanted


def header(name: bytes, typeflag: bytes, size: int = 0, **fields: str) -> bytes:
    """A ustar header block."""
    info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    info.type, info.size = typeflag, size
    info.linkname = fields.get("linkname", "")
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")


def pax(record: bytes, typeflag: bytes = b"x") -> bytes:
    """An extended header with one payload."""
    return header(b"x", typeflag, len(record)) + record + bytes(-len(record) % 512)


def with_checksum(block: bytes) -> bytes:
    """A header block with its checksum made right again."""
    total = sum(block[:148]) + 256 + sum(block[156:512])
    return block[:148] + b"%06o\0 " % total + block[156:]


def directory_without_slash(name: bytes) -> bytes:
    """A directory that only its typeflag tells."""
    block = header(name, b"0")
    return with_checksum(block[:156] + b"5" + block[157:])


FILE = header(b"f", b"0")
END = bytes(1024)
GOOD: dict[str, bytes] = {
    "empty": END,
    "file": header(b"f", b"0", 1) + b"1".ljust(512, b"\0") + END,
    "root in between": FILE + header(b"./", b"5") + header(b"g", b"0") + END,
    "comment": pax(b"14 comment=ab\n", b"g") + FILE + END,
    "path": pax(b"10 path=a\n") + FILE + END,
    "bytes in order": header(b"\xee\x80\x80", b"0") + header(b"\xff", b"0") + END,
    "code points in order": header(b"\xff", b"0") + header(b"\xee\x80\x80", b"0") + END,
}
BAD: dict[str, tuple[str, bytes]] = {
    "checksum": ("checksum", b"F" + FILE[1:] + END),
    "magic": ("magic", with_checksum(FILE[:257] + b"USTAR" + FILE[262:]) + END),
    "octal": ("not an octal", with_checksum(FILE[:100] + b"00000644" + FILE[108:]) + END),
    "base 256": ("not an octal", with_checksum(FILE[:124] + b"\x80" + FILE[125:]) + END),
    "no NUL": ("goes on", with_checksum(FILE[:90] + b"x" + FILE[91:]) + END),
    "one zero block": ("one zero block", FILE + bytes(512)),
    "no zero block": ("not within", FILE),
    "junk": ("follows the end", FILE + END + b"x".ljust(512, b"\0")),
    "padding": ("padding", header(b"f", b"0", 1) + b"1".ljust(512, b"x") + END),
    "cut off": ("past the end", header(b"f", b"0", 5000) + END),
    "child first": ("does not follow", header(b"d/f", b"0") + header(b"d/", b"5") + END),
    "no directory": ("does not follow", header(b"d/f", b"0") + END),
    "unsorted": ("not in order", header(b"g", b"0") + FILE + END),
    "twice": ("comes twice", FILE + FILE + END),
    "no slash": ("typeflag", directory_without_slash(b"d") + END),
    "slash": ("typeflag", header(b"f/", b"0") + END),
    "parent": ("plain path", header(b"../f", b"0") + END),
    "absolute": ("plain path", header(b"/f", b"0") + END),
    "directory with data": ("with data", header(b"d/", b"5", 1) + bytes(512) + END),
    "device": ("typeflag", header(b"f", b"3") + END),
    "dangling": ("no file to link to", header(b"l", b"1", linkname="f") + FILE + END),
    "no target": ("b''", header(b"l", b"2") + END),
    "record length": ("a record", pax(b"11 path=a\n") + FILE + END),
    "record form": ("no record", pax(b"0010 path=\n") + FILE + END),
    "record twice": ("comes twice", pax(b"10 path=a\n10 path=b\n") + FILE + END),
    "record size": ("b'size'", pax(b"11 size=0x\n") + FILE + END),
    "record UTF-8": ("b'path'", pax(b"10 path=\xff\n") + FILE + END),
    "record keyword": ("b'odd'", pax(b"9 ODD=ab\n9 odd=ab\n") + FILE + END),
    "empty payload": ("payload is empty", header(b"x", b"x") + FILE + END),
    "x at the end": ("has no member", pax(b"10 path=a\n") + END),
    "x before g": ("has no member", pax(b"10 path=a\n") + pax(b"9 ODD=ab\n", b"g") + FILE + END),
    "g twice": ("in a row", 2 * pax(b"14 comment=ab\n", b"g") + FILE + END),
    "global path": ("changes what follows", pax(b"10 path=a\n", b"g") + FILE + END),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_posix_allows_is_sound(case: str) -> None:
    check(GOOD[case], PLAIN)


@pytest.mark.parametrize("case", BAD)
def test_what_posix_forbids_is_rejected(case: str) -> None:
    message, image = BAD[case]
    with pytest.raises(AssertionError, match=re.escape(message)):
        check(image, PLAIN)


def test_the_alignment_of_the_image_is_checked() -> None:
    with pytest.raises(AssertionError, match="bytes long"):
        check(GOOD["file"])
    check(GOOD["file"].ljust(4096, b"\0"))


def test_the_limit_of_extended_headers_is_checked() -> None:
    comment = b"513 comment=".ljust(512, b"c") + b"\n"
    image = pax(comment, b"g") + FILE + END
    check(image, PLAIN)
    with pytest.raises(AssertionError, match="513 bytes"):
        check(image, dataclasses.replace(PLAIN, extended_limit=512))


def test_an_image_may_be_an_open_file() -> None:
    assert tar_invariants.check(io.BytesIO(GOOD["file"]), PLAIN).keys() == {b"f"}


def test_the_tree_is_the_usual_one(tree: Path) -> None:
    assert {os.fsencode(path) for path in CONTENTS} <= expected(tree).keys()
