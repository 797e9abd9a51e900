"""The digest of a tree is the same in every format, and what a shell makes of the files."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

import blockpack
from faults.rendering import rendered
from pages import DOCS
from property import strategies
from property.strategies import HardLinkNode

FORMULA = (
    "{ find . -type f -exec sha256sum -z {} +; find . -type l -printf '%p//%l\\0'; }"
    " | LC_ALL=C sort -z | sha256sum"
)


_NAMES = strategies.fat_names.filter(strategies.is_far_from_git)


def by_shell(directory: str | Path) -> str:
    """The digest of the tree in a directory, by the formula of docs/manifest.md."""
    done = subprocess.run(["sh", "-c", FORMULA], cwd=directory, capture_output=True, check=True)
    assert not done.stderr
    return done.stdout.decode().split()[0]


def digest_of(image: bytes) -> str:
    with blockpack.open_image(image) as opened:
        found: str = blockpack.contents(opened)["tree_sha256"]
        return found


def test_the_page_has_the_formula() -> None:
    assert FORMULA in (DOCS / "manifest.md").read_text("utf-8")


@given(spec=strategies.specs(_NAMES, key=strategies.fold, most_units=200))
def test_it_is_the_same_in_every_format(spec: strategies.Spec) -> None:
    tree = strategies.tree_of(spec)
    volumes = (blockpack.TarVolume(), blockpack.FatVolume(), blockpack.GitVolume(container="pack"))
    layouts = [volume.plan(tree) for volume in volumes]
    digests = {blockpack.contents(layout)["tree_sha256"] for layout in layouts}
    digests |= {digest_of(rendered(layout)) for layout in layouts}
    assert len(digests) == 1


@given(spec=strategies.specs(strategies.unix_names, links=True))
def test_it_is_what_a_shell_makes_of_the_source_and_of_what_is_extracted(
    spec: strategies.Spec,
) -> None:
    with tempfile.TemporaryDirectory() as work:
        source, out = Path(work, "source"), Path(work, "out")
        source.mkdir()
        strategies.materialise(spec, source)
        layout = blockpack.TarVolume().plan(blockpack.scan(source))
        image = rendered(layout)
        with blockpack.open_image(image) as opened:
            blockpack.extract(opened, out)
        found = {blockpack.contents(layout)["tree_sha256"], digest_of(image)}
        assert found == {by_shell(source)} == {by_shell(out)}
        if any(isinstance(node, HardLinkNode) for node in spec.values()):
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:  # links as others write them
                archive.add(source, "")
            assert digest_of(packed.getvalue()) in found


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda top: (top / "a").chmod(0o755), False),
        (lambda top: os.utime(top / "a", (1, 1)), False),
        (lambda top: (top / "empty").mkdir(), False),
        (lambda top: (top / "a").write_bytes(b"other"), True),
        (lambda top: (top / "a").rename(top / "b"), True),
        (lambda top: ((top / "l").unlink(), (top / "l").symlink_to("b")), True),
        (lambda top: ((top / "l").unlink(), (top / "l").write_bytes(b"a")), True),
    ],
    ids=["mode", "time", "empty", "bytes", "name", "link", "kind"],
)
def test_what_all_formats_carry_counts(tmp_path: Path, change: object, differs: bool) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    (tmp_path / "l").symlink_to("a")

    def digest() -> str:
        layout = blockpack.TarVolume(mode="keep", mtime="keep").plan(blockpack.scan(tmp_path))
        found: str = blockpack.contents(layout)["tree_sha256"]
        return found

    before = digest()
    assert callable(change)
    change(tmp_path)
    assert (digest() != before) is differs
