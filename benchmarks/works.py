"""The rows of the table: which work, on which data, by whom, and what must be reached."""

from __future__ import annotations

import contestants as by
import dataset
import disk_scenes
import git_scenes
import growth_scenes
import packing_scenes
import reading_scenes
import serving_scenes
import targets
from stage import GIB, Scene, Stage, Work, Works, site, size_text


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


SCENES = (
    Scene(("startup",), startup),
    Scene(("small-tar", "small-fat", "small-erofs", "small-both"), packing_scenes.small),
    Scene(("large-tar", "large-erofs", "large-fat"), packing_scenes.large),
    Scene(
        ("btrfs-tar", "btrfs-erofs", "btrfs-fat", "btrfs-extract", "btrfs-archive"),
        packing_scenes.on_btrfs,
    ),
    Scene(("xfs-tar", "xfs-erofs", "xfs-fat", "xfs-extract", "xfs-archive"), packing_scenes.on_xfs),
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
    Scene(("million-tar", "million-fat", "million-erofs"), growth_scenes.million),
    Scene(("sparse-plan", "sparse-pipe"), growth_scenes.sparse),
    Scene(("build-again",), build),
    Scene(("verity",), verity),
    Scene(("git-small", "git-text"), git_scenes.small),
    Scene(("git-large",), git_scenes.large),
    Scene(("commit-git", "commit-tar", "commit-fat"), git_scenes.commit),
)
