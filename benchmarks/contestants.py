"""Who competes: one command of each tool for a kind of work.

Every builder takes a `Tree` and the image to make. `shown` is the command as the report prints
it, without the paths of the machine that ran it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset import Tree

KIB = 1024
MIB = 1024 * KIB
CLUSTER = 4096


@dataclass(frozen=True, slots=True)
class Contestant:
    """A command, and what it must leave behind to count."""

    name: str
    command: tuple[str, ...]
    shown: str
    ours: bool = False
    cwd: Path | None = None
    needs: tuple[str, ...] = ()
    """The programs that must be installed."""
    outputs: tuple[Path, ...] = ()
    least_output: int = 0
    """Bytes that the outputs, or the discarded pipe, must at least come to."""
    files: int = 1
    discard: bool = False
    """Whether standard output goes to a reader that throws it away."""
    inspect: Callable[[], None] | None = None
    """Looks at the outputs of the last run before they are removed."""


def blockpack(
    program: Sequence[str],
    tree: Tree,
    image: Path,
    *options: str,
    name: str = "blockpack",
    source: str | None = None,
    least_output: int | None = None,
    inspect: Callable[[], None] | None = None,
) -> Contestant:
    """``blockpack pack`` of a tree, or of a `source` that holds the same."""
    is_commit = source is not None and source.startswith("git:")
    shown = "git:repository@HEAD" if is_commit else Path(source or tree.path).name
    return Contestant(
        name=name,
        command=(*program, "pack", "-q", source or str(tree.path), str(image), *options),
        shown=f"blockpack pack -q {shown} {image.name} {' '.join(options)}",
        ours=True,
        outputs=(image,),
        least_output=tree.size if least_output is None else least_output,
        files=tree.files,
        inspect=inspect,
    )


def blockpack_disk(program: Sequence[str], boot: Tree, data: Tree, image: Path) -> Contestant:
    """``blockpack disk`` of a FAT and a tar."""
    partitions = [
        *("--partition", f"boot={boot.path}:fat,type=esp"),
        *("--partition", f"data={data.path}:tar"),
    ]
    return Contestant(
        name="blockpack disk",
        command=(*program, "disk", "-q", str(image), *partitions),
        shown=f"blockpack disk -q {image.name} --partition boot=boot:fat,type=esp "
        "--partition data=data:tar",
        ours=True,
        outputs=(image,),
        least_output=boot.size + data.size,
    )


def blockpack_pipe(program: Sequence[str], tree: Tree) -> Contestant:
    """``blockpack pack`` to a pipe whose reader discards."""
    return Contestant(
        name="blockpack pack, piped",
        command=(*program, "pack", "-q", str(tree.path), "-", "--format", "tar"),
        shown=f"blockpack pack -q {tree.path.name} - --format tar | (discard)",
        ours=True,
        least_output=tree.size,
        discard=True,
    )


def blockpack_plan(program: Sequence[str], tree: Tree) -> Contestant:
    """``blockpack plan``."""
    return Contestant(
        name="blockpack plan",
        command=(*program, "plan", str(tree.path), "--format", "tar"),
        shown=f"blockpack plan {tree.path.name} --format tar",
        ours=True,
    )


def blockpack_verity(program: Sequence[str], tree: Tree) -> Contestant:
    """``blockpack plan`` with a hash tree: all is read and hashed, and nothing else is written."""
    options = ("--format", "tar", "--verity")
    return Contestant(
        name="blockpack plan --verity",
        command=(*program, "plan", str(tree.path), *options),
        shown=f"blockpack plan {tree.path.name} {' '.join(options)}",
        ours=True,
    )


def veritysetup(tree: Tree, hashes: Path) -> Contestant:
    """``veritysetup format`` of the tree's only file."""
    (source,) = tree.path.iterdir()
    return Contestant(
        name="veritysetup format",
        command=("veritysetup", "format", str(source), str(hashes)),
        shown=f"veritysetup format {tree.path.name}/{source.name} {hashes.name}",
        needs=("veritysetup",),
        outputs=(hashes,),
        least_output=tree.size // 128,
    )


def blockpack_build(program: Sequence[str], deployment: Path, images: Path) -> Contestant:
    """``blockpack build``, which leaves alone what did not change."""
    return Contestant(
        name="blockpack build",
        command=(*program, "build", "-q", str(deployment), "--out", str(images)),
        shown=f"blockpack build -q {deployment.name} --out {images.name}",
        ours=True,
    )


def gnu_tar(tree: Tree, image: Path, name: str = "GNU tar") -> Contestant:
    """GNU tar, with the options that make it as orderly as we are."""
    options = "--format=ustar --sort=name -cf"
    return Contestant(
        name=name,
        command=("tar", *options.split(), str(image), "-C", str(tree.path), "."),
        shown=f"tar {options} {image.name} -C {tree.path.name} .",
        needs=("tar",),
        outputs=(image,),
        least_output=tree.size,
        files=tree.files,
    )


def bsdtar(tree: Tree, image: Path) -> Contestant:
    """libarchive's tar."""
    return Contestant(
        name="bsdtar",
        command=("bsdtar", "--format=ustar", "-cf", str(image), "-C", str(tree.path), "."),
        shown=f"bsdtar --format=ustar -cf {image.name} -C {tree.path.name} .",
        needs=("bsdtar",),
        outputs=(image,),
        least_output=tree.size,
        files=tree.files,
    )


def python_tarfile(tree: Tree, image: Path) -> Contestant:
    """The standard library's tarfile."""
    return Contestant(
        name="Python tarfile",
        command=(sys.executable, "-m", "tarfile", "-c", str(image), "."),
        shown=f"python3 -m tarfile -c {image.name} .",
        cwd=tree.path,
        outputs=(image,),
        least_output=tree.size,
        files=tree.files,
    )


def mtools(tree: Tree, image: Path) -> Contestant:
    """mkfs.fat, then mcopy of everything, as the scripts that use them do.

    The size has to be guessed: clusters of 4 KiB, 2 % for tables and directories, and some.
    """
    clusters = tree.size + tree.files * CLUSTER // 2
    kib = (clusters * 102 // 100 + 16 * MIB) // KIB
    script = 'mkfs.fat -F 32 -C "$0" "$1" && image=$0 && shift && mcopy -s -i "$image" "$@" ::'
    children = sorted(str(child) for child in tree.path.iterdir())
    shown = (
        f"mkfs.fat -F 32 -C {image.name} {kib} && mcopy -s -i {image.name} {tree.path.name}/* ::"
    )
    return Contestant(
        name="mkfs.fat + mcopy",
        command=("sh", "-c", script, str(image), str(kib), *children),
        shown=shown,
        needs=("mkfs.fat", "mcopy"),
        outputs=(image,),
        least_output=tree.size,
        files=tree.files,
    )


def mkfs_erofs(tree: Tree, image: Path, inspect: Callable[[], None] | None = None) -> Contestant:
    """mkfs.erofs, without compression, and with what it keeps of files made alike, as ours is."""
    options = "--quiet -T0 --all-root -x-1"
    return Contestant(
        name="mkfs.erofs",
        command=("mkfs.erofs", *options.split(), str(image), str(tree.path)),
        shown=f"mkfs.erofs {options} {image.name} {tree.path.name}",
        needs=("mkfs.erofs",),
        outputs=(image,),
        least_output=tree.size,
        files=tree.files,
        inspect=inspect,
    )


def copy(tree: Tree, target: Path) -> Contestant:
    """``cp`` of the tree's only file, with every byte copied: the least that work can cost."""
    (source,) = tree.path.iterdir()
    return Contestant(
        name="cp --reflink=never",
        command=("cp", "--reflink=never", str(source), str(target)),
        shown=f"cp --reflink=never {tree.path.name}/{source.name} {target.name}",
        needs=("cp",),
        outputs=(target,),
        least_output=tree.size,
    )


def git_store(tree: Tree, repository: Path) -> Contestant:
    """A repository of everything, packed: what a git image holds."""
    script = (
        'git init -q --bare "$1" && cd "$0" && export GIT_DIR=$1 GIT_WORK_TREE=$0 && git add -A && '
        "git -c user.name=a -c user.email=a@b commit -q -m a && git repack -a -d -q"
    )
    return Contestant(
        name="git add + commit + repack",
        command=("sh", "-c", script, str(tree.path), str(repository)),
        shown="git init -q && git add -A && git commit -q -m a && git repack -a -d -q",
        needs=("git",),
        outputs=(repository,),
        files=tree.files,
    )


def git_add(tree: Tree, repository: Path, level: int | None = None) -> Contestant:
    """``git add`` of everything; `level` is that of deflating."""
    options = "" if level is None else f"-c core.compression={level} "
    script = (
        f'git init -q --bare "$1" && cd "$0" && GIT_DIR=$1 GIT_WORK_TREE=$0 git {options}add -A'
    )
    return Contestant(
        name=f"git {options}add",
        command=("sh", "-c", script, str(tree.path), str(repository)),
        shown=f"git init -q && git {options}add -A",
        needs=("git",),
        outputs=(repository,),
    )


def git_pack_objects(repository: Path, objects: Path, pack: Path, files: int) -> Contestant:
    """``git pack-objects`` of the objects that are listed in a file."""
    return Contestant(
        name="git pack-objects",
        command=(
            *("sh", "-c", 'git -C "$0" pack-objects -q --stdout <"$1" >"$2"'),
            *(str(repository), str(objects), str(pack)),
        ),
        shown="git pack-objects -q --stdout <objects >pack",
        needs=("git",),
        outputs=(pack,),
        files=files,
    )


def git_archive(repository: Path, archive: Path, tree: Tree) -> Contestant:
    """``git archive`` of a commit."""
    return Contestant(
        name="git archive",
        command=("git", "-C", str(repository), "archive", "-o", str(archive), "HEAD"),
        shown=f"git archive -o {archive.name} HEAD",
        needs=("git",),
        outputs=(archive,),
        least_output=tree.size,
        files=tree.files,
    )


def checkout_and_mtools(repository: Path, tree: Tree, image: Path) -> Contestant:
    """A checkout of a commit, and then mkfs.fat and mcopy as in `mtools`."""
    peer = mtools(tree, image)
    kib = peer.command[4]
    checkout = image.with_suffix(".checkout")
    script = (
        'mkdir "$2" && git -C "$0" --work-tree="$2" checkout -q HEAD -- . && '
        'mkfs.fat -F 32 -C "$1" "$3" && mcopy -s -i "$1" "$2"/* ::'
    )
    return Contestant(
        name="git checkout + mkfs.fat + mcopy",
        command=("sh", "-c", script, str(repository), str(image), str(checkout), kib),
        shown=f"git checkout -q HEAD -- . && {peer.shown}",
        needs=("git", "mkfs.fat", "mcopy"),
        outputs=(image, checkout),
        least_output=tree.size,
        files=tree.files,
    )


def untar_and_mtools(archive: Path, tree: Tree, image: Path) -> Contestant:
    """What is in a tar is unpacked, and then mkfs.fat and mcopy as in `mtools`."""
    peer = mtools(tree, image)
    kib = peer.command[4]
    unpacked = image.with_suffix(".unpacked")
    script = (
        'mkdir "$2" && tar -xf "$0" -C "$2" && '
        'mkfs.fat -F 32 -C "$1" "$3" && mcopy -s -i "$1" "$2"/* ::'
    )
    return Contestant(
        name="tar -x + mkfs.fat + mcopy",
        command=("sh", "-c", script, str(archive), str(image), str(unpacked), kib),
        shown=f"tar -xf {archive.name} && {peer.shown}",
        needs=("tar", "mkfs.fat", "mcopy"),
        outputs=(image, unpacked),
        least_output=tree.size,
        files=tree.files,
    )


def version(program: Sequence[str]) -> Contestant:
    """``blockpack --version``."""
    return Contestant(
        name="blockpack --version",
        command=(*program, "--version"),
        shown="blockpack --version",
        ours=True,
    )


def interpreter() -> Contestant:
    """The interpreter by itself."""
    return Contestant(
        name="python3 -c pass",
        command=(sys.executable, "-c", "pass"),
        shown="python3 -c pass",
    )
