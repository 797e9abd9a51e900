"""EROFS images for kernels to mount, what is in them, and the script that looks at them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from attrs import evolve

import blockpack
from blockpack.formats.erofs.volume import ErofsVolume
from blockpack.formats.tar.volume import TarVolume
from blockpack.model.entry import Directory, Entry, File, Symlink, encode
from blockpack.planning.posix_volume import PosixVolume
from vm.machine import Disk, Part

MANY = 2_000
SPARSE = 6 << 30
PLACES = (0, 1 << 20, (4 << 30) - 4096, 4 << 30, 5 << 30, SPARSE - 4096)
"""Where the sparse file is looked at; 4096 bytes each. There is something at every other one."""

SECOND = 10**9
TIMES = tuple(
    seconds * SECOND + nanoseconds
    for seconds in (-1, 0, 315_532_800, 1_700_000_000, (1 << 31) - 1, 1 << 31, (1 << 32) + 5)
    for nanoseconds in (0, 987_654_321)
)
CONTENT = hashlib.shake_128(b"erofs").digest((1 << 20) + 1)
LINKS = {"short": "sizes/1", "absolute": "/x", "long": "t/" * 2047 + "t"}

_KEPT = {"mtime": "keep", "owner": "keep", "mode": "keep"}
VOLUMES: Mapping[str, PosixVolume] = {
    "erofs": ErofsVolume(**_KEPT, label="fifteen letters"),  # type: ignore[arg-type]
    "erofs-plain": ErofsVolume(**_KEPT, inline="off"),  # type: ignore[arg-type]
    "erofs-512": ErofsVolume(**_KEPT, block_size=512),  # type: ignore[arg-type]
    "erofs-1024": ErofsVolume(block_size=1024),
    "tar-512": TarVolume(**_KEPT, erofs=True),  # type: ignore[arg-type]
    "tar-4096": TarVolume(**_KEPT, erofs=True, sector_size=4096),  # type: ignore[arg-type]
}
LARGE = "erofs-large"

SCRIPT = r"""
out=$PWD
read_erofs() {
    dmesg -c >/dev/null
    if mount -t erofs -o ro "/disks/$1" /mnt; then
        cd /mnt
        find . -mindepth 1 -exec stat -c '%f|%u|%g|%h|%s|%Y|%y|%n//' {} + >"$out/$1.entries"
        find . -path ./many -prune -o -type f -size -9999k -print0 |
            xargs -0 sha256sum >"$out/$1.sums"
        for link in link*; do readlink "$link"; done >"$out/$1.links"
        for place in $2; do
            dd if=huge bs=4096 skip="$place" count=1 2>/dev/null | sha256sum
        done >"$out/$1.places"
        cd "$out"
        umount /mnt
    fi
    dmesg -c >"$out/$1.log"
}
uname -r >release
"""


class Seen(NamedTuple):
    """What a kernel says of an entry; `links` is 0 where nothing is said."""

    mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime_ns: int


@cache
def entries(name: str) -> tuple[Entry, ...]:
    """What is packed into that image, with all that an inode says."""
    tree = blockpack.Tree()
    sizes = {size + near for size in (512, 4096, 8192, 1 << 20) for near in (-1, 0, 1)} | {0, 1}
    for number, size in enumerate(sorted(sizes)):
        time = TIMES[number % len(TIMES)]
        tree.add(f"sizes/{size}", CONTENT[:size], mtime_ns=time)
    for number in range(0, 0o10000, 0o35):
        tree.add(f"modes/{number:04o}", b"", mode=number)
    tree.mkdir("empty", mode=0o1700, mtime_ns=TIMES[1])
    for byte in {*range(1, 256)} - {ord("/"), ord(".")}:
        tree.add(f"bytes/{os.fsdecode(bytes([byte]))}", bytes([byte]))
    for long in ("n" * 255, "\u6f22" * 85, "." * 255, "a" * 254 + "b"):
        tree.add(f"long/{long}", long.encode())
    tree.add("/".join(["d" * 200] * 18) + "/end", b"deep")
    for number in range(MANY if name in ("erofs", "erofs-512") else 0):
        tree.add(f"many/{number * 7919 % 1_000_003:x}", b"")
    for link, target in LINKS.items():
        tree.symlink(f"link {link}", target)
    found = [
        evolve(entry, uid=number % 3 * 40_000, gid=number % 2 * 70_000)
        for number, entry in enumerate(tree)
    ]
    [shared] = [entry for entry in found if entry.path == "sizes/4097"]
    assert isinstance(shared, File)
    found.remove(shared)
    linked = evolve(shared, inode=(1, 1))
    return (*found, linked, evolve(linked, path="modes/link"))


def expected(name: str) -> dict[bytes, Seen]:
    """What a kernel is to say of each entry."""
    volume = VOLUMES[name]
    kinds = {File: stat.S_IFREG, Directory: stat.S_IFDIR, Symlink: stat.S_IFLNK}
    found = {}
    for entry in entries(name):
        size = len(encode(entry.target)) if isinstance(entry, Symlink) else 0
        size = entry.size if isinstance(entry, File) else size
        links = 2 if isinstance(entry, File) and entry.inode else 1
        found[encode(entry.path)] = Seen(
            kinds[type(entry)] | volume.mode_of(entry),
            *volume.owner_of(entry),
            0 if isinstance(entry, Directory) else links,
            size,
            volume.nanoseconds(entry),
        )
    return found


def sums(name: str) -> dict[bytes, str]:
    """The SHA-256 of each file but those of the large directory."""
    return {
        encode(entry.path): hashlib.sha256(entry.key).hexdigest()
        for entry in entries(name)
        if isinstance(entry, File)
        and isinstance(entry.key, bytes)
        and not entry.path.startswith("many/")
    }


def place(number: int) -> bytes:
    """What is at that place of the large file."""
    return bytes(4096) if number % 2 else CONTENT[number : number + 4096]


@contextmanager
def part(scratch: Path) -> Iterator[Part]:
    """All images, each with its reports: ``NAME.entries`` and so on."""
    images = {}
    for name, volume in VOLUMES.items():
        tree = blockpack.Tree()
        for entry in entries(name):
            tree.put(entry)
        images[name] = volume.plan(tree)
    large = scratch / "huge"
    with large.open("wb") as file:
        file.truncate(SPARSE)
        for number, at in enumerate(PLACES):
            if number % 2 == 0:
                file.seek(at)
                file.write(place(number))
    tree = blockpack.Tree()
    tree.add("huge", large)
    images[LARGE] = ErofsVolume().plan(tree)
    disks, lines = [], [SCRIPT]
    for name, layout in images.items():
        blockpack.write(layout, scratch / f"{name}.img")
        disks.append(Disk(name, scratch / f"{name}.img"))
        places = " ".join(str(at // 4096) for at in PLACES) if name == LARGE else ""
        lines.append(f"read_erofs {name} '{places}' >{name}.errors 2>&1")
    yield Part("\n".join([*lines, "true"]), disks)
