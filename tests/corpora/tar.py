"""Archives by GNU tar, bsdtar, busybox, pax, cpio, git, 7-Zip, perl, node; GNU tar reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from judges.programs import run, run_silent

from .item import Item, Makers
from .tar_trees import (
    Tree,
    bytes_names,
    expected,
    long,
    made,
    names_in,
    plain,
    prefixed,
    sparse,
    special,
    unicode,
)

Options = Sequence[str]


def _item(name: str, image: Path, tree: Path | None) -> Item:
    """What GNU tar extracts of `image`, which has to be what is in `tree`."""
    directory = image.parent / "extracted"
    directory.mkdir()
    # It tells on standard error what it takes off absolute names.
    run("tar", ["--no-same-owner", "-xpf", image, "-C", directory])
    found = expected(directory)
    assert found, f"GNU tar extracts nothing: {name}"
    if tree is not None:
        assert found == expected(tree), f"GNU tar does not read what was put in: {name}"
    return Item(name, image, found)


def _gnu(name: str, make: Tree, options: Options, scratch: Path) -> Item:
    tree = made(scratch, make)
    image = scratch / "x.tar"
    run("tar", [*options, "-cf", image, "-C", tree, "."])
    return _item(name, image, tree)


def _gnu_names(name: str, make: Tree, options: Options, scratch: Path) -> Item:
    """All names are given, none begins with ``./``, and directories are not gone into."""
    tree = made(scratch, make)
    image = scratch / "x.tar"
    run("tar", [*options, "--no-recursion", "-cf", image, "-C", tree, "--", *names_in(tree)])
    return _item(name, image, tree)


def _renamed(name: str, options: Options, scratch: Path) -> Item:
    """The names in the archive are other ones than in the tree."""
    tree = made(scratch, plain)
    image = scratch / "x.tar"
    run("tar", [*options, "-cf", image, "-C", tree, "."])
    return _item(name, image, None)


def _files_only(name: str, options: Options, scratch: Path) -> Item:
    """There is no entry for any directory."""
    tree = made(scratch, plain)
    (tree / "dir/empty").rmdir()
    image = scratch / "x.tar"
    files = [path for path in names_in(tree) if not (tree / os.fsdecode(path)).is_dir()]
    files += [b"to a directory"]
    run("tar", [*options, "-cf", image, "-C", tree, *files])
    return _item(name, image, tree)


def _reversed(name: str, options: Options, scratch: Path) -> Item:
    """Each directory comes after what is in it."""
    tree = made(scratch, plain)
    image = scratch / "x.tar"
    names = names_in(tree)[::-1]
    run("tar", [*options, "--no-recursion", "-cf", image, "-C", tree, *names])
    return _item(name, image, tree)


def _appended(name: str, options: Options, scratch: Path) -> Item:
    """Files come twice and three times; the last one counts."""
    tree = made(scratch, plain)
    image = scratch / "x.tar"
    run("tar", [*options, "-cf", image, "-C", tree, "."])
    for version in (b"second\n", b"third, and longer\n" * 100):
        (tree / "executable").write_bytes(version)
        run("tar", [*options, "-rf", image, "-C", tree, "./executable", "./dir/deep"])
    return _item(name, image, tree)


def _replaced(name: str, options: Options, scratch: Path) -> Item:
    """A file becomes a link, a link a file, and an empty directory a file."""
    tree = made(scratch, plain)
    image = scratch / "x.tar"
    run("tar", [*options, "-cf", image, "-C", tree, "."])
    for path in ("executable", "to a directory"):
        (tree / path).unlink()
    (tree / "dir/empty").rmdir()
    (tree / "executable").symlink_to("dir/deep/file")
    (tree / "to a directory").write_bytes(b"a file now\n")
    (tree / "dir/empty").write_bytes(b"no directory any more\n")
    later = ("./executable", "./to a directory", "./dir/empty")
    run("tar", [*options, "-rf", image, "-C", tree, *later])
    return _item(name, image, tree)


def _concatenated(name: str, options: Options, scratch: Path) -> Item:
    """Two archives in one, by --concatenate."""
    tree = made(scratch, plain)
    image, other = scratch / "x.tar", scratch / "other.tar"
    run("tar", [*options, "-cf", image, "-C", tree, "dir"])
    rest = [name for name in os.listdir(tree) if name != "dir"]
    run("tar", [*options, "-cf", other, "-C", tree, *rest])
    run("tar", ["--concatenate", "-f", image, other])
    (tree / "dir/the same").unlink()
    (tree / "dir/the same").write_bytes((tree / "12345 bytes").read_bytes())
    return _item(name, image, tree)


def _incremental(name: str, options: Options, scratch: Path) -> Item:
    """A dump, whose directories hold the names of what is in them."""
    tree = made(scratch, plain)
    image = scratch / "x.tar"
    snapshot = f"--listed-incremental={scratch / 'snapshot'}"
    run("tar", [*options, snapshot, "-cf", image, "-C", tree, "."])
    return _item(name, image, tree)


def _attributed(name: str, options: Options, scratch: Path) -> Item:
    """Records of extended attributes, where the file system has them."""
    tree = made(scratch, plain)
    image = scratch / "x.tar"
    try:
        os.setxattr(tree / "executable", "user.comment", b"two words = \n\0 binary")
    except OSError as error:
        pytest.skip(f"there are no extended attributes here: {error}")
    run("tar", [*options, "--xattrs", "-cf", image, "-C", tree, "."])
    assert b"SCHILY.xattr.user.comment" in image.read_bytes()
    return _item(name, image, tree)


def _bsdtar(name: str, make: Tree, options: Options, scratch: Path) -> Item:
    tree = made(scratch, make)
    image = scratch / "x.tar"
    run("bsdtar", [*options, "-cf", image, "-C", tree, "."])
    return _item(name, image, tree)


def _busybox(name: str, make: Tree, scratch: Path) -> Item:
    tree = made(scratch, make)
    image = scratch / "x.tar"
    run_silent("busybox", ["tar", "-cf", image, "-C", tree, "."])
    return _item(name, image, tree)


def _pax(name: str, make: Tree, options: Options, scratch: Path) -> Item:
    tree = made(scratch, make)
    image = scratch / "x.tar"
    run("pax", ["-w", *options, "-f", image, "."], cwd=tree)
    return _item(name, image, tree)


def _cpio(name: str, make: Tree, options: Options, scratch: Path) -> Item:
    tree = made(scratch, make)
    image = scratch / "x.tar"
    names = b"".join(path + b"\0" for path in names_in(tree))
    run("cpio", ["-o", "-0", *options, "-F", image], cwd=tree, stdin=names)
    return _item(name, image, tree)


def _git(name: str, make: Tree, scratch: Path) -> Item:
    """What `git archive` makes of a commit; git knows neither empty directories nor hard links."""
    tree = made(scratch, make)
    shutil.rmtree(tree / "dir/empty")
    image = scratch / "x.tar"
    git: list[str | Path] = ["-C", tree, "-c", "user.name=a", "-c", "user.email=a@localhost"]
    run("git", [*git, "init", "-q", "--template=", "."])
    run("git", [*git, "add", "-A"])
    run("git", [*git, "commit", "-q", "-m", "all"])
    run("git", [*git, "archive", "--format=tar", "-o", image, "HEAD"])
    shutil.rmtree(tree / ".git")
    return _item(name, image, tree)


def _sevenzip(name: str, make: Tree, options: Options, scratch: Path) -> Item:
    tree = made(scratch, make)
    image = scratch / "x.tar"
    run("7z", ["a", "-ttar", "-snl", "-snh", "-bd", *options, image, "."], cwd=tree)
    return _item(name, image, tree)


_PERL = r"""
use strict; use warnings; use Archive::Tar; use File::Find;
my ($image) = @ARGV;
my @names;
find({ wanted => sub { push @names, $_ }, no_chdir => 1 }, '.');
my $tar = Archive::Tar->new;
$tar->add_files(sort @names) or die $tar->error;
$tar->write($image) or die $tar->error;
"""


def _perl(name: str, make: Tree, scratch: Path) -> Item:
    tree = made(scratch, make)
    (tree / " spaces ").unlink()  # Archive::Tar drops the first and the last one
    image = scratch / "x.tar"
    run("perl", ["-e", _PERL, image], cwd=tree)
    return _item(name, image, tree)


NODE_TARS = (
    "/usr/lib/node_modules/npm/node_modules/tar",
    "/usr/local/lib/node_modules/npm/node_modules/tar",
    "/usr/share/nodejs/npm/node_modules/tar",
    "/usr/share/nodejs/tar",
)
"""Where npm keeps the tar that it packs with, and where Debian has it."""

_NODE = """
const [, module, file, options] = process.argv;
require(module).c({ file, sync: true, ...JSON.parse(options) }, ['.']);
"""


def _node(name: str, make: Tree, options: str, scratch: Path) -> Item:
    """By node-tar, where npm brought it: nothing is installed for that, on CI neither."""
    node = shutil.which("node")
    module = next(filter(os.path.isdir, NODE_TARS), None)
    if node is None or module is None:
        pytest.skip("neither npm nor node-tar is installed (Debian: apt install node-tar)")
    tree = made(scratch, make)
    image = scratch / "x.tar"
    command = [node, "-e", _NODE, module, str(image), options]
    done = subprocess.run(command, cwd=tree, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="backslashreplace")
    return _item(name, image, tree)


# What holes there are is found by looking for zeros: not every file system tells.
_HOLES = ("-S", "--hole-detection=raw")

_OLDEST, _OLD, _GNU, _USTAR, _POSIX = (
    [f"--format={format}"] for format in ("v7", "oldgnu", "gnu", "ustar", "pax")
)

GNU_TREES: Mapping[str, tuple[Tree, Options]] = {
    "v7": (plain, _OLDEST),
    "oldgnu": (long, _OLD),
    "gnu": (long, _GNU),
    "ustar": (prefixed, _USTAR),
    "pax": (long, _POSIX),
    "v7, Unicode": (unicode, _OLDEST),
    "ustar, Unicode": (unicode, _USTAR),
    "v7, names of bytes": (bytes_names, _OLDEST),
    "ustar, names of bytes": (bytes_names, _USTAR),
    "gnu, names of bytes": (bytes_names, _GNU),
    "pax, names of bytes": (bytes_names, _POSIX),
    "ustar, a pipe": (special, _USTAR),
    "pax, a pipe": (special, _POSIX),
    "oldgnu, sparse": (sparse, [*_OLD, *_HOLES]),
    "gnu, sparse": (sparse, [*_GNU, *_HOLES]),
    "pax, sparse 0.0": (sparse, [*_POSIX, *_HOLES, "--sparse-version=0.0"]),
    "pax, sparse 0.1": (sparse, [*_POSIX, *_HOLES, "--sparse-version=0.1"]),
    "pax, sparse 1.0": (sparse, [*_POSIX, *_HOLES, "--sparse-version=1.0"]),
    "gnu, a label": (plain, [*_GNU, "-V", "A label"]),
    "pax, a label": (plain, [*_POSIX, "-V", "A label"]),
    "gnu, blocks of 1 MiB": (plain, [*_GNU, "-b", "2048"]),
    "gnu, one block at a time": (plain, [*_GNU, "-b", "1"]),
    "gnu, large owners": (plain, [*_GNU, "--owner=x:4000000000", "--group=y:3000000000"]),
    "pax, large owners": (plain, [*_POSIX, "--owner=x:4000000000", "--group=y:3000000000"]),
    "gnu, before 1970": (plain, [*_GNU, "--mtime=@-1"]),
    "pax, before 1970": (plain, [*_POSIX, "--mtime=@-1.5"]),
    "gnu, after 2242": (plain, [*_GNU, "--mtime=@9000000000"]),
    "pax, after 2242": (plain, [*_POSIX, "--mtime=@9000000000.25"]),
    "pax, a comment for all": (plain, [*_POSIX, "--pax-option=comment=hello"]),
    "pax, a comment for each": (plain, [*_POSIX, "--pax-option=comment:=hello"]),
    "pax, an owner for all": (plain, [*_POSIX, "--pax-option=uname=somebody,uid=1234"]),
    "pax, a time for all": (plain, [*_POSIX, "--pax-option=mtime=1577934246.5"]),
    "pax, no times": (plain, [*_POSIX, "--pax-option=delete=atime,delete=ctime"]),
    "pax, hard links as files": (plain, [*_POSIX, "--hard-dereference"]),
    "ustar, numbers as owners": (plain, [*_USTAR, "--numeric-owner"]),
}

RENAMED: Mapping[str, Options] = {
    "absolute names": ["-P", "--transform=flags=rh;s,^\\.,/abs,"],
    "two slashes first": ["-P", "--transform=flags=r;s,^\\./,.//,"],
    "a dot after a slash": ["-P", "--transform=flags=rh;s,^\\.,/.,"],
    "dots in front": ["-P", "--transform=flags=rh;s,^\\.,./././.,"],
    "dots in between": ["-P", "--transform=flags=rh;s,/,/./,g"],
    "slashes in between": ["-P", "--transform=flags=rh;s,/,//,g"],
    "below a directory that has no entry": ["--transform=flags=rh;s,^\\.,no/entry,"],
}

_SOME = {"gnu": _GNU, "ustar": _USTAR, "pax": _POSIX}

GNU_MAKERS: Makers = {
    **{name: partial(_gnu, name, *how) for name, how in GNU_TREES.items()},
    **{
        f"{format}, no dots": partial(_gnu_names, f"{format}, no dots", plain, options)
        for format, options in {"v7": _OLDEST, **_SOME}.items()
    },
    **{
        f"{format}, {name}": partial(_renamed, f"{format}, {name}", [*options, *renaming])
        for name, renaming in RENAMED.items()
        for format, options in _SOME.items()
    },
    **{
        f"{format}, {name}": partial(history, f"{format}, {name}", options)
        for name, history in (
            ("files only", _files_only),
            ("directories last", _reversed),
            ("appended to", _appended),
            ("replaced", _replaced),
            ("concatenated", _concatenated),
        )
        for format, options in _SOME.items()
    },
    "gnu, a dump": partial(_incremental, "gnu, a dump", _GNU),
    "pax, a dump": partial(_incremental, "pax, a dump", _POSIX),
    "pax, extended attributes": partial(_attributed, "pax, extended attributes", _POSIX),
}

OTHER_MAKERS: Makers = {
    "bsdtar, ustar": partial(_bsdtar, "bsdtar, ustar", prefixed, ["--format=ustar"]),
    "bsdtar, pax": partial(_bsdtar, "bsdtar, pax", long, ["--format=pax"]),
    "bsdtar, restricted pax": partial(_bsdtar, "bsdtar, paxr", long, ["--format=paxr"]),
    "bsdtar, gnutar": partial(_bsdtar, "bsdtar, gnutar", long, ["--format=gnutar"]),
    "bsdtar, v7": partial(_bsdtar, "bsdtar, v7", plain, ["--format=v7tar"]),
    "bsdtar, names of bytes": partial(_bsdtar, "bsdtar, bytes", bytes_names, ["--format=pax"]),
    "bsdtar, sparse": partial(_bsdtar, "bsdtar, sparse", sparse, ["--format=pax", "--read-sparse"]),
    "busybox": partial(_busybox, "busybox", plain),
    "busybox, long names": partial(_busybox, "busybox, long names", long),
    "Debian's pax, ustar": partial(_pax, "pax, ustar", prefixed, ["-x", "ustar"]),
    "Debian's pax, tar": partial(_pax, "pax, tar", plain, ["-x", "tar"]),
    "cpio, ustar": partial(_cpio, "cpio, ustar", prefixed, ["-H", "ustar"]),
    "cpio, tar": partial(_cpio, "cpio, tar", plain, ["-H", "tar"]),
    "git archive": partial(_git, "git archive", plain),
    "git archive, long names": partial(_git, "git archive, long names", long),
    "7-Zip": partial(_sevenzip, "7-Zip", plain, []),
    "7-Zip, long names": partial(_sevenzip, "7-Zip, long names", long, ["-mm=gnu"]),
    "7-Zip, pax": partial(_sevenzip, "7-Zip, pax", long, ["-mm=pax"]),
    "perl": partial(_perl, "perl", plain),
    "perl, long names": partial(_perl, "perl, long names", prefixed),
    "node": partial(_node, "node", plain, "{}"),
    "node, long names": partial(_node, "node, long names", long, "{}"),
    "node, portable": partial(_node, "node, portable", long, '{"portable": true}'),
    "node, without pax": partial(_node, "node, without pax", plain, '{"noPax": true}'),
}

MAKERS: Makers = {
    **{f"GNU tar, {name}": maker for name, maker in GNU_MAKERS.items()},
    **OTHER_MAKERS,
}
"""All makers of archives by name."""
