"""What tar programs that we did not write make of an image.

Every reader returns `Members` by path, byte for byte, and fails if the program wrote a word to
standard error. An entry for the root is left out. What the programs do not restore:

- busybox leaves symbolic links, and directories that files were put into later, with the time
  of extraction: their `mtime` is None;
- 7-Zip gives every directory read, write and execute permission for its owner, and takes
  away set-user-id, set-group-id and sticky bits; it spells names as
  `fat_tools.sevenzip_spelling` does;
- a hard link is one of several names of a file: all but the first one, in the order of a
  sorted depth-first walk, are shown as a link to the first, whatever the archive says;
- bsdtar and GNU tar contradict each other on a `path` record that is not UTF-8: the one wants
  ``hdrcharset=BINARY`` before it, the other complains about that keyword.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from .fat_tools import assert_7zip_content
from .programs import run_silent

Kind = Literal["file", "directory", "symlink", "hardlink"]

BLOCK = 512


class Member(NamedTuple):
    """One entry; `mtime` is in whole seconds, `mode` the permission bits."""

    kind: Kind
    content: bytes
    mode: int
    mtime: int | None
    linkname: bytes


Members = dict[bytes, Member]


def gnu_tar_read(image: Path, *, unknown_keywords: bool = False) -> Members:
    """What GNU tar extracts; with `unknown_keywords` it is told not to mind pax keywords.

    Times to come, of which it warns, are the archive's own affair.
    """
    quiet: list[str | Path] = ["--warning=no-timestamp"]
    if unknown_keywords:
        quiet.append("--warning=no-unknown-keyword")
    return _extract("tar", [*quiet, "--no-same-owner", "-xpf", image, "-C"])


def bsdtar_read(image: Path) -> Members:
    """What libarchive's tar extracts."""
    return _extract("bsdtar", ["--no-same-owner", "-xpf", image, "-C"])


def busybox_read(image: Path) -> Members:
    """What the tar of busybox extracts."""
    members = _extract("busybox", ["tar", "-xpof", image, "-C"])
    return {
        path: member._replace(mtime=None) if member.kind in ("symlink", "directory") else member
        for path, member in members.items()
    }


def sevenzip_tar_read(image: Path) -> Members:
    """What 7-Zip extracts, symbolic links out of the tree included."""
    with TemporaryDirectory() as directory:
        options = ["-ttar", "-bd", "-snld20", f"-o{directory}"]
        assert_7zip_content(run_silent("7z", ["x", *options, "--", image]))
        # It turns absolute targets into targets below the directory that it extracts to.
        jail = os.fsencode(directory) + b"/"
        return {
            path: member._replace(linkname=b"/" + member.linkname.removeprefix(jail))
            if member.kind == "symlink" and member.linkname.startswith(jail)
            else member
            for path, member in read_members(os.fsencode(directory)).items()
        }


def tarfile_read(image: Path) -> Members:
    """What Python's tarfile reads."""
    members: Members = {}
    with tarfile.open(image, "r:", encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            path = info.name.rstrip("/").encode("utf-8", "surrogateescape").removeprefix(b"./")
            if path in (b"", b"."):
                continue
            assert path not in members, f"tarfile lists {path!r} twice"
            members[path] = _tarfile_member(archive, info)
        end = archive.offset
    with image.open("rb") as file:
        file.seek(end)
        # tarfile takes a damaged header for the end, and says nothing.
        assert file.read(2 * BLOCK) == bytes(2 * BLOCK), f"tarfile stopped at {end}"
    return members


READERS: Sequence[Callable[[Path], Members]] = (
    gnu_tar_read,
    bsdtar_read,
    busybox_read,
    sevenzip_tar_read,
    tarfile_read,
)
"""All of them, for tests that call each."""


def _tarfile_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kinds: dict[bytes, Kind] = {
        tarfile.REGTYPE: "file",
        tarfile.DIRTYPE: "directory",
        tarfile.SYMTYPE: "symlink",
        tarfile.LNKTYPE: "hardlink",
    }
    kind = kinds[info.type]
    linkname = info.linkname.encode("utf-8", "surrogateescape")
    content = b""
    if kind in ("file", "hardlink"):
        file = archive.extractfile(info)
        assert file is not None, f"tarfile has no bytes for {info.name!r}"
        content = file.read()
        linkname = linkname.removeprefix(b"./")
    mode = 0o777 if kind == "symlink" else info.mode & 0o7777
    return Member(kind, content, mode, int(info.mtime // 1), linkname)


def _extract(program: str, arguments: Sequence[str | Path]) -> Members:
    """What `program` leaves in an empty directory, which becomes its last argument."""
    with TemporaryDirectory() as directory:
        output = run_silent(program, [*arguments, directory])
        assert not output, f"{program} said: {output!r}"
        return read_members(os.fsencode(directory))


def read_members(root: bytes) -> Members:
    """The members that are below the directory `root`."""
    members: Members = {}
    first_names: dict[tuple[int, int], bytes] = {}
    for path, status in _walk(root):
        full = os.path.join(root, path)
        mode, linkname, content = stat.S_IMODE(status.st_mode), b"", b""
        kind: Kind = "file"
        if stat.S_ISDIR(status.st_mode):
            kind = "directory"
        elif stat.S_ISLNK(status.st_mode):
            kind, linkname = "symlink", os.readlink(full)
        else:
            assert stat.S_ISREG(status.st_mode), f"{path!r} is neither a file nor a link"
            linkname = first_names.setdefault((status.st_dev, status.st_ino), path)
            kind, linkname = ("file", b"") if linkname == path else ("hardlink", linkname)
            os.chmod(full, 0o600)
            with open(full, "rb") as file:
                content = file.read()
            os.chmod(full, mode)
        members[path] = Member(kind, content, mode, status.st_mtime_ns // 10**9, linkname)
    return members


def _walk(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """The paths below `root`, sorted and depth first. Directories are made accessible."""
    waiting = [b""]
    while waiting:
        path = waiting.pop()
        full = os.path.join(root, path)
        status = os.lstat(full)
        if path:
            yield path, status
        if stat.S_ISDIR(status.st_mode):
            os.chmod(full, 0o700)
            waiting += [os.path.join(path, name) for name in sorted(os.listdir(full))[::-1]]
