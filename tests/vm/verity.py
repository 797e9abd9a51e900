"""Images with hash trees, which ``veritysetup`` opens in the machine, and the script that looks at
them.

Its libraries come on a disk of their own: busybox has no such tool, and the kernel's own way,
``dm-mod.create=``, is left out where device-mapper is a module.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import blockpack
from blockpack.deploy.attach.consumer import verity_table
from blockpack.deploy.record import HashTreeRecord
from judges.programs import require, run
from vm.machine import Disk, Part

FILES = {
    "index.html": b"<p>hello",
    "media/film.bin": bytes(range(256)) * 2048,
    "media/other.bin": bytes(range(256))[::-1] * 2048,
}

SCRIPT = r"""
out=$PWD
dmesg -c >/dev/null
tar x -f /disks/verity-tools -C / 2>/dev/null
export DM_DISABLE_UDEV=1
opened() { # NAME ROOT DATA HASHES [OFFSET]
    veritysetup open --hash-offset "${5:-0}" "/disks/verity-$3" "$1" "/disks/verity-$4" "$2" \
        >"$out/$1.told" 2>&1
}
opened_by_table() { # NAME TABLE
    dmsetup create --noudevsync --readonly "$1" --table "$2" >"$out/$1.told" 2>&1
}
survey() { # NAME TYPE
    mount -t "$2" -o ro "/dev/mapper/$1" /mnt 2>"$out/$1.errors" || return 0
    cd /mnt
    find . -type f | while read -r file; do
        cat "$file" 2>>"$out/$1.errors" | sha256sum | sed "s|-$|$file|" >>"$out/$1.sums"
    done
    cd "$out"
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


@contextmanager
def part(scratch: Path) -> Iterator[Part]:
    """All images, each with its reports: ``NAME.told``, ``NAME.sums`` and ``NAME.errors``; among
    them ``damaged``, which differs from ``erofs`` in one bit, and ``wrong``, which is opened with
    another root hash.
    """
    tools(scratch / "tools.tar")
    images = {"tools": scratch / "tools.tar"}
    lines = [SCRIPT]
    for name, volume in CASES.items():
        layout = volume.plan(tree())
        kind = "vfat" if volume.format == "fat" else "erofs"
        images[name] = scratch / f"{name}.img"
        if name == "beside":
            hashed = blockpack.hash_tree(layout)
            images["hashes"] = scratch / "hashes.img"
            blockpack.write(hashed, images["hashes"])
            how = "hashes"
        else:
            layout = hashed = blockpack.verity(layout)
            how = f"{name} {layout.geometry['hash_offset']}"
        blockpack.write(layout, images[name])
        root = str(hashed.geometry["root_hash"])
        opening = f"opened {name} {root} {name} {how}"
        if name == "table":
            record = HashTreeRecord.of(layout.geometry)
            assert record is not None
            opening = f"opened_by_table {name} '{verity_table(record, f'/disks/verity-{name}')}'"
        if name == "erofs":
            offset = layout.geometry["hash_offset"]
            images["wrong"] = images[name]  # a disk of its own: one that is open is in use
            lines.append(f"opened wrong {root[::-1]} wrong wrong {offset}; survey wrong {kind}")
            image = bytearray(images[name].read_bytes())
            image[image.index(FILES["media/film.bin"]) + 70_000] ^= 1
            images["damaged"] = scratch / "damaged.img"
            images["damaged"].write_bytes(image)
            lines.append(f"opened damaged {root} damaged damaged {offset} && survey damaged {kind}")
        lines.append(f"{opening} && survey {name} {kind}")
    sizes = {name: volume.sector_size for name, volume in CASES.items()}
    disks = [Disk(f"verity-{name}", image, sizes.get(name, 512)) for name, image in images.items()]
    yield Part("\n".join([*lines, "dmesg -c >log", "true"]), disks)
