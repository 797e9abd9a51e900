"""Whole trees, committed by git: what is packed of them is what git itself would archive."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

import blockpack
from property.strategies import (
    Contents,
    DirectoryNode,
    FileNode,
    HardLinkNode,
    Node,
    Spec,
    SymlinkNode,
    git_names,
    specs,
)
from repositories import EXECUTABLE, FILE, LINK, GitRepository, git_tree

trees = specs(git_names, links=True, most_units=1500)

Members = dict[str, tuple[str, int, int, str, bytes]]
"""Path → kind, permission bits, time, target and bytes."""


def committable(spec: Spec) -> dict[str, Any]:
    """The files of a tree as git has them: each name of a hard link is a file."""
    files: dict[str, Any] = {}
    for path, node in spec.items():
        origin: Node = spec[node.path] if isinstance(node, HardLinkNode) else node
        if isinstance(origin, SymlinkNode):
            files[path] = LINK, os.fsencode(origin.target)
        elif isinstance(origin, FileNode):
            files[path] = EXECUTABLE if origin.executable else FILE, origin.contents.data()
    return files


def members(archive: bytes) -> Members:
    found: Members = {}
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8") as file:
        for member in file:
            data = file.extractfile(member) if member.isreg() else None
            kind = {b"0": "file", b"5": "directory", b"2": "link"}[member.type]
            mode = 0o755 if member.mode & 0o100 else 0o644
            found[member.name] = (
                *(kind, 0 if kind == "link" else mode, int(member.mtime), member.linkname),
                data.read() if data is not None else b"",
            )
    return found


@given(
    spec=trees,
    object_format=st.sampled_from(("sha1", "sha256")),
    packing=st.sampled_from(("loose", "packed", "repacked")),
    seconds=st.integers(0, 2**33 - 1),
    jobs=st.sampled_from((1, 2)),
)
@example(
    spec={"a": DirectoryNode(), "a/b": FileNode(Contents(5, 1)), "a.b": FileNode(Contents(0, 0))},
    object_format="sha1",
    packing="loose",
    seconds=0,
    jobs=1,
)
@settings(max_examples=max(10, settings().max_examples // 2))
def test_an_image_of_a_commit_is_what_git_archives(
    spec: Spec, object_format: str, packing: str, seconds: int, jobs: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        repository = GitRepository.init(
            place / "r.git", "--bare", f"--object-format={object_format}"
        )
        limit = "100000" if packing == "loose" else "1"
        repository.git("config", "fastimport.unpackLimit", limit)
        files = committable(spec)
        repository.commit(files, time=seconds)
        if packing == "repacked":
            repository.git("repack", "-a", "-d", "-f", "-q")
        tree = git_tree(repository.path)
        layout = blockpack.TarVolume(mtime="keep", align=512).plan(tree)
        blockpack.write(layout, place / "x.tar", jobs=jobs)
        found = members((place / "x.tar").read_bytes())
        # Of an empty archive with a comment, tarfile says that it is none.
        assert found == (members(repository.archive()) if files else {})
        for path, content in files.items():
            mode, data = content
            assert found[path][4] == (b"" if mode == LINK else data)
        assert {entry.path for entry in tree} == set(found)
        blockpack.write(layout, place / "again.tar")
        assert (place / "again.tar").read_bytes() == (place / "x.tar").read_bytes()
