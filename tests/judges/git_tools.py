"""What git and dulwich make of a pack, a bundle, or a tree of files.

Repositories are bare and new, and git complains about nothing: the slightest word on standard
error, or of `git fsck`, fails.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from .programs import require_module, run, run_silent

Files = dict[bytes, tuple[bytes, bytes]]
"""The mode, as git writes it, and the bytes of each file and link by its path."""


def init(directory: Path, algorithm: str = "sha1") -> Path:
    """A new, empty repository."""
    format = f"--object-format={algorithm}"
    run_silent("git", ["init", "-q", "--bare", "--template=", "-b", "judged", format, directory])
    return directory


def git(repository: Path, *arguments: str | bytes | Path, stdin: bytes = b"") -> bytes:
    """Run git in a repository; it says nothing on standard error."""
    return run_silent("git", ["-C", repository, *arguments], stdin=stdin)


def index_pack(pack: bytes, repository: Path) -> Path:
    """The pack in a repository, strictly checked, with the index that git makes of it."""
    path = repository / "objects/pack/pack-judged.pack"
    path.write_bytes(pack)
    git(repository, "index-pack", "--strict", path)
    git(repository, "verify-pack", "-v", path)
    return path.with_suffix(".idx")


def fsck(repository: Path, commit: str) -> list[str]:
    """Assert that all is sound under `refs/heads/judged`; the ids of what nothing refers to."""
    git(repository, "update-ref", "refs/heads/judged", commit)
    said = git(repository, "fsck", "--strict", "--full", "--no-progress").decode().splitlines()
    assert all(line.startswith("dangling ") for line in said), said
    return [line.split()[-1] for line in said]


def checkout(repository: Path, commit: str, directory: Path) -> Files:
    """What git checks out of a commit into a new directory."""
    directory.mkdir()
    git(repository, f"--work-tree={directory}", "read-tree", "--reset", "-u", commit)
    return read_files(directory)


def verify_bundle(repository: Path, bundle: Path) -> None:
    """Assert that git takes a bundle for a whole one."""
    said = run("git", ["-C", repository, "bundle", "verify", bundle])
    assert b"records a complete history" in said.stdout, said
    assert said.stderr == b"%b is okay\n" % os.fsencode(bundle), said


def clone(bundle: Path, directory: Path) -> Files:
    """What git clones from a bundle."""
    run("git", ["clone", "-q", "--template=", bundle, directory])
    return {p: f for p, f in read_files(directory).items() if not p.startswith(b".git/")}


def read_files(root: Path) -> Files:
    """All files and links under `root`."""
    found: Files = {}
    top = os.fsencode(root)
    for directory, names, others in os.walk(top):
        for name in names + others:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                content = b"120000", os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    executable = status.st_mode & 0o100
                    content = b"100755" if executable else b"100644", file.read()
            else:
                continue
            found[os.path.relpath(path, top)] = content
    return found


def write_tree(repository: Path, directory: Path) -> str:
    """The id of the tree that git makes of the files in a directory."""
    index = ("-c", "core.fileMode=true", f"--work-tree={directory}")
    git(repository, *index, "read-tree", "--empty")
    git(repository, *index, "add", "-f", "-A", ":/")
    return git(repository, *index, "write-tree").decode().strip()


def dulwich_read(pack: bytes, commit: str, directory: Path) -> Files:
    """What dulwich finds in the pack of a commit, whose ids are SHA-1."""
    packs: Any = require_module("dulwich.pack")
    formats: Any = require_module("dulwich.object_format")
    path = directory / "dulwich.pack"
    path.write_bytes(pack)
    with packs.PackData(str(path), object_format=formats.SHA1) as data:
        data.check()
        data.create_index_v2(str(path.with_suffix(".idx")))
    with packs.Pack(str(path.with_suffix("")), object_format=formats.SHA1) as opened:
        found: Files = {}
        pending = [(b"", opened[commit.encode()].tree)]
        while pending:
            above, oid = pending.pop()
            for name, mode, child in opened[oid].iteritems():
                if stat.S_ISDIR(mode):
                    pending.append((above + name + b"/", child))
                else:
                    found[above + name] = b"%o" % mode, opened[child].as_raw_string()
    return found
