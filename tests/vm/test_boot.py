"""Linux reads every name, byte and time from our images, attached as block devices.

One boot serves all tests: in it the kernel mounts each FAT, busybox reads each tar straight from
its device, and both look at everything in it. Its reports are compared with the files' own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import blockpack
from blockpack.planning.layout import Fact
from vm.machine import Disk, require_machine

Files = Mapping[str, bytes | None]
"""Paths with the bytes of files, and None for directories."""

CLUSTERS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
SIZES = sorted({0, 1, 3, *(size + near for size in CLUSTERS for near in (-1, 0, 1))})
MANY = 2000

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
        "plain/large": {"movie.bin": contents((3 << 20) + 12_345, 7)},
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

COMPLAINT = re.compile(rb"FAT-fs|I/O error|attempt to access beyond|WARNING:|\bBUG\b|Oops")
"""What the kernel's log says when something is wrong with a volume, or with the kernel."""

SCRIPT = r"""
survey() {
    blockdev --getss "/disks/$1" >"/results/$1.sector"
    cd "$2"
    find . -mindepth 1 -exec stat -c '%F|%Y|%n' {} + >"/results/$1.entries"
    find . -type f -exec sha256sum {} + >"/results/$1.sums"
    cd /
}
read_fat() {
    dmesg -c >/dev/null
    if mount -t vfat -o ro,utf8=1,tz=UTC "/disks/$1" /mnt; then
        survey "$1" /mnt
        stat -f -c '%b %f %s' /mnt >"/results/$1.space"
        umount /mnt
    fi
    dmesg -c >"/results/$1.log"
}
read_tar() {
    dmesg -c >/dev/null
    mkdir /extracted
    tar x -f "/disks/$1" -C /extracted && survey "$1" /extracted
    rm -rf /extracted
    dmesg -c >"/results/$1.log"
}
"""


class Boot(NamedTuple):
    """What the machine reported by name of the report, and the facts of each FAT's layout."""

    reports: Mapping[str, bytes]
    geometries: Mapping[str, Mapping[str, Fact]]

    def entries(self, name: str) -> Iterator[tuple[str, bool, int]]:
        """Each path below ``/``, whether it is a directory, and its time."""
        for line in self.reports[f"{name}.entries"].decode().splitlines():
            kind, seconds, path = line.split("|", 2)
            assert kind in ("directory", "regular file", "regular empty file"), line
            yield path.removeprefix("./"), kind == "directory", int(seconds)

    def sums(self, name: str) -> dict[str, str]:
        """The SHA-256 of each file."""
        lines = self.reports[f"{name}.sums"].decode().splitlines()
        return {
            path.removeprefix("./"): digest for digest, path in (x.split("  ", 1) for x in lines)
        }


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """The one boot, by whichever process of the test run comes first."""
    machine = require_machine()
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    scratch = shared / "vm"
    scratch.mkdir(exist_ok=True)
    kept = scratch / "boot"
    with open(scratch / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            disks, geometries = make_images(scratch)
            reports = machine.run(script(), disks, scratch)
            kept.write_bytes(pickle.dumps((reports, geometries)))
    return Boot(*pickle.loads(kept.read_bytes()))


def script() -> str:
    lines = [f"read_fat {name} >/results/{name}.errors 2>&1" for name in (*FAT, DAMAGED)]
    lines += [f"read_tar {name} >/results/{name}.errors 2>&1" for name in TAR]
    return "\n".join([SCRIPT, *lines, "true", ""])


def make_images(scratch: Path) -> tuple[list[Disk], dict[str, Mapping[str, Fact]]]:
    source = scratch / "source"
    make_source(source)
    disks = []
    geometries: dict[str, Mapping[str, Fact]] = {}
    for name, case in CASES.items():
        layout = case.volume.plan(case.tree(source))
        image = scratch / f"{name}.img"
        blockpack.write(layout, image)
        disks.append(Disk(name, image, case.sector_size))
        geometries[name] = layout.geometry
    damaged = scratch / "damaged.img"
    blockpack.write(FAT["fat32"].volume.plan(blockpack.Tree()), damaged)
    with damaged.open("r+b") as file:
        file.seek(512)
        file.write(b"RRaB")
    return [*disks, Disk(DAMAGED, damaged)], geometries


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


@pytest.mark.parametrize("name", CASES)
def test_linux_reads_every_name_and_byte(boot: Boot, name: str) -> None:
    expected = CASES[name].expected
    assert boot.reports[f"{name}.errors"] == b""
    assert int(boot.reports[f"{name}.sector"]) == CASES[name].sector_size
    found = sorted((path, directory) for path, directory, _ in boot.entries(name))
    assert found == sorted((path, data is None) for path, data in expected.items())
    assert boot.sums(name) == {
        path: hashlib.sha256(data).hexdigest()
        for path, data in expected.items()
        if data is not None
    }


@pytest.mark.parametrize("name", FAT)
def test_linux_shows_times_kept_in_fat_to_two_seconds(boot: Boot, name: str) -> None:
    kept = times()
    assert {path: seconds for path, _, seconds in boot.entries(name)} == {
        path: kept[path] // 2 * 2 for path in CASES[name].expected
    }


@pytest.mark.parametrize("name", TAR)
def test_linux_shows_times_kept_in_tar(boot: Boot, name: str) -> None:
    # A directory gets the time at which the last file was put into it.
    kept = times()
    assert {path: seconds for path, directory, seconds in boot.entries(name) if not directory} == {
        path: kept[path] for path, data in CASES[name].expected.items() if data is not None
    }


@pytest.mark.parametrize("name", FAT)
def test_linux_counts_the_clusters_that_were_planned(boot: Boot, name: str) -> None:
    geometry = boot.geometries[name]
    space = [int(number) for number in boot.reports[f"{name}.space"].split()]
    assert space == [geometry["clusters"], geometry["free_clusters"], geometry["cluster_size"]]


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_does_not_complain(boot: Boot, name: str) -> None:
    log = boot.reports[f"{name}.log"]
    assert not COMPLAINT.search(log), log.decode()


def test_the_kernel_would_complain_of_a_damaged_volume(boot: Boot) -> None:
    # Or else its silence about the others would say nothing.
    log = boot.reports[f"{DAMAGED}.log"]
    assert b"FSINFO" in log
    assert COMPLAINT.search(log)
