"""The very same commit: a tree that is just what a commit holds keeps its commit's id.

Nothing is hashed or deflated then: git has the objects packed, and packs them together as they are
(git-pack-objects(1)). Deltas that are there are taken along. New ones are not looked for: that
takes long, and what is found depends on the number of processors.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from pathlib import Path

from attrs import frozen

from ..entry import File, Symlink, encode
from ..errors import SourceError
from ..profile import GitLimits
from ..sources.git.blobs import Blob
from ..sources.git.cat_file import CatFile
from ..sources.git.program import ended, run
from ..sources.git.repository import Repository
from ..tree import Tree
from . import members
from .assembly import Pack, Stretch
from .index import PackIndex
from .objects import MOST_BYTES, field, object_id
from .pack import BLOB, KINDS
from .spool import Spool


@frozen
class KeptCommit:
    """A commit (its id, raw) whose tree is to be packed as it is, and the ids of all below it."""

    repository: Repository
    oid: bytes
    oids: frozenset[bytes]
    has_parents: bool

    @classmethod
    def of(cls, tree: Tree, limits: GitLimits, object_format: str) -> KeptCommit | None:
        """The commit that `tree` is, entry by entry; None if it is none, or not any more.

        Raises `SourceError`.
        """
        origin = tree.origin
        if origin is None or origin.commit is None or origin.object_format != object_format:
            return None
        ids = _ids(tree, object_format)
        if ids is None:
            return None
        repository = Repository.at(origin.repository)
        reader = CatFile(repository)
        try:
            _, data = reader.object(origin.commit, origin.commit, MOST_BYTES)
        finally:
            reader.close()
        *below, root = members.trees(tree, ids, limits, object_format)
        if field(data, b"tree") != root.hex():
            return None
        commit = bytes.fromhex(origin.commit)
        oids = frozenset((commit, root, *below, *ids.values()))
        return cls(repository, commit, oids, b"\nparent " in data.partition(b"\n\n")[0])

    def pack(self, *, history: bool) -> Pack:
        """The pack of the commit and all below it, or with `history` of all before it, too.

        Raises `SourceError` and `TargetError`.
        """
        with tempfile.TemporaryDirectory(prefix="blockpack-", ignore_cleanup_errors=True) as into:
            path = os.path.join(into, f"pack-{self._packed(into, history)}")
            os.chmod(f"{path}.pack", 0o600)  # git makes it read-only
            spool = Spool(f"{path}.pack")
            index = PackIndex(Path(f"{path}.idx").read_bytes(), self.repository.object_format)
        order = sorted(range(len(index.oids)), key=index.offsets.__getitem__)
        return Pack(
            size=spool.size,
            checksum=index.pack_checksum,
            oids=[index.oids[number] for number in order],
            crcs=array("I", (index.crcs[number] for number in order)),
            offsets=array("Q", (index.offsets[number] for number in order)),
            items=[Stretch(0, spool.size)],
            starts=[0],
            spool=spool,
        )

    def _packed(self, directory: str, history: bool) -> str:
        """Have git write a pack and its index into `directory`; their name."""
        repository = self.repository
        options = ["-q", "--delta-base-offset", "--window=0", "--threads=1"]
        wanted = [*sorted(self.oids - {self.oid}), self.oid]
        if history:
            options.append("--revs")
            wanted = [self.oid]
        done = run(
            repository.command("pack-objects", *options, os.path.join(directory, "pack")),
            repository.git_dir,
            repository.path,
            data=b"".join(oid.hex().encode("ascii") + b"\n" for oid in wanted),
        )
        if done.returncode:
            rule = f"its objects cannot be packed: {ended(done.returncode, done.stderr)}"
            remedy = f"look into it: {repository.told('fsck')}"
            raise SourceError(repository.path, rule, remedy)
        return done.stdout.decode("ascii").strip()


def _ids(tree: Tree, object_format: str) -> dict[str, bytes] | None:
    """The id of each file and link by path, as the repository has it; None if one has none."""
    ids = {}
    for entry in tree:
        if isinstance(entry, Symlink):
            ids[entry.path] = object_id(KINDS[BLOB], encode(entry.target), object_format)
        elif isinstance(entry, File):
            if not isinstance(entry.content, Blob):  # Git LFS has it
                return None
            ids[entry.path] = bytes.fromhex(entry.content.oid)
    return ids
