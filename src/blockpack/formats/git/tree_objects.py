"""What git keeps of a tree: names, file modes, and no empty directories.

Rule 1: of permission bits git keeps whether a file's owner may execute it.
Rule 2: a directory is there because something is in it; one without a file or a link is left out.
Rule 3: what git itself would not check out is refused, and a tree that the reader would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ...errors import EntryError
from ...model.entry import Directory, Entry, File, Symlink, encode, name_of
from ...model.tree import Tree
from ...planning.layout import LayoutWarning
from ...planning.profile import GitLimits
from . import pack_format
from .objects import EXECUTABLE, FILE, LINK, OID_SIZES, TREE, encode_tree, object_id
from .refused_names import refused, refused_link
from .store import MOST_META

if TYPE_CHECKING:
    from .volume import GitVolume

_BESIDE_NAME = len(b"100644 \0")
"""Bytes of a tree's entry besides its name and its object id, at most."""


def mode_of(entry: Entry, limits: GitLimits) -> int:
    """The mode that stands for `entry` in its tree."""
    if type(entry) is File:
        return EXECUTABLE if entry.mode & 0o100 and limits.executables else FILE
    return TREE if type(entry) is Directory else LINK


MOST_PATH = 4096
"""The most bytes of a path, and of a link's target. No system has longer ones."""


def refusals(tree: Tree, volume: GitVolume) -> Iterator[EntryError]:
    """What keeps entries of `tree` out of a repository, or from the profile's reader."""
    limits = volume.profile.git
    yield from _too_large(tree, OID_SIZES[volume.object_format])
    for entry in tree:
        is_link = type(entry) is Symlink
        path = entry.path
        if rule := _too_long(entry):
            yield EntryError(path, rule, "shorten or exclude it")
            continue
        if not is_link and path.isascii() and "git" not in path.lower():
            continue  # nearly all names: no part of a path is one that git refuses
        name = encode(name_of(path))
        rule = refused(name) or (refused_link(name) if is_link else None)
        if rule is not None:
            yield EntryError(entry.path, rule, "rename or exclude it")
        if not limits.symlinks and is_link:
            rule = "is a symbolic link, which the profile's reader does not list"
            yield EntryError(entry.path, rule, "skip links", "symlinks=follow")


def _too_long(entry: Entry) -> str | None:
    """What is too long of an entry for whoever reads it, if anything is."""
    if len(entry.path) > MOST_PATH // 4 and len(encode(entry.path)) > MOST_PATH:
        return f"its path has more than {MOST_PATH:,} bytes, more than any system takes"
    if type(entry) is Symlink and len(encode(entry.target)) > MOST_PATH:
        return f"it links to a path of more than {MOST_PATH:,} bytes, more than any system takes"
    return None


def _too_large(tree: Tree, oid_size: int) -> Iterator[EntryError]:
    """Directories whose trees would be larger than one that is read."""
    most_names = MOST_META // (MOST_PATH + _BESIDE_NAME + oid_size)
    for path, children in tree.directories():
        if len(children) <= most_names:
            continue
        prefix = len(path) + 1 if path else 0
        size = sum(len(encode(child.path[prefix:])) for child in children)
        size += len(children) * (_BESIDE_NAME + oid_size)
        if size > MOST_META:
            rule = f"its {len(children):,} entries make a tree of more than {MOST_META:,} bytes"
            yield EntryError(path, rule, "spread them over more directories, or exclude some")


def warnings(tree: Tree, limits: GitLimits) -> Iterator[LayoutWarning]:
    """What a user should hear of."""
    for path, children in tree.directories():
        if path and not children:
            text = "git keeps no empty directories; it is left out"
            yield LayoutWarning(path, "empty-directory", text)
        for entry in children:
            if isinstance(entry, File) and limits.large_blob and entry.size >= limits.large_blob:
                text = f"{entry.size:,} bytes; the profile's reader holds it in memory, twice"
                yield LayoutWarning(entry.path, "large-file", text)


def trees(tree: Tree, blobs: Mapping[str, bytes], volume: GitVolume) -> dict[bytes, bytes]:
    """The bytes of each tree by its id, the root's last; `blobs` are ids of others by path."""
    found: dict[bytes, bytes] = {}
    ids, limits = dict(blobs), volume.profile.git
    for path, children in reversed(list(tree.directories())):
        prefix = len(path) + 1 if path else 0
        entries = [
            (b"%o" % mode_of(child, limits), encode(child.path[prefix:]), ids[child.path])
            for child in children
            if child.path in ids
        ]
        if entries or not path:
            data = encode_tree(entries)
            ids[path] = oid = object_id(pack_format.TREE, data, volume.object_format)
            found.pop(oid, None)  # the root comes last, even if it is the same as another
            found[oid] = data
    return found
