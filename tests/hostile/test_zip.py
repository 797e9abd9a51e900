"""Zip archives that are damaged or made to harm: refused in time, or packed, and nothing else."""

from __future__ import annotations

import io
import random
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

import blockpack
from blockpack import BlockpackError, Problems, scan
from hostile.ordeal import in_time
from judges.programs import run

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def archive() -> bytes:
    """Files by every method, a link, and extra fields."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for number, method in enumerate(METHODS):
            info = zipfile.ZipInfo(f"d{number % 2}/file {number}")
            info.external_attr = (stat.S_IFREG | 0o755) << 16
            info.compress_type = method
            info.extra = b"UT\5\0\3\1\2\3\4ux\x0b\0\1\4\1\0\0\0\4\2\0\0\0"
            made.writestr(info, b"content " * 20)
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "d0/file 0")
    return buffer.getvalue()


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_zip_is_packed_or_refused(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    sound = archive()
    place = tmp_path / "x.zip"
    with in_time():
        for _ in range(30):
            data = bytearray(sound)
            for _ in range(chance.choice((1, 1, 3))):
                data[chance.randrange(len(data))] = chance.choice((0, 1, 0xFF, 0x80))
            if chance.random() < 0.2:
                del data[chance.randrange(len(data)) :]
            place.write_bytes(data)
            try:
                layout = blockpack.TarVolume().plan(scan(place, symlinks="follow"))
                blockpack.write(layout, io.BytesIO())
            except BlockpackError as error:
                assert str(error)


def test_a_link_with_a_target_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    data = bytearray(archive())
    sizes = data.rindex(b"PK\1\2") + 20  # of the link, which comes last
    data[sizes : sizes + 8] = struct.pack("<II", 1 << 31, 1 << 31)
    (tmp_path / "x.zip").write_bytes(data)
    with in_time(), pytest.raises(Problems, match="1 problem") as raised:
        scan(tmp_path / "x.zip")
    assert "link: is a link with a target of 2,147,483,648 bytes" in str(raised.value)


def test_an_archive_that_lies_about_a_size_is_the_one_to_mend(tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", b"x" * 1000)
    data = bytearray(place.read_bytes())
    at = data.rindex(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 2000)
    place.write_bytes(data)
    with pytest.raises(BlockpackError, match="make the archive anew"):
        blockpack.write(blockpack.TarVolume().plan(scan(place)), io.BytesIO())


def test_names_that_lead_out_are_refused_and_told_together(tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w") as made:
        for name in ("../a", "b/../../c", "./d", "/etc/e", "f//g", "h/./i"):
            made.writestr(name, b"x")
    with pytest.raises(Problems) as raised:
        scan(place)
    told = {error.path for error in raised.value.exceptions}  # type: ignore[union-attr]
    assert told == {"../a", "b/../../c", "f//g", "h/./i"}


def test_what_only_looks_like_the_end_of_a_zip_is_no_zip(tmp_path: Path) -> None:
    place = tmp_path / "words"
    for words in (b"a zip ends with PK\5\6, they say", b"x" * 30 + b"PK\5\6" + bytes(17)):
        place.write_bytes(words)
        with pytest.raises(blockpack.SourceError, match="is not a directory, an archive or an"):
            scan(place)


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_zip_that_is_cut_at_its_begin_is_damaged(cut: int, tmp_path: Path) -> None:
    place = tmp_path / "cut.zip"
    place.write_bytes(archive()[cut:])
    with pytest.raises(blockpack.SourceError, match="what it begins with is missing"):
        scan(place)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_name_that_says_utf8_and_is_not_is_the_bytes_that_it_is(
    method: int, tmp_path: Path
) -> None:
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w", method) as made:
        for number, name in enumerate(("über", "naïf", "dir/sound", "grün")):
            made.writestr(name, b"content" * number)
    data = place.read_bytes().replace("über".encode(), b"\xe9ber\xff")
    place.write_bytes(data.replace("naïf".encode(), b"na\xff\xfef"))
    tree = scan(place)
    unpacked = tmp_path / "unpacked"
    run("busybox", ["unzip", "-q", place, "-d", unpacked])
    for path in ("\udce9ber\udcff", "na\udcff\udcfef", "dir/sound", "grün"):
        with blockpack.open_image(blockpack.TarVolume().plan(tree)) as image:
            assert image.read(path) == (unpacked / path).read_bytes()
    with pytest.raises(Problems, match="2 problems: this tree does not fit a FAT"):
        blockpack.FatVolume().plan(tree)


def test_what_is_wrong_with_a_file_names_it_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("grün", b"content")
    data = place.read_bytes()
    place.write_bytes(data.replace("grün".encode(), "grÜn".encode(), 1))
    with pytest.raises(Problems) as raised:
        scan(place)
    assert str(raised.value.exceptions[0]).startswith("grün: cannot be read: its two headers")
    crc = zlib.crc32(b"content").to_bytes(4, "little")
    place.write_bytes(data.replace(crc, bytes(4)))
    with pytest.raises(BlockpackError, match="grün: cannot be read: Bad CRC-32 for file 'grün'"):
        blockpack.TarVolume().plan(scan(place)).open().read()


def test_bytes_that_are_those_of_many_files_are_read_for_none(tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w") as made:
        made.writestr("honest", b"honest")
        made.writestr("00000", bytes(5_000_000))
    data = place.read_bytes()
    end = data.rindex(b"PK\5\6")
    begin = data.rindex(b"PK\1\2")
    count = 2_000
    header = data[begin:end]
    directory = b"".join(header[:46] + b"%05d" % n + header[51:] for n in range(count))
    record = bytearray(data[end:])
    struct.pack_into("<HH", record, 8, count + 1, count + 1)
    first = data.index(b"PK\1\2")
    directory = data[first:begin] + directory
    struct.pack_into("<I", record, 12, len(directory))
    place.write_bytes(data[:first] + directory + record)
    with in_time(), pytest.raises(Problems, match="2,000 problems") as raised:
        scan(place)
    assert all("another file's, too" in error.rule for error in raised.value.errors)
    assert [entry.path for entry in scan(place, exclude=["0*"])] == ["honest"]


@pytest.mark.parametrize("system", [0, 3])
def test_a_name_in_a_field_of_its_own_is_taken_if_it_is_of_that_entry(
    system: int, tmp_path: Path
) -> None:
    """As bsdtar does (APPNOTE 4.6.9), in all versions of Python."""
    place = tmp_path / "x.zip"
    fields = {"caf_": "café", "na_ve": "naïve", "other": "öther"}

    def make(fields: dict[str, str]) -> None:
        with zipfile.ZipFile(place, "w") as made:
            for name, told in fields.items():
                checked = name if name != "other" else "another"
                data = struct.pack("<BI", 1, zlib.crc32(checked.encode()))
                data += told.encode("utf-8", "surrogateescape")
                info = zipfile.ZipInfo(name)
                info.create_system = system
                info.extra = struct.pack("<HH", 0x7075, len(data)) + data
                made.writestr(info, b"content")

    make(fields)
    found = {entry.path for entry in scan(place)}
    listed = run("bsdtar", ["-tf", place]).stdout.decode().split()
    assert found == {"café", "naïve", "other"} == set(listed)
    make(fields | {"empty": "", "no utf-8": "\udcff"})
    assert {entry.path for entry in scan(place)} == found | {"empty", "\udcff"}
