"""What cryptsetup's ``veritysetup`` makes and says of hash trees."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from blockpack.planning.layout import Fact
from judges.programs import run


def made(image: Path, facts: Mapping[str, Fact], scratch: Path) -> tuple[bytes, str]:
    """The file that ``veritysetup format`` makes with the parameters of `facts` for the data that
    are the begin of `image`, appended to them or, at offset 0, by itself; and the root hash.
    """
    offset, blocks, size = (
        int(facts[name]) for name in ("hash_offset", "data_blocks", "data_block_size")
    )
    data = scratch / "judged"
    shutil.copyfile(image, data)
    with data.open("r+b") as file:
        file.truncate(blocks * size)
    hashes = data if offset else scratch / "judged.verity"
    arguments = ["--data-blocks", str(blocks), "--data-block-size", str(size)]
    if offset:
        arguments += ["--hash-offset", str(offset)]
    options = {"hash": "hash_algorithm", "hash-block-size": "hash_block_size", "uuid": "hash_uuid"}
    for option, name in options.items():
        arguments += [f"--{option}", str(facts[name])]
    arguments += ["--salt", str(facts["hash_salt"]) or "-"]
    told = run("veritysetup", ["format", data, hashes, *arguments]).stdout.decode()
    found = hashes.read_bytes()
    if not offset:
        hashes.unlink()
    return found, _value(told, "Root hash")


def verify(image: Path, hashes: Path, root_hash: str, offset: int = 0) -> None:
    """Assert that for ``veritysetup verify`` each block has the hash that the tree has of it."""
    arguments = ["--hash-offset", str(offset)] if offset else []
    run("veritysetup", ["verify", *arguments, image, hashes, root_hash])


def _value(told: str, name: str) -> str:
    (line,) = (line for line in told.splitlines() if line.startswith(name))
    return line.partition(":")[2].strip()
