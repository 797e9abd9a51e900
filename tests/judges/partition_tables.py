"""What programs that we did not write make of a partition table, and whether they complain.

fdisk, sfdisk and sgdisk take an image file for a disk with sectors of 512 bytes; partx, which is
libblkid, is told the sector size. Offsets and sizes are in bytes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from .programs import run, run_silent

_ATTRIBUTES = {"RequiredPartition": 0, "NoBlockIOProtocol": 1, "LegacyBIOSBootable": 2}
"""Bits of a GPT by the names that sfdisk has for them."""

_PAIR = re.compile(r'([A-Z]+)="((?:[^"\\]|\\.)*)"')


class Told(NamedTuple):
    """A partition, as a program tells of it; `type` and `id` in capitals, an MBR's `id` empty."""

    number: int
    start: int
    size: int
    type: str
    id: str
    name: str
    attributes: int


class ToldTable(NamedTuple):
    """A table, as a program tells of it: `label` is ``gpt`` or ``dos``."""

    label: str
    id: str
    partitions: list[Told]
    first_usable: int = 0
    end_usable: int = 0


def sfdisk_table(image: Path, *options: str) -> ToldTable:
    """What ``sfdisk -J`` tells."""
    found = json.loads(run_silent("sfdisk", ["-J", *options, image]))["partitiontable"]
    sector = found.get("sectorsize", 512)
    assert found["unit"] == "sectors"
    return ToldTable(
        found["label"],
        found["id"],
        [_sfdisk_partition(each, str(image), sector) for each in found.get("partitions", ())],
        found.get("firstlba", 0) * sector,
        (found["lastlba"] + 1) * sector if "lastlba" in found else 0,
    )


def _sfdisk_partition(found: dict[str, Any], image: str, sector: int) -> Told:
    attributes = 0x80 * found.get("bootable", False)
    for name in found.get("attrs", "").split():
        if name.startswith("GUID:"):
            attributes |= sum(1 << int(bit) for bit in name[5:].split(","))
        else:
            attributes |= 1 << _ATTRIBUTES[name]
    return Told(
        int(re.fullmatch(r"p?(\d+)", found["node"].removeprefix(image))[1]),  # type: ignore[index]
        found["start"] * sector,
        found["size"] * sector,
        found["type"].upper(),
        found.get("uuid", ""),
        found.get("name", ""),
        attributes,
    )


def partx_table(image: Path, sector_size: int) -> ToldTable:
    """What ``partx`` tells; of the disk's own id nothing."""
    columns = "NR,START,SECTORS,TYPE,UUID,NAME,FLAGS,SCHEME"
    output = run("partx", ["-b", "-P", "-S", str(sector_size), "-o", columns, image]).stdout
    found = []
    scheme = ""
    for line in output.decode().splitlines():
        values = {name: _unescaped(value) for name, value in _PAIR.findall(line)}
        scheme = values["SCHEME"]
        # partx counts in sectors of 512 bytes, whatever the disk's.
        found.append(
            Told(
                int(values["NR"]),
                int(values["START"]) * 512,
                int(values["SECTORS"]) * 512,
                values["TYPE"].removeprefix("0x").upper(),
                values["UUID"].upper() if scheme == "gpt" else "",
                values["NAME"],
                int(values["FLAGS"] or "0", 16),
            )
        )
    return ToldTable(scheme, "", found)


def _unescaped(text: str) -> str:
    return re.sub(
        rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode()
    ).decode()


def assert_sound(image: Path, label: str) -> None:
    """Assert that fdisk, sfdisk and, of a GPT, sgdisk find nothing wrong."""
    verified = run("sfdisk", ["--verify", image])
    listed = run("fdisk", ["-l", image])
    for output in (verified, listed):
        assert not output.stderr, output.stderr.decode()
    assert b"No errors detected" in verified.stdout or label == "dos", verified.stdout.decode()
    assert f"Disklabel type: {label}" in listed.stdout.decode()
    if label == "gpt":
        told = run("sgdisk", ["-v", image]).stdout.decode()
        assert "No problems found" in told, told
