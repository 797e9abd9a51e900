"""Who reads images: one command of each tool for a kind of reading, as in `contestants`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from contestants import Contestant
from dataset import Tree

BYTES_LISTED = 10
"""A list has at least so many bytes for each file: its name."""


def blockpack_ls(program: Sequence[str], image: Path, tree: Tree) -> Contestant:
    """``blockpack ls``."""
    return Contestant(
        name="blockpack ls",
        command=(*program, "ls", str(image)),
        shown=f"blockpack ls {image.name} | (discard)",
        ours=True,
        least_output=BYTES_LISTED * tree.files,
        files=tree.files,
        discard=True,
    )


def tar_list(image: Path, tree: Tree) -> Contestant:
    """``tar -t``."""
    return Contestant(
        name="tar -t",
        command=("tar", "-tf", str(image)),
        shown=f"tar -tf {image.name} | (discard)",
        needs=("tar",),
        least_output=BYTES_LISTED * tree.files,
        files=tree.files,
        discard=True,
    )


def mdir(image: Path, tree: Tree) -> Contestant:
    """``mdir`` of everything, mtools' list."""
    return Contestant(
        name="mdir",
        command=("mdir", "-/", "-b", "-i", str(image), "::"),
        shown=f"mdir -/ -b -i {image.name} :: | (discard)",
        needs=("mdir",),
        least_output=BYTES_LISTED * tree.files,
        files=tree.files,
        discard=True,
    )


def blockpack_extract(
    program: Sequence[str],
    image: Path,
    tree: Tree,
    target: Path,
    inspect: Callable[[], None] | None = None,
) -> Contestant:
    """``blockpack extract``."""
    return Contestant(
        name="blockpack extract",
        command=(*program, "extract", "-q", str(image), str(target)),
        shown=f"blockpack extract -q {image.name} {target.name}",
        ours=True,
        outputs=(target,),
        least_output=tree.size,
        files=tree.files,
        inspect=inspect,
    )


def tar_extract(image: Path, tree: Tree, target: Path) -> Contestant:
    """``tar -x``."""
    return Contestant(
        name="tar -x",
        command=("tar", "-xf", str(image), f"--one-top-level={target}"),
        shown=f"tar -xf {image.name} --one-top-level={target.name}",
        needs=("tar",),
        outputs=(target,),
        least_output=tree.size,
        files=tree.files,
    )


def bsdtar_extract(image: Path, tree: Tree, target: Path) -> Contestant:
    """``bsdtar -x``."""
    return Contestant(
        name="bsdtar -x",
        command=("sh", "-c", 'mkdir "$1" && bsdtar -xf "$0" -C "$1"', str(image), str(target)),
        shown=f"mkdir {target.name} && bsdtar -xf {image.name} -C {target.name}",
        needs=("bsdtar",),
        outputs=(target,),
        least_output=tree.size,
        files=tree.files,
    )


def mcopy_out(image: Path, tree: Tree, target: Path) -> Contestant:
    """``mcopy`` of everything, out of the image."""
    script = 'mkdir "$1" && mcopy -s -n -i "$0" "::*" "$1"/'
    return Contestant(
        name="mcopy -s",
        command=("sh", "-c", script, str(image), str(target)),
        shown=f"mkdir {target.name} && mcopy -s -n -i {image.name} '::*' {target.name}/",
        needs=("mcopy",),
        outputs=(target,),
        least_output=tree.size,
        files=tree.files,
    )


def blockpack_verify(
    program: Sequence[str], image: Path, tree: Tree, *, against_source: bool
) -> Contestant:
    """``blockpack verify``, of the image alone or against its source."""
    source = (tree.path,) if against_source else ()
    return Contestant(
        name="blockpack verify",
        command=(*program, "verify", "-q", str(image), *map(str, source)),
        shown=" ".join(["blockpack verify -q", image.name, *(path.name for path in source)]),
        ours=True,
        files=tree.files,
    )


def tar_compare(image: Path, tree: Tree) -> Contestant:
    """``tar -d``, of a tar that it made itself: it compares times and owners, too."""
    return Contestant(
        name="tar -d",
        command=("tar", "-df", str(image), "-C", str(tree.path)),
        shown=f"tar -df {image.name} -C {tree.path.name}",
        needs=("tar",),
        files=tree.files,
    )


def fsck(image: Path, tree: Tree) -> Contestant:
    """``fsck.fat -n``."""
    return Contestant(
        name="fsck.fat",
        command=("fsck.fat", "-n", str(image)),
        shown=f"fsck.fat -n {image.name}",
        needs=("fsck.fat",),
        files=tree.files,
    )


def blockpack_cat(program: Sequence[str], image: Path, path: Path, size: int) -> Contestant:
    """``blockpack cat`` of the file `path` in the image."""
    return Contestant(
        name="blockpack cat",
        command=(*program, "cat", str(image), path.name),
        shown=f"blockpack cat {image.name} {path.name} | (discard)",
        ours=True,
        least_output=size,
        discard=True,
    )


def cat(path: Path, size: int) -> Contestant:
    """``cat`` of the file itself."""
    return Contestant(
        name="cat",
        command=("cat", str(path)),
        shown=f"cat {path.name} | (discard)",
        needs=("cat",),
        least_output=size,
        discard=True,
    )
