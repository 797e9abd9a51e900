"""A kernel checks each block of our images: what is whole is mounted, what is damaged is refused.

``veritysetup`` opens them there, with its libraries on a disk of its own: busybox has no such tool,
and the kernel's own way, ``dm-mod.create=``, is left out where device-mapper is a module.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import blockpack
from blockpack.deploy.attach.consumer import verity_table
from blockpack.deploy.record import HashTreeRecord
from judges.programs import require, run
from vm.machine import Disk, require_machine

FILES = {
    "index.html": b"<p>hello",
    "media/film.bin": bytes(range(256)) * 2048,
    "media/other.bin": bytes(range(256))[::-1] * 2048,
}

SCRIPT = r"""
tar x -f /disks/tools -C / 2>/dev/null
export DM_DISABLE_UDEV=1
opened() { # NAME ROOT DATA HASHES [OFFSET]
    veritysetup open --hash-offset "${5:-0}" "/disks/$3" "$1" "/disks/$4" "$2" \
        >"/results/$1.told" 2>&1
}
opened_by_table() { # NAME TABLE
    dmsetup create --noudevsync --readonly "$1" --table "$2" >"/results/$1.told" 2>&1
}
survey() { # NAME TYPE
    mount -t "$2" -o ro "/dev/mapper/$1" /mnt 2>"/results/$1.errors" || return 0
    cd /mnt
    find . -type f | while read -r file; do
        cat "$file" 2>>"/results/$1.errors" | sha256sum | sed "s|-$|$file|" >>"/results/$1.sums"
    done
    cd /
    umount /mnt
}
"""

CASES = {
    "fat": blockpack.FatVolume(),
    "fat4096": blockpack.FatVolume(sector_size=4096),
    "erofs": blockpack.ErofsVolume(),
    "beside": blockpack.ErofsVolume(),
    "table": blockpack.ErofsVolume(),
    "both": blockpack.TarVolume(erofs=True),
}


def tree() -> blockpack.Tree:
    found = blockpack.Tree()
    for path, data in FILES.items():
        found.add(path, data)
    return found


def tools(image: Path) -> None:
    """An archive with the programs that open devices, and all that these are linked with."""
    programs = {name: require(name) for name in ("veritysetup", "dmsetup")}
    linked = run("ldd", list(programs.values())).stdout.decode()
    with tarfile.open(image, "w") as archive:
        for name, program in programs.items():
            archive.add(Path(program).resolve(), f"bin/{name}")
        for library in sorted(set(re.findall(r"(/\S+) \(0x", linked))):
            archive.add(Path(library).resolve(), library.removeprefix("/"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    machine = require_machine()
    scratch = tmp_path_factory.mktemp("verity")
    tools(scratch / "tools.tar")
    disks = [Disk("tools", scratch / "tools.tar")]
    lines = []
    for name, volume in CASES.items():
        layout = volume.plan(tree())
        kind = "vfat" if volume.format == "fat" else "erofs"
        if name == "beside":
            hashed = blockpack.hash_tree(layout)
            blockpack.write(hashed, scratch / "hashes.img")
            disks.append(Disk("hashes", scratch / "hashes.img"))
            how = "hashes"
        else:
            layout = hashed = blockpack.verity(layout)
            how = f"{name} {layout.geometry['hash_offset']}"
        blockpack.write(layout, scratch / f"{name}.img")
        disks.append(Disk(name, scratch / f"{name}.img", volume.sector_size))
        root = str(hashed.geometry["root_hash"])
        if name == "table":
            record = HashTreeRecord.of(layout.geometry)
            assert record is not None
            table = verity_table(record, f"/disks/{name}")
            lines.append(f"opened_by_table {name} '{table}' && survey {name} {kind}")
            continue
        if name == "erofs":
            offset = layout.geometry["hash_offset"]
            disks.append(Disk("wrong", scratch / f"{name}.img"))
            lines.append(f"opened wrong {root[::-1]} wrong wrong {offset}; survey wrong {kind}")
            image = bytearray((scratch / f"{name}.img").read_bytes())
            image[image.index(FILES["media/film.bin"]) + 70_000] ^= 1
            (scratch / "damaged.img").write_bytes(image)
            disks.append(Disk("damaged", scratch / "damaged.img"))
            lines.append(f"opened damaged {root} damaged damaged {offset} && survey damaged {kind}")
        lines.append(f"opened {name} {root} {name} {how} && survey {name} {kind}")
    script = [SCRIPT, *lines, "dmesg >/results/log", "true", ""]
    return machine.run("\n".join(script), disks, scratch)


def sums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {f"./{path}": hashlib.sha256(data).hexdigest() for path, data in files.items()}


def seen(reports: Mapping[str, bytes], name: str) -> dict[str, str]:
    lines = reports[f"{name}.sums"].decode().splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_mounts_what_has_its_root_hash(reports: Mapping[str, bytes], name: str) -> None:
    assert reports[f"{name}.told"] == b""
    assert seen(reports, name) == sums(FILES)
    assert reports[f"{name}.errors"] == b""


def test_the_kernel_refuses_another_root_hash(reports: Mapping[str, bytes]) -> None:
    assert b"Input/output error" in reports["wrong.errors"]
    assert "wrong.sums" not in reports


def test_the_kernel_refuses_a_damaged_block_and_reads_all_others(
    reports: Mapping[str, bytes],
) -> None:
    found, expected = seen(reports, "damaged"), sums(FILES)
    film = "./media/film.bin"
    assert found.pop(film) != expected.pop(film)
    assert found == expected
    assert b"Input/output error" in reports["damaged.errors"]
    assert b"is corrupted" in reports["log"]
