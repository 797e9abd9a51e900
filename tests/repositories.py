"""Repositories for tests, made by git itself, object by object where it would refuse."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blockpack

TIME = 1_600_000_000
"""When commits are committed unless a test says otherwise, in seconds since 1970."""

FILE, EXECUTABLE, LINK, SUBMODULE, TREE = "100644", "100755", "120000", "160000", "40000"

Files = Mapping[str, bytes | tuple[str, bytes]]
"""Path → the bytes of a file, or its mode and its bytes (of a submodule: the id of a commit)."""

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "LC_ALL": "C",
}


@dataclass(frozen=True)
class GitRepository:
    """A repository at `path`."""

    path: Path

    @classmethod
    def init(cls, path: Path, *options: str) -> GitRepository:
        subprocess.run(
            ["git", "init", "--quiet", "--initial-branch=main", *options, path],
            env=ENVIRONMENT,
            check=True,
        )
        return cls(path)

    def git(self, *arguments: str | Path, data: bytes = b"", time: int = TIME) -> bytes:
        """What git prints."""
        times = {"GIT_AUTHOR_DATE": f"@{time} +0000", "GIT_COMMITTER_DATE": f"@{time} +0000"}
        # Since 2.54 git packs anew in the background after a fetch, while tests read.
        command = ["git", "-c", "maintenance.auto=false", "-C", self.path, *arguments]
        done = subprocess.run(
            command, input=data, env=ENVIRONMENT | times, stdout=subprocess.PIPE, check=True
        )
        return done.stdout

    def oid(self, name: str) -> str:
        return self.git("rev-parse", "--verify", name).decode().strip()

    def blob(self, data: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", data=data).decode().strip()

    def raw_tree(self, *entries: tuple[str, bytes, str]) -> str:
        """A tree of (mode, name, object id), whatever they are."""
        data = b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries
        )
        return self.raw_object("tree", data)

    def raw_object(self, kind: str, data: bytes) -> str:
        command = ("hash-object", "-t", kind, "-w", "--stdin", "--literally")
        return self.git(*command, data=data).decode().strip()

    def commit_tree(self, tree: str, time: int = TIME) -> str:
        return self.git("commit-tree", "-m", "x", tree, time=time).decode().strip()

    def commit(self, files: Files, *, branch: str = "main", time: int = TIME) -> str:
        """Commit exactly `files`; the id of the commit."""
        stream = [
            b"commit refs/heads/%b\n" % branch.encode(),
            b"committer A <a@example.org> %d +0000\ndata 1\nx\n" % time,
            b"from refs/heads/%b^0\n" % branch.encode() if self._has(branch) else b"",
            b"deleteall\n",
        ]
        for path, content in files.items():
            mode, data = (FILE, content) if isinstance(content, bytes) else content
            name = quoted(path)
            if mode == SUBMODULE:
                stream.append(b"M %b %b %b\n" % (mode.encode(), data, name))
            else:
                stream.append(b"M %b inline %b\n" % (mode.encode(), name))
                stream.append(b"data %d\n%b\n" % (len(data), data))
        self.git("fast-import", "--quiet", "--force", data=b"".join(stream))
        return self.oid(branch)

    def _has(self, branch: str) -> bool:
        return bool(self.git("for-each-ref", f"refs/heads/{branch}"))

    def archive(self, revision: str = "HEAD", *paths: str) -> bytes:
        """The tar that ``git archive`` makes."""
        return self.git("archive", revision, *paths)

    def object_file(self, oid: str) -> Path:
        """Where a loose object lies."""
        git_dir = Path(self.git("rev-parse", "--absolute-git-dir").decode().strip())
        return git_dir / "objects" / oid[:2] / oid[2:]


def left_to_git(repository: GitRepository) -> None:
    """Pack all with an index of an old kind, which nobody but git reads."""
    repository.git("-c", "pack.indexVersion=1", "repack", "-a", "-d", "-q", "--window=0")


def quoted(path: str) -> bytes:
    """A path as fast-import reads it."""
    data = path.encode("utf-8", "surrogateescape")
    return b'"' + b"".join(b"\\%03o" % byte for byte in data) + b'"'


def pointer(oid: str, size: int) -> bytes:
    """A pointer of Git LFS."""
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize %d\n" % (
        oid.encode(),
        size,
    )


def git_tree(
    path: str | os.PathLike[str], revision: str = "HEAD", subdir: str = "", **options: Any
) -> blockpack.Tree:
    """The tree of a directory of a revision, as `scan` gives it."""
    return blockpack.scan(f"git:{os.fspath(path)}@{revision}:{subdir}", **options)
