"""The rows of the table that are about reading images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import contestants as by
import dataset
import readers
import targets
from stage import GIB, Stage, Work, Works, site, size_text

TAR = ("--format", "tar")
FAT = ("--format", "fat", "--fat-type", "32")


def small(stage: Stage) -> Works:
    """Images of many small files, and one of an archive of them."""
    count = stage.scale.small_files
    with stage.room("read-small", 4 * GIB) as room, stage.memory(GIB) as memory:
        tree = site(stage, room)
        tar, fat, theirs = room / "ours.tar", room / "ours.img", room / "gnu.tar"
        stage.make(by.blockpack(stage.program, tree, tar, *TAR))
        stage.make(by.blockpack(stage.program, tree, fat, *FAT))
        stage.make(by.gnu_tar(tree, theirs))
        yield from _listed(stage, tree, tar, fat)
        yield from _extracted(stage, tree, tar, fat, memory)
        yield from _verified(stage, tree, tar, fat, theirs)
        peer = by.untar_and_mtools(theirs, tree, room / "mtools.img")
        yield Work(
            "archive-fat",
            f"tar of {count:,} small files → FAT32",
            (
                by.blockpack(stage.program, tree, room / "packed.img", *FAT, source=str(theirs)),
                peer,
            ),
            (targets.faster("blockpack", peer.name),),
            repeat=0.6,
        )


def _listed(stage: Stage, tree: dataset.Tree, tar: Path, fat: Path) -> Iterator[Work]:
    peer = readers.tar_list(tar, tree)
    for kind, image, others in (
        ("tar", tar, (peer,)),
        ("FAT", fat, (peer, readers.mdir(fat, tree))),
    ):
        ours = readers.blockpack_ls(stage.program, image, tree)
        yield Work(
            f"ls-{kind.lower()}",
            f"list {tree.files:,} small files in {kind}",
            (ours, *others),
            (targets.at_most(ours.name, peer.name, 4),),
        )


def _extracted(
    stage: Stage, tree: dataset.Tree, tar: Path, fat: Path, memory: Path
) -> Iterator[Work]:
    peer = readers.tar_extract(tar, tree, memory / "tar")
    bsdtar = readers.bsdtar_extract(tar, tree, memory / "bsdtar")
    mcopy = readers.mcopy_out(fat, tree, memory / "mcopy")
    for kind, image, other in (("tar", tar, bsdtar), ("FAT", fat, mcopy)):
        ours = readers.blockpack_extract(stage.program, image, tree, memory / "ours")
        wanted = [targets.at_most(ours.name, peer.name, 1.5)]
        if other is mcopy:
            wanted.append(targets.faster(ours.name, mcopy.name))
        yield Work(
            f"extract-{kind.lower()}",
            f"extract {tree.files:,} small files from {kind} into RAM",
            (ours, peer, other),
            tuple(wanted),
        )


def _verified(
    stage: Stage, tree: dataset.Tree, tar: Path, fat: Path, theirs: Path
) -> Iterator[Work]:
    for kind, image, options, compared, checked in (
        ("tar", tar, TAR, readers.tar_compare(theirs, tree), readers.tar_list(tar, tree)),
        ("FAT", fat, FAT, readers.tar_compare(theirs, tree), readers.fsck(fat, tree)),
    ):
        again = image.with_stem("again")
        pack = by.blockpack(stage.program, tree, again, *options, name="blockpack pack")
        ours = readers.blockpack_verify(stage.program, image, tree, against_source=True)
        yield Work(
            f"compare-{kind.lower()}",
            f"verify {kind} of {tree.files:,} small files against them",
            (ours, pack, compared),
            (targets.at_most(ours.name, pack.name, 1.5),),
        )
        ours = readers.blockpack_verify(stage.program, image, tree, against_source=False)
        yield Work(
            f"verify-{kind.lower()}",
            f"verify {kind} of {tree.files:,} small files by itself",
            (ours, checked),
            (targets.within(ours.name, 0.5),),
        )


def large(stage: Stage) -> Works:
    """Images of one large file, every byte of which has to be copied."""
    size = stage.scale.read_file
    with stage.room("read-large", 4 * size + GIB) as room:
        stage.say("  making a large file")
        tree = dataset.random_file(room / "large", size)
        for kind, options in (("tar", TAR), ("FAT", FAT)):
            image = room / f"ours.{kind.lower()}"
            stage.make(by.blockpack(stage.program, tree, image, *options))
            yield from _large_read(stage, tree, kind, image, room)
            image.unlink()


def _large_read(
    stage: Stage, tree: dataset.Tree, kind: str, image: Path, room: Path
) -> Iterator[Work]:
    (source,) = tree.path.iterdir()
    title = f"{size_text(tree.size)} file"
    ours = readers.blockpack_extract(stage.program, image, tree, room / "extracted")
    copy = by.copy(tree, room / "copy")
    yield Work(
        f"large-extract-{kind.lower()}",
        f"extract a {title} from {kind}",
        (ours, copy),
        (targets.at_most(ours.name, copy.name, 1.1),),
    )
    printed = readers.blockpack_cat(stage.program, image, source, tree.size)
    cat = readers.cat(source, tree.size)
    yield Work(
        f"large-cat-{kind.lower()}",
        f"cat a {title} in {kind}",
        (printed, cat),
        (targets.at_most(printed.name, cat.name, 2),),
    )


def on_clones(kind: str, title: str, stage: Stage, mount: Path) -> Works:
    """An image of one large file on a file system that can share extents."""
    size = stage.scale.read_file
    stage.say(f"  making a large file on {title}")
    tree = dataset.random_file(mount / "read", size)
    (source,) = tree.path.iterdir()
    archive = mount / "archive" / "ours.tar"
    archive.parent.mkdir()
    stage.make(by.blockpack(stage.program, tree, archive, *TAR))
    target = mount / "extracted"
    shared = targets.SharedExtents(target / source.name, size)
    ours = readers.blockpack_extract(stage.program, archive, tree, target, inspect=shared.inspect)
    copy = by.copy(tree, mount / "copy")
    yield Work(
        f"{kind}-extract",
        f"extract a {size_text(size)} file from tar, on {title}",
        (ours, copy),
        (targets.at_most(ours.name, copy.name, 1.1), shared.judge),
    )
    rmtree(tree.path)
    image = mount / "ours.img"
    shared = targets.SharedExtents(image, size)
    yield Work(
        f"{kind}-archive",
        f"tar of a {size_text(size)} file → FAT, on {title}",
        (
            by.blockpack(
                *(stage.program, tree, image, *FAT),
                source=str(archive),
                inspect=shared.inspect,
            ),
            by.copy(dataset.Tree(archive.parent, 1, size), mount / "copy"),
        ),
        (targets.within("blockpack", 0.3), shared.judge),
    )
