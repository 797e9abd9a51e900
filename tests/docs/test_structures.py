"""Structures in the pages of formats are those of the code, and invariants name their tests."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

import pytest

from blockpack.formats.erofs import structures
from blockpack.formats.fat import boot_sector, dir_entry, flash_frame
from blockpack.formats.git import container, pack_format
from blockpack.formats.tar import header
from blockpack.layers import ccm
from blockpack.layers.disk import gpt, mbr
from pages import DOCS, sections, table_under, tables

Fields = list[tuple[int, int, str]]
"""Offset, size and name of each field of a structure."""


def fields(start: int, sizes: Iterable[tuple[str, int]]) -> Fields:
    found = []
    for name, size in sizes:
        found.append((start, size, name))
        start += size
    return found


def packed(start: int, *structures: Iterable[tuple[str, str]]) -> Fields:
    """The fields of tables that name a struct format for each."""
    sizes = [(name, struct.calcsize(f"<{form}")) for table in structures for name, form in table]
    return fields(start, sizes)


COMMON_END = sum(size for _, size, _ in packed(0, boot_sector.COMMON))


STRUCTURES = {
    ("tar.md", "Header"): fields(0, header.FIELDS),
    ("fat.md", "Boot sector"): packed(0, boot_sector.COMMON),
    ("fat.md", "FAT12 and FAT16"): packed(COMMON_END, boot_sector.TAIL_16),
    ("fat.md", "FAT32"): packed(COMMON_END, boot_sector.TAIL_32),
    ("fat.md", "FSInfo sector"): packed(0, boot_sector.FSINFO.fields),
    ("fat.md", "Short entry"): packed(0, dir_entry.ENTRY.fields),
    ("fat.md", "Long-name entry"): packed(0, dir_entry.LONG.fields),
    ("fat.md", "State"): packed(0, flash_frame.STATE.fields),
    ("fat.md", "Configuration"): packed(0, flash_frame.CONFIGURATION.fields),
    ("erofs.md", "Superblock"): packed(0, structures.SUPERBLOCK.fields),
    ("erofs.md", "Compact inode"): packed(0, structures.COMPACT.fields),
    ("erofs.md", "Extended inode"): packed(0, structures.EXTENDED.fields),
    ("erofs.md", "Dirent"): packed(0, structures.DIRENT.fields),
    ("ccm.md", "Sectors of 512 bytes"): fields(0, ccm.fields(512)),
    ("ccm.md", "Sectors of 4096 bytes"): fields(0, ccm.fields(4096)),
    ("disk.md", "Master boot record"): packed(0, mbr.RECORD.fields),
    ("disk.md", "Entry of an MBR"): packed(0, mbr.ENTRY.fields),
    ("disk.md", "Header of a GPT"): packed(0, gpt.HEADER.fields),
    ("disk.md", "Entry of a GPT"): packed(0, gpt.ENTRY.fields),
    ("git.md", "docteur"): packed(0, container.DOCTEUR.fields),
    ("git.md", "OneFFS"): packed(0, container.ONEFFS.fields),
    ("git.md", "Pack header"): packed(0, pack_format.HEADER.fields),
}


@pytest.mark.parametrize(("page", "heading"), STRUCTURES)
def test_structures_are_those_of_the_code(page: str, heading: str) -> None:
    rows = table_under(DOCS / "format" / page, heading, "Offset")
    told = [(int(offset), int(size), name.strip("`")) for offset, size, name, _ in rows]
    assert told == STRUCTURES[page, heading]
    assert all(meaning for *_, meaning in rows)


def test_every_structure_of_the_pages_is_checked() -> None:
    found = {
        (page.name, heading)
        for page in (DOCS / "format").glob("*.md")
        for heading, text in sections(page).items()
        for table in tables(text)
        if table[0][0] == "Offset"
    }
    assert found == STRUCTURES.keys()


@pytest.mark.parametrize("page", ["tar.md", "fat.md", "git.md", "erofs.md", "ccm.md", "disk.md"])
def test_every_invariant_names_its_test(page: str) -> None:
    rows = table_under(DOCS / "format" / page, "Invariants", "Invariant")
    assert rows and "::" in rows[0][1]
    assert all(re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`|the same", test) for _, test in rows)
