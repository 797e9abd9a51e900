"""The rows of the table that are about what grows with a tree, and what must not."""

from __future__ import annotations

import contestants as by
import dataset
import targets
from stage import FILES_PER_DIRECTORY, GIB, KIB, MIB, Stage, Work, Works, size_text


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
