"""The rows of the table: which work, on which data, by whom, and what must be reached."""

from __future__ import annotations

from dataclasses import replace
from shutil import rmtree

import contestants as by
import dataset
import disk_scenes
import loop_mount
import reading_scenes
import serving_scenes
import targets
from stage import (
    FILES_PER_DIRECTORY,
    GIB,
    KIB,
    MIB,
    Scene,
    Skipped,
    Stage,
    Work,
    Works,
    site,
    size_text,
)


def startup(stage: Stage) -> Works:
    """How long it takes to do nothing."""
    ours, theirs = by.version(stage.program), by.interpreter()
    yield Work(
        "startup",
        "Start of the interpreter and the command",
        (ours, theirs),
        (targets.at_most(ours.name, theirs.name, 2.5),),
        repeat=5,
    )


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


def git_small(stage: Stage) -> Works:
    """Many small files as git objects."""
    count = stage.scale.small_files
    with stage.room("git-small", 4 * GIB) as room:
        tree = site(stage, room)
        yield Work(
            "git-small",
            f"{count:,} small files → git",
            (
                by.blockpack(stage.program, tree, room / "ours.git", "--format", "git"),
                by.git_store(tree, room / "repository"),
            ),
            (targets.faster("blockpack", "git add + commit + repack", 15),),
            repeat=0.6,
        )
        rmtree(tree.path)
        tree = dataset.texts(room / "texts", count // 10, count // 10 // FILES_PER_DIRECTORY)
        ours, theirs = targets.Size(room / "ours.git"), targets.Size(room / "repository")
        yield Work(
            "git-text",
            f"{count // 10:,} texts → git",
            (
                by.blockpack(
                    *(stage.program, tree, room / "ours.git", "--format", "git"),
                    least_output=0,
                    inspect=ours.inspect,
                ),
                replace(by.git_store(tree, room / "repository"), inspect=theirs.inspect),
            ),
            (
                targets.faster("blockpack", "git add + commit + repack"),
                targets.no_larger(ours, theirs, 1.2),
            ),
            repeat=0.6,
        )


def git_large(stage: Stage) -> Works:
    """One large incompressible file as a git object."""
    size = stage.scale.git_file
    with stage.room("git-large", 4 * size + GIB) as room:
        stage.say("  making a large file")
        tree = dataset.random_file(room / "large", size)
        default = by.git_add(tree, room / "default")
        stored = by.git_add(tree, room / "stored", 0)
        yield Work(
            "git-large",
            f"{size_text(size)} of random bytes → git",
            (
                by.blockpack(stage.program, tree, room / "ours.git", "--format", "git"),
                default,
                stored,
            ),
            (
                targets.faster("blockpack", default.name, 10),
                targets.faster("blockpack", stored.name, 4),
                targets.memory("blockpack", 40 * MIB),
            ),
            repeat=0.6,
        )


def git_commit(stage: Stage) -> Works:
    """A commit of a packed repository, in every format."""
    count = stage.scale.small_files
    with stage.room("git-commit", 6 * GIB) as room:
        tree = site(stage, room)
        stage.say("  making a repository of them")
        repository, listed = room / "repository", room / "objects"
        dataset.commit(tree, repository, listed)
        source = f"git:{repository}@HEAD"
        pack = by.git_pack_objects(repository, listed, room / "pack", count)
        yield Work(
            "commit-git",
            f"commit of {count:,} files → git",
            (
                by.blockpack(
                    *(stage.program, tree, room / "ours.git", "--format", "git"), source=source
                ),
                pack,
            ),
            (targets.at_most("blockpack", pack.name, 1.2),),
        )
        archive = by.git_archive(repository, room / "git.tar", tree)
        yield Work(
            "commit-tar",
            f"commit of {count:,} files → tar",
            (
                by.blockpack(
                    *(stage.program, tree, room / "ours.tar", "--format", "tar"), source=source
                ),
                archive,
            ),
            (targets.faster("blockpack", archive.name),),
        )
        checkout = by.checkout_and_mtools(repository, tree, room / "mtools.img")
        yield Work(
            "commit-fat",
            f"commit of {count:,} files → FAT32",
            (
                by.blockpack(
                    *(stage.program, tree, room / "ours.img", "--format", "fat"),
                    *("--fat-type", "32"),
                    source=source,
                ),
                checkout,
            ),
            (targets.faster("blockpack", checkout.name),),
            repeat=0.6,
        )


MANIFEST = """\
[deployment]
name = "bench"

[volumes.site]
source = "tree"
format = "tar"
"""


def build(stage: Stage) -> Works:
    """A build of a deployment in which nothing changed."""
    count = stage.scale.small_files
    with stage.room("build", 2 * GIB) as room:
        deployment = room / "deployment"
        deployment.mkdir()
        site(stage, deployment)
        (deployment / "blockpack.toml").write_text(MANIFEST)
        again = by.blockpack_build(stage.program, deployment, room / "images")
        yield Work(
            "build-again",
            f"{count:,} small files, built and unchanged",
            (again,),  # what it does to warm up is to build
            (targets.within(again.name, 0.3),),
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


def verity(stage: Stage) -> Works:
    """The hashes of a large file's blocks; two processors are two processes."""
    size = stage.scale.read_file
    with stage.room("verity", size + GIB) as room:
        stage.say("  making a large file")
        tree = dataset.random_file(room / "large", size)
        ours, theirs = by.blockpack_verity(stage.program, tree), by.veritysetup(tree, room / "tree")
        yield Work(
            "verity",
            f"{size_text(size)}, hashed for dm-verity",
            (ours, theirs),
            (targets.at_most(ours.name, theirs.name, 0.7),),
        )


def million(stage: Stage) -> Works:
    """Whether time and memory grow no faster than the tree does."""
    many, few = stage.scale.many, stage.scale.few
    with stage.room("million", many * 10 * KIB + GIB) as room:
        stage.say(f"  making {many:,} and {few:,} files")
        forest = dataset.small_files(room / "many", many, many // FILES_PER_DIRECTORY, dataset.tiny)
        tree = dataset.small_files(room / "few", few, few // FILES_PER_DIRECTORY, dataset.tiny)
        for kind, options in (("tar", ()), ("FAT", ("--fat-type", "32")), ("EROFS", ())):
            image = room / "ours.img"
            given = ("--format", kind.lower(), *options)
            large = by.blockpack(
                stage.program, forest, image, *given, name=f"blockpack, {many:,} files"
            )
            small = by.blockpack(
                stage.program, tree, image, *given, name=f"blockpack, {few:,} files"
            )
            peer = by.gnu_tar(forest, room / "gnu.tar", f"GNU tar, {many:,} files")
            wanted = [
                targets.per_file(large.name, small.name, 1.3),
                targets.memory(large.name, (400 if kind == "EROFS" else 350) * MIB),
            ]
            if kind == "tar":
                wanted.append(targets.at_most(large.name, peer.name, 1.0))
            yield Work(
                f"million-{kind.lower()}",
                f"{many:,} tiny files → {kind}",
                (large, small, *((peer,) if kind == "tar" else ())),
                tuple(wanted),
                metric="microseconds per file",
                repeat=0.6,
            )


def sparse(stage: Stage) -> Works:
    """Whether memory is constant whatever the size of a file."""
    with stage.room("sparse", GIB) as room:
        planned = dataset.sparse_file(room / "planned", stage.scale.planned)
        piped = dataset.sparse_file(room / "piped", stage.scale.piped)
        plan = by.blockpack_plan(stage.program, planned)
        yield Work(
            "sparse-plan",
            f"{size_text(planned.size)} sparse file, planned as tar",
            (plan,),
            (targets.memory(plan.name, 32 * MIB),),
            metric="peak RSS",
        )
        pipe = by.blockpack_pipe(stage.program, piped)
        yield Work(
            "sparse-pipe",
            f"{size_text(piped.size)} sparse file → tar, piped",
            (pipe,),
            (targets.memory(pipe.name, 32 * MIB),),
            metric="peak RSS",
            repeat=0,
            warm_up=False,
        )


SCENES = (
    Scene(("startup",), startup),
    Scene(("small-tar", "small-fat", "small-erofs", "small-both"), small),
    Scene(("large-tar", "large-erofs", "large-fat"), large),
    Scene(("btrfs-tar", "btrfs-erofs", "btrfs-fat", "btrfs-extract", "btrfs-archive"), on_btrfs),
    Scene(("xfs-tar", "xfs-erofs", "xfs-fat", "xfs-extract", "xfs-archive"), on_xfs),
    Scene(
        (
            *("ls-tar", "ls-fat", "extract-tar", "extract-fat"),
            *("compare-tar", "verify-tar", "compare-fat", "verify-fat", "archive-fat"),
        ),
        reading_scenes.small,
    ),
    Scene(
        ("large-extract-tar", "large-cat-tar", "large-extract-fat", "large-cat-fat"),
        reading_scenes.large,
    ),
    Scene(
        (
            *("serve-start", "serve-fat", "serve-tar"),
            *("serve-random-1", "serve-random-16"),
        ),
        serving_scenes.small,
    ),
    Scene(
        (
            *("serve-large-start", "serve-large-unix"),
            *("serve-large-tcp", "serve-large-random"),
        ),
        serving_scenes.large,
    ),
    Scene(("disk",), disk_scenes.plain),
    Scene(("btrfs-disk",), disk_scenes.on_btrfs),
    Scene(("xfs-disk",), disk_scenes.on_xfs),
    Scene(("million-tar", "million-fat", "million-erofs"), million),
    Scene(("sparse-plan", "sparse-pipe"), sparse),
    Scene(("build-again",), build),
    Scene(("verity",), verity),
    Scene(("git-small", "git-text"), git_small),
    Scene(("git-large",), git_large),
    Scene(("commit-git", "commit-tar", "commit-fat"), git_commit),
)
