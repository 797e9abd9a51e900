"""The rows of the table that are about packing a directory: many small files, or one large one."""

from __future__ import annotations

from dataclasses import replace
from shutil import rmtree

import contestants as by
import dataset
import loop_mount
import reading_scenes
import targets
from stage import GIB, Skipped, Stage, Work, Works, site, size_text


def small(stage: Stage) -> Works:
    """Many small files of the sizes that a web site has."""
    count = stage.scale.small_files
    with stage.room("small", 3 * GIB) as room:
        tree = site(stage, room)
        yield Work(
            "small-tar",
            f"{count:,} small files → tar",
            (
                by.blockpack(stage.program, tree, room / "ours.tar", "--format", "tar"),
                by.gnu_tar(tree, room / "gnu.tar"),
                by.bsdtar(tree, room / "bsd.tar"),
                by.python_tarfile(tree, room / "python.tar"),
            ),
            (targets.at_most("blockpack", "GNU tar", 0.9),),
            repeat=2,
        )
        fat = ("--format", "fat", "--fat-type", "32")
        yield Work(
            "small-fat",
            f"{count:,} small files → FAT32",
            (
                by.blockpack(stage.program, tree, room / "ours.img", *fat),
                by.mtools(tree, room / "mtools.img"),
            ),
            (targets.faster("blockpack", "mkfs.fat + mcopy", 6),),
        )
        image, peer = room / "ours.erofs", room / "mkfs.erofs"
        ours, theirs = targets.Size(image), targets.Size(peer)
        tar = by.blockpack(
            *(stage.program, tree, room / "ours.tar", "--format", "tar"), name="blockpack, tar"
        )
        yield Work(
            "small-erofs",
            f"{count:,} small files → EROFS",
            (
                by.blockpack(
                    *(stage.program, tree, image, "--format", "erofs"), inspect=ours.inspect
                ),
                by.mkfs_erofs(tree, peer, theirs.inspect),
                tar,
            ),
            (
                targets.at_most("blockpack", "mkfs.erofs", 0.8),
                targets.at_most("blockpack", tar.name, 1.8),
                targets.no_larger(ours, theirs, 1.001, "that of mkfs.erofs"),
            ),
            repeat=2,
        )
        both, alone = targets.Size(room / "both.tar"), targets.Size(room / "ours.tar")
        two_in_one = ("--format", "tar", "--erofs")
        yield Work(
            "small-both",
            f"{count:,} small files → tar that is an EROFS",
            (
                by.blockpack(
                    *(stage.program, tree, room / "both.tar", *two_in_one), inspect=both.inspect
                ),
                replace(tar, inspect=alone.inspect),
            ),
            (targets.no_larger(both, alone, 1.015, "that of the tar"),),
        )


def large(stage: Stage) -> Works:
    """One large file, every byte of which has to be copied."""
    size, fat_size = stage.scale.tar_file, stage.scale.fat_file
    with stage.room("large", 3 * size + GIB) as room:
        stage.say("  making a large file")
        tree = dataset.random_file(room / "large", size)
        yield Work(
            "large-tar",
            f"{size_text(size)} file → tar",
            (
                by.blockpack(stage.program, tree, room / "ours.tar", "--format", "tar"),
                by.copy(tree, room / "copy"),
                by.gnu_tar(tree, room / "gnu.tar"),
            ),
            (
                targets.at_most("blockpack", "cp --reflink=never", 1.15),
                targets.faster("blockpack", "GNU tar"),
            ),
        )
        yield Work(
            "large-erofs",
            f"{size_text(size)} file → EROFS",
            (
                by.blockpack(stage.program, tree, room / "ours.erofs", "--format", "erofs"),
                by.copy(tree, room / "copy"),
                by.mkfs_erofs(tree, room / "mkfs.erofs"),
            ),
            (targets.at_most("blockpack", "cp --reflink=never", 1.15),),
        )
        rmtree(tree.path)
        tree = dataset.random_file(room / "video", fat_size)
        yield Work(
            "large-fat",
            f"{size_text(fat_size)} file → FAT",
            (
                by.blockpack(stage.program, tree, room / "ours.img", "--format", "fat"),
                by.copy(tree, room / "copy"),
                by.mtools(tree, room / "mtools.img"),
            ),
            (
                targets.at_most("blockpack", "cp --reflink=never", 1.15),
                targets.faster("blockpack", "mkfs.fat + mcopy"),
            ),
        )


def clone(kind: str, title: str, stage: Stage) -> Works:
    """One large file on a file system that can share extents."""
    lacking = loop_mount.lacking(kind)
    if lacking is not None:
        raise Skipped(lacking)
    size, fat_size = stage.scale.tar_file, stage.scale.fat_file
    with (
        stage.room(f"on-{kind}", stage.scale.clone_volume + GIB) as room,
        loop_mount.mounted(kind, room, stage.scale.clone_volume) as mount,
    ):
        stage.say(f"  making a large file on {title}")
        tree = dataset.random_file(mount / "large", size)
        for form, options in (("tar", ("--align", "4096")), ("EROFS", ())):
            given = ("--format", form.lower(), *options)
            image = mount / f"ours.{form.lower()}"
            shared = targets.SharedExtents(image, size)
            yield Work(
                f"{kind}-{form.lower()}",
                f"{size_text(size)} file → {form}, on {title}",
                (
                    by.blockpack(stage.program, tree, image, *given, inspect=shared.inspect),
                    by.copy(tree, mount / "copy"),
                ),
                (targets.within("blockpack", 0.2), shared.judge),
            )
        rmtree(tree.path)
        tree = dataset.random_file(mount / "video", fat_size)
        image = mount / "ours.img"
        shared = targets.SharedExtents(image, fat_size)
        yield Work(
            f"{kind}-fat",
            f"{size_text(fat_size)} file → FAT, on {title}",
            (
                by.blockpack(stage.program, tree, image, "--format", "fat", inspect=shared.inspect),
                by.copy(tree, mount / "copy"),
            ),
            (targets.within("blockpack", 0.2), shared.judge),
        )
        rmtree(tree.path)
        yield from reading_scenes.on_clones(kind, title, stage, mount)


def on_btrfs(stage: Stage) -> Works:
    """`clone` on btrfs."""
    return clone("btrfs", "btrfs", stage)


def on_xfs(stage: Stage) -> Works:
    """`clone` on XFS."""
    return clone("xfs", "XFS", stage)
