"""A repository: finding it, and finding a revision in it."""

from __future__ import annotations

import os
import shlex
import subprocess
from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Self

from attrs import frozen

from ...errors import SourceError
from ...formats.git import objects
from ...formats.git.origin import Facts
from ...model.entry import EPOCH, File
from .blobs import Blobs
from .cat_file import CatFile
from .packs import Packs, pack_paths
from .program import OPTIONS, ended, require_version, run

_UNCHANGED = {"GIT_SHALLOW_FILE": os.devnull, "GIT_GRAFT_FILE": os.devnull}
"""Commits have the parents that they name, whatever a repository pretends."""

_MOST_SHOWN = 10  # branches that a message names


@frozen
class Revision:
    """A revision: its `commit` if it has one, its tree, and its time in seconds since 1970."""

    commit: str | None
    tree: str
    seconds: int


@frozen
class Repository:
    """A repository on this machine; `path` is as the user gave it."""

    path: str
    git_dir: str
    common_dir: str
    object_format: str

    @classmethod
    def at(cls, path: str) -> Self:
        """The repository at `path`, bare or not. Raises `SourceError` if there is none."""
        return cls._found(path)[0]

    @classmethod
    def with_object(cls, path: str, revision: str) -> tuple[Self, str]:
        """The repository at `path`, and the id of the object that `revision` names there.

        Raises `SourceError` if there is no such, or if it names both a branch and a tag.
        """
        unknown = SourceError(path, f"has no revision {revision!r}", "fetch it, or name another")
        try:
            name = os.fsencode(revision)
        except UnicodeEncodeError:
            raise unknown from None
        if not name or name.startswith(b"-") or b"\0" in name:
            raise unknown
        repository, told, errors = cls._found(path, "--verify", name)
        if not (len(told) == 1 and objects.is_oid(told[0], repository.oid_size)):
            if name == b"HEAD":
                repository._require_head()
            raise unknown
        if b"is ambiguous" in errors:  # whoever may make tags must not choose for a branch
            rule = f"has both a branch and a tag {revision!r}"
            remedy = f"say refs/heads/{revision} or refs/tags/{revision}"
            raise SourceError(path, rule, remedy)
        return repository, told[0]

    @classmethod
    def _found(cls, path: str, *more: str | bytes) -> tuple[Self, list[str], bytes]:
        """The repository at `path`; and what git says to `more` arguments, and of errors."""
        if not os.path.isdir(path):
            raise SourceError(path, "is not a directory", "give the path of a repository")
        facts = ("--path-format=absolute", "--git-dir", "--git-common-dir", "--show-object-format")
        command: tuple[str | bytes, ...]
        command = ("git", *OPTIONS, "-c", "core.warnAmbiguousRefs=true", "rev-parse", *facts, *more)
        done = run(command, path, path)
        lines = os.fsdecode(done.stdout.removesuffix(b"\n")).split("\n")
        is_told = len(lines) == 3 + bool(more) or (more and len(lines) == 3 and done.returncode)
        if not is_told:  # as one gives that is too old
            require_version(path)
            if done.returncode:
                raise _refused(path, done.returncode, done.stderr)
            raise SourceError(path, "has a line break in its path", "rename the directory")
        git_dir, common_dir, object_format, *told = lines
        # Git looks for a repository above as well.
        here = os.path.realpath(path)
        if os.path.realpath(git_dir) != here and not os.path.lexists(os.path.join(here, ".git")):
            above = os.path.dirname(git_dir) if os.path.basename(git_dir) == ".git" else git_dir
            rule = f"is not a repository, but a directory in {above}"
            raise SourceError(path, rule, "give that path, and this one as SUBDIR")
        if object_format not in objects.OID_SIZES:
            rule = f"has objects of the unknown format {object_format!r}"
            raise SourceError(path, rule, "use a later blockpack")
        return cls(path, git_dir, common_dir, object_format), told, done.stderr

    @property
    def oid_size(self) -> int:
        """Bytes an object id."""
        return objects.OID_SIZES[self.object_format]

    def command(self, *arguments: str | bytes) -> tuple[str | bytes, ...]:
        """The command that has git do something here, without a working tree."""
        return ("git", *OPTIONS, "--git-dir", self.git_dir, "--bare", *arguments)

    def git(
        self, *arguments: str | bytes, data: bytes = b"", more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git here, as `program.run` does it."""
        return run(self.command(*arguments), self.git_dir, self.path, data=data, more=more)

    def told(self, command: str) -> str:
        """What a user would type to have git do `command` here."""
        return f"git -C {shlex.quote(self.path)} {command}"

    @property
    def fsck(self) -> str:
        """What to do about an object that is damaged."""
        return f"look into it: {self.told('fsck')}"

    def objects(self, asked: Mapping[bytes, str]) -> Iterator[tuple[bytes, bytes]]:
        """The kind and the bytes of each object that is `asked` for. Raises `SourceError`."""
        with closing(CatFile.of(self)) as reader:
            for oid, path in asked.items():
                yield reader.object(oid.hex(), path, objects.MOST_BYTES)

    def pack_paths(self) -> list[str]:
        """Its packs, and those that it borrows from, in a fixed order; each has an index."""
        return pack_paths(self.common_dir)

    def facts(self, asked: Mapping[bytes, str]) -> Iterator[tuple[bytes, Facts | SourceError]]:
        """What each object is that is `asked` for; see `CatFile.facts`. Raises `SourceError`."""
        with closing(CatFile.of(self, contents=False)) as reader:
            yield from reader.facts(asked)

    def reachable(self, commit: str) -> frozenset[bytes]:
        """The ids of a commit, all before it, and all that they hold. Raises `SourceError`."""
        done = self.git("rev-list", "--objects", "--no-object-names", commit, more=_UNCHANGED)
        if done.returncode:
            rule = f"its history cannot be read: {ended(done.returncode, done.stderr)}"
            remedy = self.fsck
            if os.path.exists(os.path.join(self.common_dir, "shallow")):
                remedy = f"a shallow clone? Fetch all of it: {self.told('fetch --unshallow')}"
            raise SourceError(self.path, rule, remedy)
        return frozenset(bytes.fromhex(line.decode("ascii")) for line in done.stdout.split())

    def blobs(self, sizes: Mapping[bytes, int], paths: Mapping[bytes, str]) -> list[File]:
        """A file for each blob of these ids and sizes (bytes), by the path that it has."""
        blobs = Blobs(self, Packs(()), [*sizes], 1)
        blobs.places.sizes[:] = array("Q", sizes.values())
        return [
            File(paths.get(oid, self.path), size, blobs, number)
            for number, (oid, size) in enumerate(sizes.items())
        ]

    def peeled(self, oid: str, revision: str, reader: CatFile) -> Revision:
        """The commit or tree that `oid`, named `revision`, is or tags. Raises `SourceError`."""

        def read(each: bytes) -> tuple[bytes, bytes]:
            return reader.object(each.hex(), revision, objects.MOST_BYTES)

        found, kind, data = objects.peeled(bytes.fromhex(oid), read)
        if kind == b"tree":
            return Revision(None, found.hex(), EPOCH)
        if kind != b"commit":
            raise SourceError(self.path, f"{revision!r} is neither a commit nor a tree")
        tree = objects.field(data, b"tree")
        if tree is None or not objects.is_oid(tree, self.oid_size):
            raise SourceError(self.path, f"commit {found.hex()} is not a valid commit", self.fsck)
        return Revision(found.hex(), tree, objects.committed(data))

    def _require_head(self) -> None:
        """Raise `SourceError`: HEAD names a branch that there is not, as may be in a bare one."""
        named = os.fsdecode(self.git("symbolic-ref", "--short", "HEAD").stdout).strip()
        rule = f"its HEAD is the branch {named!r}, which has no commit"
        told = self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").stdout
        branches = os.fsdecode(told).splitlines()
        if not branches:
            raise SourceError(self.path, rule, "commit something, or push to it")
        known = ", ".join(branches[:_MOST_SHOWN]) + (", …" if branches[_MOST_SHOWN:] else "")
        raise SourceError(self.path, rule, f"name one that has: {known}")


def _refused(path: str, code: int, errors: bytes) -> SourceError:
    if b"safe.directory" in errors:
        trust = f"git config --global --add safe.directory {shlex.quote(os.path.realpath(path))}"
        return SourceError(path, "belongs to another user", f"if you trust its owner: {trust}")
    if b"not a git repository" in errors:
        return SourceError(path, "is not a git repository", "give the path of one")
    return SourceError(path, ended(code, errors))
