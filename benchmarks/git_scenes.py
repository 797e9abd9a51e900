"""The rows of the table that are about git: images of its objects, and commits as sources."""

from __future__ import annotations

from dataclasses import replace
from shutil import rmtree

import contestants as by
import dataset
import targets
from stage import FILES_PER_DIRECTORY, GIB, MIB, Stage, Work, Works, site, size_text


def small(stage: Stage) -> Works:
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


def large(stage: Stage) -> Works:
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


def commit(stage: Stage) -> Works:
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
