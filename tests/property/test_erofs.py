"""EROFS images of whole trees, before the kernel and fsck.erofs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import blockpack
from judges.erofs_tools import FSCK_BLOCK, fsck, mounted, require_mounts, seen
from property.erofs_images import expected_of
from property.strategies import (
    Contents,
    DirectoryNode,
    FileNode,
    Spec,
    SymlinkNode,
    materialise,
    specs,
    times,
    unix_names,
)

Options = dict[str, Any]

trees = specs(unix_names, times=times(0, 2**33 - 1), links=True, most_units=1500)

BLOCK_SIZES = (4096, 2048, 1024, 512)

LARGE: Spec = {
    "all": DirectoryNode(),
    **{f"all/{number:03}": FileNode(Contents(number * 97, 1)) for number in range(300)},
    "block": FileNode(Contents(4096 - 32, 2)),
    "over": FileNode(Contents(4096 - 31, 2)),
    "mega": FileNode(Contents((1 << 20) + 5, 3)),
    "below": FileNode(Contents((1 << 20) - 5, 3)),
    "link": SymlinkNode("t" * 4000),
    "longest": SymlinkNode("l" * 4095),
    "inline": SymlinkNode("i" * (512 - 32)),
    "blocks": SymlinkNode("i" * (512 - 31)),
}


@st.composite
def option_sets(draw: st.DrawFn) -> Options:
    """Options that do not contradict each other."""
    return {
        "block_size": draw(st.sampled_from(BLOCK_SIZES)),
        "inline": draw(st.sampled_from(("auto", "off"))),
        "mtime": draw(st.sampled_from(("fixed", "keep", "clamp"))),
        "mode": draw(st.sampled_from(("normal", "keep"))),
        "owner": draw(st.sampled_from(((0, 0), (65535, 65536), (3, 1 << 31), "keep"))),
    }


@given(spec=trees, options=option_sets(), jobs=st.sampled_from((1, 3)))
@example(spec={}, options={"block_size": 4096}, jobs=1)
@example(spec=LARGE, options={"block_size": 4096}, jobs=1)
@example(spec=LARGE, options={"block_size": 2048, "mtime": "keep"}, jobs=1)
@example(spec=LARGE, options={"block_size": 1024, "inline": "off"}, jobs=1)
@example(spec=LARGE, options={"block_size": 512}, jobs=3)
def test_linux_reads_back_every_name_and_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, options: Options, jobs: int
) -> None:
    require_mounts()
    options = {"mtime": "fixed", "mode": "normal", "owner": (0, 0), **options}
    directory = tmp_path_factory.mktemp("erofs")
    source, image = directory / "source", directory / "image"
    source.mkdir()
    materialise(spec, source)
    blockpack.write(blockpack.ErofsVolume(**options).plan(blockpack.scan(source)), image, jobs=jobs)
    with mounted(image) as point:
        assert seen(point) == expected_of(source, options)
    if options["block_size"] == FSCK_BLOCK:
        fsck(image)
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []
    assert image.stat().st_size % 4096 == 0
