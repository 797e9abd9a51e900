"""Planning a git object store.

Ids are hashes, so this plan reads contents, unlike those of other formats; and what it deflates
waits in a temporary file. The layout is exact all the same: it can be written, piped and read as
often as one likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from ...arguments import checked
from ...errors import BlockpackError, EntryError, UsageError, raise_problems
from ...model.entry import Directory, decode, encode
from ...model.tree import Tree
from ...planning.layout import Layout, Placement, round_up
from ...planning.options import number_or_word, require_choice
from ...planning.runs import Run, literal, zeros
from ...planning.volume import Volume
from ...reading.inflate import crc_of
from ...workers.processors import Jobs
from . import tree_objects
from .assembly import Assembly
from .container import DOCTEUR, Container, bundle_header, oneffs_header
from .deflate import AUTO_LEVEL, Compression
from .index import pack_index
from .new_commit import NewCommit
from .objects import OID_SIZES, ObjectFormat, encode_commit, object_id
from .pack_format import BLOB, object_header, stored_size

if TYPE_CHECKING:
    from .kept_commit import KeptCommit

AUTHOR = "blockpack <blockpack@localhost>"
MESSAGE = "Packed by blockpack"
"""The author and the text of commits without others."""

FILLER = b"This blob makes the bundle a whole number of sectors. "


def _compression(value: str | int) -> Compression:
    """A compression option: ``auto``, or 0 to 9. Raises `UsageError`."""
    require_choice("compression", str(value), ("auto", *map(str, range(10))))
    level: Compression = number_or_word(value)
    return level


@checked
@frozen(kw_only=True)
class GitVolume(Volume):
    """A commit, its trees and its blobs as an image.

    `container` is what is around the pack of them: ``docteur`` for MirageOS, ``bundle`` for any
    git, ``pack`` for git-kv, with `oneffs` in a OneFFS. `compression` is the level of deflating, 0
    (store everything) to 9; ``auto`` is 4. `object_format` is ``sha1`` or ``sha256``.
    `message`, `author` (``NAME <EMAIL>``) and `branch` are the commit's; its time is `epoch`, or,
    by the `mtime` rule, that of the newest file.

    A tree that is just what a commit of a repository holds keeps that commit, id and all, unless
    `message` or `author` say otherwise; with `history`, all that came before it as well.
    """

    format: ClassVar[str] = "git"
    sizing: ClassVar[tuple[str, ...]] = (
        *Volume.sizing,
        *("container", "oneffs", "object_format", "branch", "history"),
    )

    container: Container = "docteur"
    compression: Compression = field(default="auto", converter=_compression)
    object_format: ObjectFormat = "sha1"
    message: str | None = None
    author: str | None = None
    branch: str = "main"
    oneffs: bool = False
    history: bool = False

    def refusals(self) -> Iterator[UsageError]:
        """Which options are wrong, or do not go together, or are nothing for the profile."""
        yield from super().refusals()
        if self.object_format != "sha1" and self.container == "docteur":
            yield UsageError("", "docteur knows SHA-1 alone", option="container=bundle")
        yield from self.unread("object_format", self.profile.git.object_formats, "ids of {}")
        if self.oneffs and self.container != "pack":
            yield UsageError("", "a OneFFS holds a pack", option="container=pack")
        if self.container != "pack" and (self.size is not None or self.free is not None):
            rule = f"a {self.container} ends with its content"
            yield UsageError("", rule, "leave size and free out")
        if not 0 <= self.epoch < 1 << 40:
            rule = f"git has no commit of the time {self.epoch}"
            yield UsageError("", rule, "set SOURCE_DATE_EPOCH to another")
        if self.author is not None and not _is_author(self.author):
            yield UsageError("", f"{self.author!r} is not an author", "give NAME <EMAIL>")
        if not _is_branch(self.branch):
            rule = f"git takes no branch of the name {self.branch!r}"
            yield UsageError("", rule, "give another one")
        if "\0" in (self.message or "") or not _is_text(self.message or ""):
            yield UsageError("", "a commit's message is UTF-8 and holds no NUL", "give another one")
        if self.history and self.container == "pack":
            bundle = "" if self.oneffs else "container=bundle"
            rule = "a pack for git-kv holds one commit"
            yield UsageError("", rule, "leave the history out", bundle)

    def plan(self, tree: Tree, *, jobs: Jobs = 1) -> Layout:
        """The layout of the image of a commit of `tree`. Reads the contents of all files, by
        `jobs` processes where that pays.

        Raises `Problems` with all that git or the profile cannot hold, `SourceError` for a source
        that cannot be read, and `TargetError` if the temporary file cannot be written.
        """
        refused = "this tree does not fit a git repository"
        found: list[BlockpackError] = [*tree_objects.refusals(tree, self)]
        kept = None
        try:
            kept = self._kept(tree, jobs)
        except EntryError as error:
            found.append(error)
        raise_problems(refused, found)
        pack, commit = self._packed(kept or NewCommit(self, tree, jobs))
        runs, end = self._runs(pack, commit)
        size = self.size_for(end, (), refused)
        entries = tuple(tree)  # as they are now: whoever has the tree may change it
        return Layout(
            format=self.format,
            title=f"git ({'oneffs' if self.oneffs else self.container})",
            runs=(*runs, zeros(end, size, free=self.container == "pack")),
            sector_size=self.sector_size,
            geometry={
                "container": "oneffs" if self.oneffs else self.container,
                "commit": commit.hex(),
                "objects": len(pack.oids),
                "pack_offset": runs[0].end if len(runs) > 1 else 0,
                "pack_size": pack.size,
            },
            warnings=tuple(tree_objects.warnings(tree, self.profile.git)),
            placements=lambda: (Placement(entry, None) for entry in entries),
            layer_refused=self.layer_refused,
            forkable=tree.forkable,
        )

    @property
    def layer_refused(self) -> UsageError | None:
        """docteur opens its device by itself."""
        if self.container != "docteur":
            return None
        rule = "docteur opens its device by itself, and reads no encrypted image"
        return UsageError("", rule, option="container=pack")

    @property
    def level(self) -> int:
        """The level of deflating, 0 to 9."""
        return AUTO_LEVEL if self.compression == "auto" else self.compression

    def _packed(self, source: KeptCommit | NewCommit) -> tuple[Assembly, bytes]:
        in_bundle = self.container == "bundle"
        assembly = Assembly(source.count + in_bundle, self.level, self.object_format)
        commit = source.add_to(assembly)
        if in_bundle:
            self._fill(assembly, len(bundle_header(commit, self.branch, self.object_format)))
        assembly.finish()
        return assembly, commit

    @property
    def anew(self) -> bool:
        """Whether what repositories have packed is to be packed anew: if a level is asked for."""
        return self.compression != "auto"

    def _kept(self, tree: Tree, jobs: Jobs) -> KeptCommit | None:
        """The commit that `tree` is; None if a new one is to be made."""
        kept = None
        if tree.origin is not None and self.message is None and self.author is None:
            from .kept_commit import KeptCommit  # what reads repositories is not always needed

            kept = KeptCommit.of(self, tree, jobs)
        if kept is None:
            if self.history:
                rule = "there is no history: the tree is not just what a commit holds"
                raise EntryError("", rule, "name a commit, leave nothing out, and give no message")
            return None
        if self.container == "bundle" and kept.has_parents and not self.history:
            rule = "the commit has parents, and git clones no bundle without them"
            remedy = "give a message to do without, or take them along: {option}"
            raise EntryError("", rule, remedy, "history")
        return kept

    def encoded_commit(self, tree: Tree, oid: bytes) -> bytes:
        """The bytes of a commit of the tree `oid` (raw), of the newest time that `mtime` shows."""
        times = (self.seconds(entry) for entry in tree if not isinstance(entry, Directory))
        newest = max(times, default=self.epoch) if self.mtime != "fixed" else self.epoch
        seconds = max(newest, 0)  # git has none before
        return encode_commit(oid, self.author or AUTHOR, seconds, self.message or MESSAGE)

    def _fill(self, assembly: Assembly, before: int) -> None:
        """Add a blob that nothing refers to: so a bundle, of that header, ends with a sector."""
        end = before + assembly.size + OID_SIZES[self.object_format]
        for size in _filler_sizes(-end % self.pad, self.pad):
            filler = (FILLER * (size // len(FILLER) + 1))[:size]
            if object_id(BLOB, filler, self.object_format) not in assembly.oids:
                assembly.add_object(BLOB, filler, level=0)
                return

    def _runs(self, pack: Assembly, commit: bytes) -> tuple[list[Run], int]:
        """The runs of the container, and where they end."""
        if self.container == "docteur":
            offset = DOCTEUR.size
            end = offset + pack.size
            index_offset = round_up(end, self.pad)
            index = pack_index(
                pack.oids, pack.crcs, pack.offsets, pack.checksum, self.object_format
            )
            return [
                literal(0, DOCTEUR.pack_all(commit, index_offset)),
                pack.run(offset),
                zeros(end, index_offset),
                literal(index_offset, index),
            ], index_offset + len(index)
        header = b""
        if self.container == "bundle":
            header = bundle_header(commit, self.branch, self.object_format)
        elif self.oneffs:
            with Layout(format="pack", runs=(pack.run(0),), sector_size=1).open() as file:
                crc = crc_of(iter(lambda: file.read(1 << 20), b""))
            header = oneffs_header(pack.size, crc, self.sector_size)
        runs = [literal(0, header)] if header else []
        return [*runs, pack.run(len(header))], len(header) + pack.size


def _filler_sizes(missing: int, pad: int) -> Iterator[int]:
    """Sizes of blobs that, stored, take `missing` bytes or that many and whole `pad`s."""
    target = missing
    while True:
        for size in range(max(0, target - target // 1000 - 32), target):
            if len(object_header(BLOB, size)) + stored_size(size) == target:
                yield size
        target += pad


def _is_author(author: str) -> bool:
    found = re.fullmatch(r"[^<>\n\0]*[^<>\s\0] <[^<>\s\0]+>", author)
    return found is not None and _is_text(author)


def _is_text(text: str) -> bool:
    """Whether bytes stand for `text`."""
    try:
        return decode(encode(text)) == text
    except UnicodeEncodeError:
        return False


def _is_branch(branch: str) -> bool:
    """Whether git takes a branch of that name (git-check-ref-format(1)), as files, too."""
    parts = branch.split("/")
    return (
        branch.isprintable()
        and not set(branch) & set(" ~^:?*[\\")
        and not any(bad in branch for bad in ("..", "@{"))
        and not branch.startswith("-")
        and branch not in ("@", "HEAD")
        and len(encode(branch)) <= 1000
        and max(len(encode(part)) for part in parts) <= 250
        and all(part and part[0] != "." and not part.endswith((".", ".lock")) for part in parts)
    )
