"""Manifests: the digests are those of the files and of the image, by one look at each source."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.images.contents import manifest
from property.strategies import (
    DirectoryNode,
    FileNode,
    HardLinkNode,
    Spec,
    fat_names,
    fold,
    materialise,
    specs,
    unix_names,
)

VOLUMES = (blockpack.TarVolume(), blockpack.TarVolume(align=512), blockpack.FatVolume())


def data_of(spec: Spec, path: str) -> bytes:
    node = spec[path]
    if isinstance(node, HardLinkNode):
        return data_of(spec, node.path)
    assert isinstance(node, FileNode)
    return node.contents.data()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def without_links(spec: Spec) -> Spec:
    """What FAT holds of it."""
    return {p: n for p, n in spec.items() if isinstance(n, FileNode | DirectoryNode | HardLinkNode)}


def check(layout: blockpack.Layout, spec: Spec, image: bytes) -> None:
    found = manifest(layout)
    assert found["sha256"] == digest(image)
    files = {entry["path"]: entry for entry in found["entries"] if entry["kind"] == "file"}
    assert files.keys() == {
        path for path, node in spec.items() if isinstance(node, FileNode | HardLinkNode)
    }
    for path, entry in files.items():
        data = data_of(spec, path)
        assert entry["sha256"] == digest(data), path
        start = entry["offset"] or 0
        assert image[start : start + entry["size"]] == data


@given(spec=specs(fat_names, key=fold, links=True), volume=st.sampled_from(VOLUMES))
def test_digests_are_those_of_each_file_and_of_the_image(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, volume: blockpack.Volume
) -> None:
    directory = tmp_path_factory.mktemp("manifest")
    if volume.format == "fat":
        spec = without_links(spec)
    (directory / "source").mkdir()
    materialise(spec, directory / "source")
    layout = volume.plan(blockpack.scan(directory / "source"))
    blockpack.write(layout, directory / "image")
    check(layout, spec, (directory / "image").read_bytes())


@given(spec=specs(unix_names, links=True))
def test_digests_are_under_any_names_that_tar_holds(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec
) -> None:
    directory = tmp_path_factory.mktemp("manifest")
    (directory / "source").mkdir()
    materialise(spec, directory / "source")
    layout = blockpack.TarVolume().plan(blockpack.scan(directory / "source"))
    blockpack.write(layout, directory / "image")
    check(layout, spec, (directory / "image").read_bytes())


def test_pieces_that_overlap_have_each_its_own_digest() -> None:
    """No format of ours makes such a layout: a file, its first half, its second, and nothing."""
    from blockpack.planning.layout import Layout, Placement
    from blockpack.planning.runs import Run

    data = os.urandom(3 << 20)
    places = [("all", 0, 3 << 20), ("first", 0, 1 << 20), ("last", 5000, (3 << 20) - 5000)]
    places += [("end", (3 << 20) - 1, 1), ("nothing", 0, 0), ("again", 5000, 100)]
    entries = [
        (blockpack.File(name, size, Counted({}), name), offset if size else None)
        for name, offset, size in places
    ]
    layout = Layout(
        format="x",
        runs=(Run.of(blockpack.Data(0, data)),),
        sector_size=512,
        placements=lambda: (Placement(entry, offset) for entry, offset in entries),
    )
    found = {entry["path"]: entry["sha256"] for entry in manifest(layout)["entries"]}
    assert found == {name: digest(data[at : at + size]) for name, at, size in places}
    assert manifest(layout)["sha256"] == digest(data)


class Counted:
    """A store of contents in memory, of which each byte that is read is counted."""

    forkable: ClassVar[bool] = True

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.opened: list[str] = []
        self.read: dict[str, int] = {}

    def extent(self, file: blockpack.File, offset: int) -> blockpack.Stream:
        return blockpack.Stream(offset, file.size, self, file.key, file.path)

    def identity(self, key: Hashable) -> Hashable:
        return self.contents[str(key)]

    def open(self, key: Hashable, name: str) -> io.BytesIO:
        path = str(key)
        self.opened.append(path)
        counted = self

        class Source(io.BytesIO):
            def read(self, most: int | None = -1, /) -> bytes:
                data = super().read(most)
                counted.read[path] = counted.read.get(path, 0) + len(data)
                return data

        return Source(self.contents[path])


SIZES = {"empty": 0, "one": 1, "small": 700, "a/medium": 70_000, "a/b/large": 3_000_000}


@pytest.mark.parametrize("volume", VOLUMES, ids=repr)
def test_each_stream_is_opened_and_read_once(volume: blockpack.Volume) -> None:
    contents = Counted({path: os.urandom(size) for path, size in SIZES.items()})
    tree = blockpack.Tree()
    for path, size in SIZES.items():
        tree.put(blockpack.File(path, size, contents, path))
    found = manifest(volume.plan(tree))
    assert sorted(contents.opened) == sorted(path for path, size in SIZES.items() if size)
    assert contents.read == {path: size for path, size in SIZES.items() if size}
    for entry in found["entries"]:
        if entry["kind"] == "file":
            assert entry["sha256"] == digest(contents.contents[entry["path"]])


@pytest.mark.parametrize("volume", VOLUMES, ids=repr)
def test_each_byte_of_a_source_is_read_once(
    tmp_path: Path, volume: blockpack.Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, size in SIZES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(os.urandom(size))
    os.link(tmp_path / "a/medium", tmp_path / "z")
    layout = volume.plan(blockpack.scan(tmp_path))
    really_preadv, count = os.preadv, 0

    def reading(*arguments: Any) -> int:
        nonlocal count
        done = really_preadv(*arguments)
        count += done
        return done

    monkeypatch.setattr(os, "preadv", reading)
    manifest(layout)
    copies = 2 if volume.format == "fat" else 1
    assert count == sum(SIZES.values()) + (copies - 1) * SIZES["a/medium"]
