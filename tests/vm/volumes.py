"""Volumes that Linux reads, attached as block devices.

The kernel mounts each FAT, busybox reads each tar straight from its device, and both look at
everything in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import blockpack
from vm.machine import Disk, Part

Files = Mapping[str, bytes | None]
"""Paths with the bytes of files, and None for directories."""

CLUSTERS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
SIZES = sorted({0, 1, 3, *(size + near for size in CLUSTERS for near in (-1, 0, 1))})
MANY = 300
"""Files in a directory of more than one cluster of the largest size here; Linux finds none without
looking at all before it.
"""

DEEP = "deep/" + "/".join(f"level-{n}" for n in range(1, 25))
"""A path that a ustar header holds in two parts."""

PLAIN_NAMES = (
    "README.TXT",
    "A.B",
    "lower.txt",
    "Mixed.Txt",
    "long name with spaces, and more.html",
    "longname one.text",
    "longname two.text",
    "LONGNA~1.TEX",
    "LONGNA~2.TEX",
    ".hidden",
    "..two-dots",
    "archive.tar.gz",
    "no-extension",
    "x.extension",
    "-rf",
    "'quoted' & $HOME `x` 100%",
    "a;b=c+d,[e]~{f}#@!^(g)",
    "N" * 13,
    "N" * 26 + ".n",
)
"""In ASCII, and such that FAT's readers find them however they look for short names."""

UNICODE_NAMES = (
    "grüße.txt",
    "ÆØÅ",
    "İstanbul \u0131",
    "straße",
    "nfc-\u00e9",
    "nfd-e\u0301",
    "日本語のページ.html",
    "שלום עולם",
    "Ελληνικά",
    "кириллица.текст",
    "\U0001f989 owl.png",
    "\U0001d54f\U00020bb7\U0001f468\u200d\U0001f680",
    "\ue000 private use",
    "half\uff1awidth",
)

LONG_NAMES = (
    "t" * 96 + ".txt",
    "h" * 230 + ".html",
    "ü" * 120 + ".text",
    "漢" * 80,
    "\U0001f989" * 60,
)
"""Longer than a ustar header holds; the last three are also longer as bytes than as text."""

WIDEST_NAME = "漢" * 255
"""As long as FAT's names get; no other file system here holds so many bytes."""

KEPT_TIMES = (
    315_532_800,  # 1980-01-01 00:00:00: FAT's first
    951_782_399,  # the last second of 2000-02-28
    951_868_799,  # the last second of 2000-02-29
    1_711_846_801,  # where clocks are put forward in Europe
    1_700_000_001,
    2_147_483_647,  # 2038-01-19, in 31 bits
    2_147_483_648,
    4_294_967_297,  # 2106-02-07, beyond 32 bits
    4_354_819_199,  # 2107-12-31 23:59:59: FAT's last
)


def contents(size: int, seed: int) -> bytes:
    """Bytes that do not repeat at any sector's or cluster's size."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


def files() -> Files:
    """What to pack: ``plain`` for every reader, ``unicode``, and ``long`` for all but ustar."""
    sections = {
        "plain/sizes": {f"{size}-bytes": contents(size, size) for size in SIZES},
        "plain/names": {name: name.encode() for name in PLAIN_NAMES},
        "plain/many": {f"file-number-{n}": b"%d" % n if n % 2 else b"" for n in range(MANY)},
        "plain/empty": {},
        "plain/empty too/also empty": {},
        "plain/large": {"movie.bin": contents((1 << 19) + 12_345, 7)},
        f"plain/{DEEP}": {"at-the-bottom.txt": b"deep"},
        "unicode": {name: name.encode() for name in UNICODE_NAMES},
        "unicode/ordner/ñandú": {"пусто": b""},
        "unicode/空の": {},
        "long": {name: name.encode() for name in LONG_NAMES},
        "long/" + "d" * 120: {"e" * 100 + ".txt": b"in a long directory"},
    }
    found: dict[str, bytes | None] = {"index.html": b"<p>", "ROOT.TXT": b"root"}
    for section, named in sections.items():
        parts = section.split("/")
        found.update(("/".join(parts[: n + 1]), None) for n in range(len(parts)))
        found.update((f"{section}/{name}", data) for name, data in named.items())
    return found


def times() -> dict[str, int]:
    """A time for each path, in seconds since 1970."""
    paths = sorted([*files(), WIDEST_NAME])
    return {path: KEPT_TIMES[n % len(KEPT_TIMES)] for n, path in enumerate(paths)}


class Case(NamedTuple):
    """A volume, the top directories that its reader does not get, and the device's sector."""

    volume: blockpack.Volume
    without: tuple[str, ...] = ()
    sector_size: int = 512

    @property
    def expected(self) -> Files:
        """What is to be found in the image."""
        chosen = {
            path: data
            for path, data in files().items()
            if path.partition("/")[0] not in self.without
        }
        if self.holds_widest_name:
            chosen[WIDEST_NAME] = b"wide"
        return chosen

    @property
    def holds_widest_name(self) -> bool:
        return isinstance(self.volume, blockpack.FatVolume) and not self.without

    def tree(self, source: Path) -> blockpack.Tree:
        """The tree of `source`, which holds `files()`."""
        tree = blockpack.scan(source, exclude=[f"/{name}/" for name in self.without])
        if self.holds_widest_name:
            tree.add(WIDEST_NAME, b"wide", mtime_ns=times()[WIDEST_NAME] * 10**9)
        return tree


FAT = {
    "fat12": Case(blockpack.FatVolume(fat_type=12, mtime="keep", label="TWELVE")),
    "fat16": Case(blockpack.FatVolume(fat_type=16, mtime="keep", label="SIXTEEN")),
    "fat32": Case(blockpack.FatVolume(fat_type=32, mtime="keep", label="THIRTYTWO")),
    "one-table": Case(
        blockpack.FatVolume(fat_type=16, mtime="keep", fats=1, label="lower", label_case="keep")
    ),
    "raspberrypi": Case(blockpack.FatVolume(profile="raspberrypi", mtime="keep")),
    "fat32-4096": Case(
        blockpack.FatVolume(fat_type=32, mtime="keep", sector_size=4096), sector_size=4096
    ),
    "mirage-on-4096": Case(
        blockpack.FatVolume(profile="mirage", mtime="keep"), ("unicode", "long"), 4096
    ),
    "mirage-on-512": Case(
        blockpack.FatVolume(profile="mirage", mtime="keep"), ("unicode", "long"), 512
    ),
}

TAR = {
    "tar-on-512": Case(blockpack.TarVolume(mtime="keep")),
    "tar-on-4096": Case(blockpack.TarVolume(mtime="keep", sector_size=4096), (), 4096),
    "gnu-tar": Case(blockpack.TarVolume(mtime="keep", dialect="gnu", align=4096)),
}

CASES = FAT | TAR

DAMAGED = "bad-fsinfo"
"""A FAT32 whose FSInfo sector has the wrong signature: the kernel has to complain."""

SCRIPT = r"""
out=$PWD
survey() {
    blockdev --getss "/disks/$1" >"$out/$1.sector"
    cd "$2"
    find . -mindepth 1 -exec stat -c '%F|%Y|%n' {} + >"$out/$1.entries"
    find . -type f -exec sha256sum {} + >"$out/$1.sums"
    cd "$out"
}
read_fat() {
    dmesg -c >/dev/null
    if mount -t vfat -o ro,utf8=1,tz=UTC "/disks/$1" /mnt; then
        survey "$1" /mnt
        stat -f -c '%b %f %s' /mnt >"$out/$1.space"
        umount /mnt
    fi
    dmesg -c >"$out/$1.log"
}
read_tar() {
    dmesg -c >/dev/null
    mkdir /extracted
    tar x -f "/disks/$1" -C /extracted && survey "$1" /extracted
    rm -rf /extracted
    dmesg -c >"$out/$1.log"
}
"""


@contextmanager
def part(scratch: Path) -> Iterator[Part]:
    """All volumes, each with its reports: ``NAME.entries`` and so on."""
    source = scratch / "source"
    make_source(source)
    disks = []
    for name, case in CASES.items():
        image = scratch / f"{name}.img"
        blockpack.write(case.volume.plan(case.tree(source)), image)
        disks.append(Disk(name, image, case.sector_size))
    damaged = scratch / "damaged.img"
    blockpack.write(FAT["fat32"].volume.plan(blockpack.Tree()), damaged)
    with damaged.open("r+b") as file:
        file.seek(512)
        file.write(b"RRaB")
    lines = [f"read_fat {name} >{name}.errors 2>&1" for name in (*FAT, DAMAGED)]
    lines += [f"read_tar {name} >{name}.errors 2>&1" for name in TAR]
    yield Part("\n".join([SCRIPT, *lines, "true"]), [*disks, Disk(DAMAGED, damaged)])


def make_source(source: Path) -> None:
    """Write `files()` below `source`, with `times()`."""
    root = os.fsencode(source)
    os.mkdir(root)
    times_of = times()
    packed = files()
    for path, data in packed.items():
        location = os.path.join(root, path.encode())
        if data is None:
            os.makedirs(location, exist_ok=True)
        else:
            with open(location, "wb") as file:
                file.write(data)
    # Directories last, for each file that is put into one sets its time.
    for path in sorted(packed, key=lambda path: packed[path] is None):
        os.utime(os.path.join(root, path.encode()), (times_of[path], times_of[path]))
