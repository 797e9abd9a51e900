"""What is in an image is told alike of the image and of its layout, with digests of the bytes."""

from __future__ import annotations

import hashlib
import io

import pytest

import blockpack
from blockpack.images.contents import manifest
from faults.rendering import pattern, rendered

VOLUMES = [
    blockpack.TarVolume(),
    blockpack.FatVolume(),
    blockpack.FatVolume(cluster_size=512),
    blockpack.ErofsVolume(),
    blockpack.ErofsVolume(block_size=512),
]


@pytest.fixture
def tree() -> blockpack.Tree:
    found = blockpack.Tree()
    found.add("a", b"first")
    found.add("d/large", pattern(3 << 20))
    found.add("empty", b"")
    return found


@pytest.mark.parametrize("volume", VOLUMES)
def test_an_image_and_its_layout_have_the_same_contents(
    volume: blockpack.Volume, tree: blockpack.Tree
) -> None:
    layout = volume.plan(tree)
    image = rendered(layout)
    planned = blockpack.contents(layout)
    with blockpack.open_image(image) as opened:
        found = blockpack.contents(opened)
    assert planned["sha256"] == found["sha256"] == hashlib.sha256(image).hexdigest()
    assert (found["format"], found["size"]) == (planned["format"], planned["size"])
    digests = [
        {entry["path"]: entry.get("sha256") for entry in each["entries"] if entry["kind"] == "file"}
        for each in (planned, found)
    ]
    assert digests[0] == digests[1] and len(digests[0]) == 3
    for entry in found["entries"]:
        if entry["kind"] == "file":
            start = entry["offset"] or 0
            data = image[start : start + entry["size"]]
            assert entry["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("cut", [1, 4096, 1 << 20])
def test_an_image_that_ends_early_has_no_manifest(tree: blockpack.Tree, cut: int) -> None:
    layout = blockpack.TarVolume().plan(tree)
    image = io.BytesIO(rendered(layout)[:-cut])
    with pytest.raises(blockpack.ImageError, match="the image ends early, at byte"):
        manifest(layout, image)
