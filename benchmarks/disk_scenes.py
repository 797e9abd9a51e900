"""Disks: a FAT and a tar of large files behind a GPT, beside genimage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import contestants as by
import dataset
import loop_mount
import targets
from contestants import Contestant
from stage import GIB, MIB, Skipped, Stage, Work, Works, size_text

_CONFIG = """\
image disk.img {{
    hdimage {{ partition-table-type = "gpt" }}
    partition boot {{ partition-type-uuid = "{esp}" image = "boot.vfat" }}
    partition data {{ partition-type-uuid = "{linux}" image = "data.tar" }}
}}
image boot.vfat {{
    vfat {{ files = {{ "video.bin" }} }}
    size = {size}M
}}
"""

_ESP, _LINUX = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0fc63daf-8483-4772-8e79-3d69d8477de4"

_GENIMAGE = """\
rm -rf tmp && mkdir -p input empty && ln -sf ../boot/video.bin input/video.bin
tar --format=ustar -cf input/data.tar -C data .
genimage --config genimage.cfg --inputpath input --outputpath out --tmppath tmp --rootpath empty
"""
"""It copies what a tar is made of before it makes one, so GNU tar makes it."""


def plain(stage: Stage) -> Works:
    """A disk whose bytes all have to be copied."""
    with stage.room("disk", 8 * stage.scale.disk_file + GIB) as room:
        stage.say("  making two large files")
        yield from _disk("disk", "", stage, room, 2.5)


def on_clones(kind: str, title: str, stage: Stage) -> Works:
    """A disk on a file system that can share extents."""
    lacking = loop_mount.lacking(kind)
    if lacking is not None:
        raise Skipped(lacking)
    size = 10 * stage.scale.disk_file + GIB
    with (
        stage.room(f"disk-on-{kind}", size + GIB) as room,
        loop_mount.mounted(kind, room, size) as mount,
    ):
        stage.say(f"  making two large files on {title}")
        yield from _disk(f"{kind}-disk", f", on {title}", stage, mount, 20)


def on_btrfs(stage: Stage) -> Works:
    """`on_clones` on btrfs."""
    return on_clones("btrfs", "btrfs", stage)


def on_xfs(stage: Stage) -> Works:
    """`on_clones` on XFS."""
    return on_clones("xfs", "XFS", stage)


def _disk(name: str, where: str, stage: Stage, room: Path, factor: float) -> Iterator[Work]:
    size = stage.scale.disk_file
    boot = dataset.random_file(room / "boot", size)
    data = dataset.random_file(room / "data", size)
    theirs = genimage(boot, data, room)
    yield Work(
        name,
        f"FAT and tar of {size_text(size)} each → disk{where}",
        (by.blockpack_disk(stage.program, boot, data, room / "ours.img"), theirs),
        (targets.faster("blockpack disk", theirs.name, factor),),
    )


def genimage(boot: dataset.Tree, data: dataset.Tree, room: Path) -> Contestant:
    """genimage, with a size of the FAT that is guessed as for mtools."""
    mebibytes = boot.size * 102 // 100 // MIB + 16
    (room / "genimage.cfg").write_text(_CONFIG.format(size=mebibytes, esp=_ESP, linux=_LINUX))
    return Contestant(
        name="GNU tar + genimage",
        command=("sh", "-ec", _GENIMAGE),
        shown="tar --format=ustar -cf input/data.tar -C data . && genimage --config genimage.cfg",
        cwd=room,
        needs=("genimage", "mkfs.fat", "mcopy", "tar"),
        outputs=(
            room / "out" / "disk.img",
            room / "out" / "boot.vfat",
            room / "input" / "data.tar",
        ),
        least_output=2 * boot.size + data.size,
    )
