"""Whole trees, as hypothesis makes them.

A tree to be is a `Spec`: each path with its `Node`. `tree_of` adds one to a `Tree` from memory,
`materialise` makes it on disk, for a scan.
"""

from __future__ import annotations

import os
import random
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

import blockpack

EPOCH = 315_532_800  # 1980-01-01
LAST = 4_354_819_198  # 2107-12-31 23:59:58
NANOSECONDS = 10**9


@dataclass(frozen=True)
class Contents:
    """`size` bytes that follow from a seed; zeros for the seed 0."""

    size: int
    seed: int

    def data(self) -> bytes:
        """The bytes."""
        return random.Random(self.seed).randbytes(self.size) if self.seed else bytes(self.size)


@dataclass(frozen=True)
class FileNode:
    """A file."""

    contents: Contents
    mtime: int = EPOCH
    executable: bool = False


@dataclass(frozen=True)
class DirectoryNode:
    """A directory."""

    mtime: int = EPOCH


@dataclass(frozen=True)
class SymlinkNode:
    """A symbolic link."""

    target: str
    mtime: int = EPOCH


@dataclass(frozen=True)
class HardLinkNode:
    """One more name of the file `path`."""

    path: str


Node = FileNode | DirectoryNode | SymlinkNode | HardLinkNode
Spec = Mapping[str, Node]

BOUNDARIES = (0, 1, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 8192, 65535, 65536, 65537)
"""Sizes at which something changes: blocks, clusters, alignment."""

contents = st.builds(
    Contents,
    st.sampled_from(BOUNDARIES) | st.integers(0, 20_000),
    st.integers(0, 3),
)


def times(first: int, last: int) -> st.SearchStrategy[int]:
    """Times in seconds since 1970."""
    return st.sampled_from((first, last)) | st.integers(first, last)


def fold(name: str) -> str:
    """`name` for readers that know no case."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in name)


# Names that FAT holds --------------------------------------------------------------------------

_FAT_CHARACTERS = st.characters(
    exclude_categories=["Cs"], exclude_characters='"*/:<>?\\|' + "".join(map(chr, range(32)))
)
_ASCII = "ABCabc012 .,;=+[]~!#$%&'()-@^_`{}"
_SHORTISH = st.from_regex(r"[A-Z0-9_~!]{1,8}(\.[A-Z0-9]{1,3})?", fullmatch=True)
_NUMBERED = st.builds(
    lambda stem, number, extension: f"{stem[: 8 - len(number)]}{number}{extension}",
    st.sampled_from(("LONGNAME", "longname", "AB", "_")),
    st.integers(1, 12).map(lambda number: f"~{number}"),
    st.sampled_from(("", ".TXT", ".txt")),
)
_COLLIDING = st.builds(
    lambda number, extension: f"long name {number}{extension}",
    st.integers(0, 40),
    st.sampled_from(("", ".txt", ".text", ".TXT")),
)
_OF_LENGTH = st.builds(
    lambda length, character: (character * length)[: 255 // len(character.encode())],
    st.sampled_from((12, 13, 14, 25, 26, 27, 39, 254, 255)),
    st.sampled_from("aZé€😀"),
)


def is_fat_name(name: str) -> bool:
    """Whether FAT holds `name`, and judges can copy it to a file system of ours."""
    return (
        0 < len(name.encode("utf-16-le")) // 2 <= 255
        and len(name.encode()) <= 255
        and name[-1] not in " ."
        and name[0] != " "
        and "\uffff" not in name  # what fills up a long name
    )


fat_names = st.one_of(
    st.text(_FAT_CHARACTERS, min_size=1, max_size=20),
    st.text(_ASCII, min_size=1, max_size=16),
    _SHORTISH,
    _NUMBERED,
    _COLLIDING,
    _OF_LENGTH,
).filter(is_fat_name)

ascii_fat_names = st.one_of(
    st.text(_ASCII, min_size=1, max_size=16), _SHORTISH, _NUMBERED, _COLLIDING
).filter(is_fat_name)

mirage_fat_names = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_.-]{0,38}[a-z0-9]", fullmatch=True),
    st.from_regex(r"[A-Z0-9_]{1,8}(\.[A-Z0-9]{1,3})?", fullmatch=True),
    st.integers(1, 60).map(lambda length: "x" * length),
    st.sampled_from(("a b.txt", "MixedCase.Txt", "archive.tar.gz", "[x]=1,2;+.c")),
)

# Names that tar holds --------------------------------------------------------------------------


def is_unix_name(name: str) -> bool:
    """Whether `name` can be one part of a path, and bsdtar does not take it for Windows' root."""
    at_root = name.startswith("\\") or name[1:2] == ":"
    return name not in ("", ".", "..") and len(os.fsencode(name)) <= 255 and not at_root


_LONG = st.integers(90, 255).map(lambda length: "n" * length)
_ODD = (" ", "-rf", "...", "a\nb", "%s", "~", "\x7f", "=", "a\\b", "é", "e\u0301")

unix_names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), max_size=20),
    st.binary(min_size=1, max_size=20)
    .map(os.fsdecode)
    .filter(lambda name: not {"/", "\0"} & {*name}),
    _LONG,
    st.sampled_from(_ODD),
).filter(is_unix_name)

# Printable ones, made so rather than chosen from all: most of those would be thrown away.
_PRINTABLE = st.characters(
    exclude_categories=["C", "Z"], include_characters=" ", exclude_characters="/"
)
utf8_names = st.one_of(
    st.text(_PRINTABLE, min_size=1, max_size=20),
    _LONG,
    st.sampled_from([name for name in _ODD if name.isprintable()]),
).filter(is_unix_name)

# Names that git holds --------------------------------------------------------------------------


def is_far_from_git(name: str) -> bool:
    """Whether `name` is surely none that git has for itself."""
    seen = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return not any(part in seen.casefold() for part in ("git", "gi7"))


git_names = unix_names.filter(is_far_from_git)

# Trees -----------------------------------------------------------------------------------------

_EPOCH = st.just(EPOCH)


@st.composite
def specs(
    draw: st.DrawFn,
    names: st.SearchStrategy[str],
    *,
    key: Callable[[str], str] = lambda name: name,
    times: st.SearchStrategy[int] = _EPOCH,
    links: bool = False,
    most_units: int = 256,
) -> dict[str, Node]:
    """Trees of up to five levels; no two names of a directory are alike by `key`."""
    spec: dict[str, Node] = {}
    files: list[str] = []
    pending = [("", 0)]
    while pending:
        above, depth = pending.pop()
        for name in draw(st.lists(names, max_size=6 if depth else 10, unique_by=key)):
            path = f"{above}/{name}" if above else name
            if len(path.encode("utf-16-le", "surrogatepass")) // 2 > most_units:
                continue
            kind = draw(st.integers(0, 9))
            if kind < 3 and depth < 5:
                spec[path] = DirectoryNode(draw(times))
                pending.append((path, depth + 1))
            elif links and kind == 3:
                target = draw(names | st.sampled_from(("../x", "/etc/passwd", "t" * 150)))
                spec[path] = SymlinkNode(target, draw(times))
            elif links and kind == 4 and files:
                spec[path] = HardLinkNode(draw(st.sampled_from(files)))
            else:
                spec[path] = FileNode(draw(contents), draw(times), draw(st.booleans()))
                files.append(path)
    return spec


def tree_of(spec: Spec) -> blockpack.Tree:
    """A tree that holds everything in memory. Hard links can only be scanned."""
    tree = blockpack.Tree()
    for path, node in spec.items():
        if isinstance(node, DirectoryNode):
            tree.mkdir(path, mtime_ns=node.mtime * NANOSECONDS)
        elif isinstance(node, SymlinkNode):
            tree.symlink(path, node.target, mtime_ns=node.mtime * NANOSECONDS)
        else:
            assert isinstance(node, FileNode)
            mode = 0o755 if node.executable else 0o644
            mtime_ns = node.mtime * NANOSECONDS
            tree.add(path, node.contents.data(), mode=mode, mtime_ns=mtime_ns)
    return tree


def materialise(spec: Spec, root: Path) -> None:
    """Make the tree on disk, under the empty directory `root`."""
    top = os.fsencode(root)
    for path, node in spec.items():
        at = os.path.join(top, os.fsencode(path))
        if isinstance(node, DirectoryNode):
            os.mkdir(at)
        elif isinstance(node, SymlinkNode):
            os.symlink(os.fsencode(node.target), at)
            os.utime(at, (node.mtime, node.mtime), follow_symlinks=False)
        elif isinstance(node, HardLinkNode):
            os.link(os.path.join(top, os.fsencode(node.path)), at)
        else:
            with open(at, "wb") as file:
                file.write(node.contents.data())
            os.chmod(at, 0o755 if node.executable else 0o644)
            os.utime(at, (node.mtime, node.mtime))
    for path in sorted(spec, reverse=True):
        node = spec[path]
        if isinstance(node, DirectoryNode):
            os.utime(os.path.join(top, os.fsencode(path)), (node.mtime, node.mtime))
