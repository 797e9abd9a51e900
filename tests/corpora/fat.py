"""FAT volumes by mkfs.fat and mformat, filled by mtools, which tells what is in them.

There is none of FAT32 with few clusters: Linux reads one as mkfs.fat makes it, mtools does not.
Small volumes whose root entries do not fill their last sector have no clusters in use: mtools has
the first cluster begin in that sector, the specification after it, and Linux mounts none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from judges.fat_tools import Contents, mtools_read
from judges.programs import run, run_silent

from .item import Expected, Item, Makers

MIB = 1 << 20

FILES: dict[str, bytes] = {
    "UPPER.TXT": b"upper case\n",
    "lower.txt": b"lower case, told by a bit\n",
    "Mixed Case, and spaces.Text": b"a long name\n",
    "nothing": b"",
    "exactly13.txt": b"as many characters as a long-name entry holds\n",
    "exactly26characters.in.all": b"and twice as many\n",
    "a" * 200 + ".long": b"nearly as long as names can be\n",
    "many.dots.in.a.name": b"dots\n",
    "plus+comma,semi;equals=[brackets]": b"not allowed in short names\n",
    "Größe.txt": b"Latin\n",
    "漢字とかな.txt": b"beyond any code page\n",
    "Ελλάδα Ω.txt": b"Greek\n",
    "one cluster or many.bin": bytes(range(256)) * 150,
    "one sector": bytes(range(256)) * 2,
    "one byte more": bytes(range(256)) * 2 + b"!",
    "dir/UPPER.TXT": b"the same name elsewhere\n",
    "dir/deep/deeper/Still deeper/file.txt": b"five levels\n",
}
DIRECTORIES = ("dir", "dir/deep", "dir/deep/deeper", "dir/deep/deeper/Still deeper", "dir/empty")
CONTENTS: Contents = {**FILES, **dict.fromkeys(DIRECTORIES)}


class Volume(NamedTuple):
    """A volume as mkfs.fat makes it: its size in bytes, and options."""

    size: int
    options: str


VOLUMES = {
    # Every type with every size of sectors, and clusters of one sector where that gives the type.
    "FAT12": Volume(2 * MIB, "-F12 -s1"),
    "FAT12, sectors of 1024": Volume(2 * MIB, "-F12 -S1024 -s1"),
    "FAT12, sectors of 2048": Volume(4 * MIB, "-F12 -S2048 -s1"),
    "FAT12, sectors of 4096": Volume(8 * MIB, "-F12 -S4096 -s1"),
    "FAT12, clusters of 8": Volume(8 * MIB, "-F12 -s8"),
    "FAT12, clusters of 128": Volume(64 * MIB, "-F12 -s128"),
    "FAT16": Volume(4 * MIB, "-F16 -s1"),
    "FAT16, sectors of 1024": Volume(16 * MIB, "-F16 -S1024 -s1"),
    "FAT16, sectors of 2048": Volume(32 * MIB, "-F16 -S2048 -s2"),
    "FAT16, sectors of 4096": Volume(64 * MIB, "-F16 -S4096 -s1"),
    "FAT16, clusters of 4": Volume(32 * MIB, "-F16 -s4"),
    "FAT16, clusters of 128": Volume(512 * MIB, "-F16 -s128"),
    "FAT32": Volume(40 * MIB, "-F32 -s1"),
    "FAT32, sectors of 1024": Volume(80 * MIB, "-F32 -S1024 -s1"),
    "FAT32, sectors of 2048": Volume(160 * MIB, "-F32 -S2048 -s1"),
    "FAT32, sectors of 4096": Volume(320 * MIB, "-F32 -S4096 -s1"),
    "FAT32, clusters of 8": Volume(320 * MIB, "-F32 -s8"),
    # mkfs.fat makes them fill whole sectors.
    "FAT16, 100 root entries": Volume(8 * MIB, "-F16 -s1 -r100"),
    "FAT16, 100 root entries in sectors of 1024": Volume(16 * MIB, "-F16 -S1024 -s1 -r100"),
    "FAT16, 100 root entries in sectors of 4096": Volume(64 * MIB, "-F16 -S4096 -s1 -r100"),
    "FAT16, 2000 root entries": Volume(16 * MIB, "-F16 -r2000"),
    "FAT16, a label and a serial": Volume(16 * MIB, "-F16 -n ALABEL -i 0badcafe"),
    "FAT32, a label and a serial": Volume(40 * MIB, "-F32 -s1 -n ALABEL -i 0badcafe"),
    "FAT12, one FAT": Volume(2 * MIB, "-F12 -f1"),
    "FAT16, one FAT": Volume(16 * MIB, "-F16 -f1"),
    "FAT32, one FAT": Volume(40 * MIB, "-F32 -s1 -f1"),
    "FAT16, four FATs": Volume(16 * MIB, "-F16 -f4"),
    "FAT16, many reserved sectors": Volume(16 * MIB, "-F16 -R 77"),
    "FAT32, many reserved sectors": Volume(40 * MIB, "-F32 -s1 -R 99 -b 50"),
    "FAT16, nothing aligned": Volume(16 * MIB, "-F16 -a"),
    "FAT16, media of a floppy disk": Volume(16 * MIB, "-F16 -M 0xF0"),
    "FAT16, hidden sectors": Volume(16 * MIB, "-F16 -h 2048"),
    "FAT32, a partition table around itself": Volume(40 * MIB, "-F32 -s1 --mbr=y"),
    "Atari, FAT12": Volume(2 * MIB, "-A -F12"),
    "Atari, FAT16": Volume(8 * MIB, "-A"),
    "Atari, 3 FATs": Volume(8 * MIB, "-A -f3"),
    "a floppy disk, as mkfs.fat likes it": Volume(1440 << 10, ""),
    "a disk, as mkfs.fat likes it": Volume(600 * MIB, ""),
}

FORMATTED = {
    "mformat, 160 KiB": "-C -f 160",
    "mformat, 320 KiB": "-C -f 320",
    "mformat, 720 KiB": "-C -f 720",
    "mformat, 1440 KiB": "-C -f 1440",
    "mformat, 2880 KiB": "-C -f 2880",
    "mformat, FAT16": "-C -T 65536 -h 64 -s 32",
    "mformat, FAT32": "-C -F -T 131072 -h 64 -s 32 -c 1",
    "mformat, a label": "-C -f 1440 -v ALABEL",
}
"""Options of mformat; with -C it makes the file itself."""


def _put(image: Path, scratch: Path, contents: Contents) -> None:
    """Have mtools make the directories and files of `contents`."""
    for path in sorted(path for path, data in contents.items() if data is None):
        run_silent("mmd", ["-i", image, f"::{path}"])
    source = scratch / "source"
    for path, data in contents.items():
        if data is not None:
            source.write_bytes(data)
            run_silent("mcopy", ["-i", image, source, f"::{path}"])
    source.unlink(missing_ok=True)


def _blank(image: Path, volume: Volume) -> Path:
    """An empty volume by mkfs.fat."""
    with image.open("wb") as file:
        file.truncate(volume.size)
    run("mkfs.fat", ["--invariant", *volume.options.split(), image])
    return image


def _item(name: str, image: Path, put: Contents) -> Item:
    """What mtools reads in `image`, which has to be what was put into it."""
    contents = mtools_read(image)
    assert contents == put, f"mtools does not read what it wrote: {name}"
    expected: Expected = {
        path: ("directory", b"") if data is None else ("file", data)
        for path, data in contents.items()
    }
    return Item(name, image, expected)


def _made(name: str, volume: Volume, scratch: Path) -> Item:
    image = _blank(scratch / "fat.img", volume)
    _put(image, scratch, CONTENTS)
    return _item(name, image, CONTENTS)


def _formatted(name: str, options: str, scratch: Path) -> Item:
    image = scratch / "fat.img"
    run("mformat", [*options.split(), "-i", image, "::"])
    _put(image, scratch, CONTENTS)
    return _item(name, image, CONTENTS)


def _empty(name: str, options: str, scratch: Path) -> Item:
    return _item(name, _blank(scratch / "fat.img", Volume(40 * MIB, options)), {})


def _fragmented(name: str, volume: Volume, scratch: Path) -> Item:
    """Every second file makes room for one large file, which is in as many pieces."""
    image = _blank(scratch / "fat.img", volume)
    small: Contents = {f"small file {number}": bytes([number]) * 3000 for number in range(40)}
    _put(image, scratch, small)
    gone = list(small)[::2]
    run_silent("mdel", ["-i", image, *(f"::{path}" for path in gone)])
    left: Contents = {path: data for path, data in small.items() if path not in gone}
    # As large as what is free, so that every gap is filled.
    added: Contents = {"large": bytes(range(251)) * (_free(image) // 251)}
    _put(image, scratch, added)
    return _item(name, image, left | added)


def _free(image: Path) -> int:
    """What mdir says is free, in bytes, less a cluster or two for the directory."""
    said = run_silent("mdir", ["-i", image, "::"]).decode()
    line = next(line for line in said.splitlines() if line.endswith("bytes free"))
    return int("".join(filter(str.isdigit, line))) - 8192


def _large_directories(name: str, volume: Volume, scratch: Path) -> Item:
    """Directories of many clusters that grew in turns, and lie between each other's."""
    image = _blank(scratch / "fat.img", volume)
    contents: Contents = dict.fromkeys(("one", "two"))
    for number in range(60):
        for directory in ("one", "two"):
            path = f"{directory}/a rather long name, so that it grows soon {number}"
            contents[path] = b"%d" % number
    _put(image, scratch, contents)
    return _item(name, image, contents)


def _attributes(name: str, volume: Volume, scratch: Path) -> Item:
    """Files and directories that are hidden, read-only, of the system, or without any bit."""
    image = _blank(scratch / "fat.img", volume)
    _put(image, scratch, CONTENTS)
    for attributes, path in (
        (["+h"], "UPPER.TXT"),
        (["+r"], "exactly13.txt"),
        (["+s", "+h", "+r"], "Größe.txt"),
        (["-a"], "one sector"),
        (["+h", "+s"], "dir"),
    ):
        run_silent("mattrib", [*attributes, "-i", image, f"::{path}"])
    return _item(name, image, CONTENTS)


def _deleted(name: str, volume: Volume, scratch: Path) -> Item:
    """Long names that were deleted, at the end of a directory and before others."""
    image = _blank(scratch / "fat.img", volume)
    gone: Contents = {f"a file that will be deleted {number}": b"gone" for number in range(5)}
    _put(image, scratch, gone | CONTENTS | {"the last one, deleted as well": b"gone"})
    run_silent("mdel", ["-i", image, *(f"::{path}" for path in gone)])
    run_silent("mdel", ["-i", image, "::the last one, deleted as well"])
    return _item(name, image, CONTENTS)


def _only_names(name: str, volume: Volume, scratch: Path) -> Item:
    """Empty files, as no cluster is where all readers look for it."""
    image = _blank(scratch / "fat.img", volume)
    assert int.from_bytes(image.read_bytes()[17:19], "little") == 100, "mkfs.fat rounded"
    contents: Contents = dict.fromkeys((path for path in FILES if "/" not in path), b"")
    _put(image, scratch, contents)
    return _item(name, image, contents)


def _labelled(name: str, volume: Volume, scratch: Path) -> Item:
    """The label is put into the root directory when there is much in it already."""
    image = _blank(scratch / "fat.img", volume)
    _put(image, scratch, CONTENTS)
    run_silent("mlabel", ["-i", image, "::A Label"])
    return _item(name, image, CONTENTS)


_History = Callable[[str, Volume, Path], Item]

HISTORIES: Sequence[tuple[str, _History, Volume]] = (
    ("FAT12, fragmented and full", _fragmented, Volume(1 * MIB, "-F12 -s1")),
    ("FAT16, fragmented and full", _fragmented, Volume(4 * MIB, "-F16 -s1")),
    ("FAT32, fragmented and full", _fragmented, Volume(35 * MIB, "-F32 -s1")),
    ("FAT12, large directories", _large_directories, Volume(1 * MIB, "-F12 -s1")),
    ("FAT32, large directories", _large_directories, Volume(35 * MIB, "-F32 -s1")),
    ("FAT16, attributes", _attributes, Volume(4 * MIB, "-F16 -s1")),
    ("FAT16, deleted files", _deleted, Volume(4 * MIB, "-F16 -s1")),
    ("FAT32, deleted files", _deleted, Volume(35 * MIB, "-F32 -s1")),
    ("FAT12, root entries for no whole sector", _only_names, Volume(2 * MIB, "-F12 -r100")),
    ("FAT16, root entries for no whole sector", _only_names, Volume(4 * MIB, "-F16 -s1 -r100")),
    ("FAT16, a label that came late", _labelled, Volume(4 * MIB, "-F16 -s1")),
    ("FAT32, a label that came late", _labelled, Volume(35 * MIB, "-F32 -s1")),
)

EMPTY = {"FAT16, empty": "-F16", "FAT32, empty": "-F32 -s1", "FAT16, a label only": "-F16 -n X"}

MAKERS: Makers = {
    **{name: partial(_made, name, volume) for name, volume in VOLUMES.items()},
    **{name: partial(_formatted, name, options) for name, options in FORMATTED.items()},
    **{name: partial(_empty, name, options) for name, options in EMPTY.items()},
    **{name: partial(history, name, volume) for name, history, volume in HISTORIES},
}
"""All makers of FAT volumes by name."""
