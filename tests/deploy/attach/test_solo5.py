"""Solo5's own scanner takes our arguments: the C library's `sscanf`, with the tender's format."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import pytest

from cli.running import Command
from deploy.attach.builds import faked, recorded

BLOCK = b"--block:%67[A-Za-z0-9]=%4096s"
SECTORS = b"--block-sector-size:%67[A-Za-z0-9]=%hu"
"""The formats in Solo5 0.9's tenders/hvt/hvt_module_blk.c."""


def scanned(argument: str) -> tuple[str, str | int]:
    """What a tender makes of an argument; a name and a path, or a name and a size."""
    libc = ctypes.CDLL(None)
    name = ctypes.create_string_buffer(68)
    if argument.startswith("--block:"):
        path = ctypes.create_string_buffer(4097)
        assert libc.sscanf(argument.encode(), BLOCK, name, path) == 2, argument
        return name.value.decode(), path.value.decode()
    size = ctypes.c_ushort()
    assert libc.sscanf(argument.encode(), SECTORS, name, ctypes.byref(size)) == 2, argument
    return name.value.decode(), size.value


@pytest.mark.parametrize("tender", ["solo5-hvt", "solo5-spt"])
def test_a_tender_finds_names_paths_and_sectors(
    tender: str, tmp_path: Path, command: Command
) -> None:
    directory = tmp_path / "o'dd,=dür"
    directory.mkdir()
    longest = "n" * 63
    recorded(
        directory,
        faked("site", 4096, directory, sector_size=4096),
        faked(longest, 512, directory),
    )
    result = command("attach", directory, "--for", tender, "--json")
    assert list(map(scanned, json.loads(result.out)["arguments"])) == [
        ("site", f"{directory}/site.img"),
        ("site", 4096),
        (longest, f"{directory}/{longest}.img"),
    ]
