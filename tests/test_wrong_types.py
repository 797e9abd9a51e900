"""What is of a wrong type is wrong usage, and told before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import TarVolume, Tree, UsageError

WRONG = [5, None, object(), b"bytes", ["list"]]
LAYOUT = TarVolume().plan(Tree())


@pytest.mark.parametrize("wrong", [5, None, object(), ["list"]])
def test_sources_images_and_targets(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not a source"):
        blockpack.scan(wrong)
    with pytest.raises(UsageError, match="is not an image"):
        blockpack.open_image(wrong)
    with pytest.raises(UsageError, match="is not a target"):
        blockpack.write(LAYOUT, wrong)
    with pytest.raises(UsageError, match="is not a layout"):
        blockpack.write(wrong, "x")
    with pytest.raises(UsageError, match="invalid exclude pattern"):
        blockpack.scan(".", exclude=[wrong])


@pytest.mark.parametrize("wrong", [*WRONG, "path"])
def test_images_that_are_not_open(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not an open image"):
        blockpack.extract(wrong, "out")
    with pytest.raises(UsageError, match="is not an open image"):
        blockpack.compare(wrong, LAYOUT)
    with pytest.raises(UsageError, match="is not an open image"):
        blockpack.contents(wrong)


@pytest.mark.parametrize("wrong", WRONG)
def test_paths(wrong: Any) -> None:
    tree = Tree()
    refusals: list[Callable[[], object]] = [
        lambda: tree.add(wrong, b""),
        lambda: tree.mkdir(wrong),
        lambda: tree.symlink("a", wrong),
        lambda: tree.join(wrong, Tree()),
    ]
    for refused in refusals:
        with pytest.raises(UsageError, match="is not a path in a tree or image"):
            refused()
    with blockpack.open_image(LAYOUT) as image:
        with pytest.raises(UsageError, match="is not a path in a tree or image"):
            image.read(wrong)
        assert wrong not in image
    assert list(tree) == []


@pytest.mark.parametrize("wrong", [1.5, "1", b"1", [1]])
def test_numbers_and_entries(wrong: Any) -> None:
    tree = Tree()
    refusals: list[Callable[[], object]] = [
        lambda: tree.add("a", b"", mode=wrong),
        lambda: tree.add("a", b"", mtime_ns=wrong),
        lambda: tree.mkdir("a", mode=wrong),
        lambda: tree.symlink("a", "b", mtime_ns=wrong),
    ]
    for refused in refusals:
        with pytest.raises(UsageError, match="is not a whole number"):
            refused()
    with pytest.raises(UsageError, match="is not an entry"):
        tree.put(wrong)
    assert list(tree) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"hash_tree": b"tree"},
        {"hash_tree": 5},
        {"hash_tree": ""},
        {"hash_offset": -1},
        {"hash_offset": 1 << 63},
        {"hash_offset": b"0"},
        *({"root_hash": each} for each in ("", "zz", "0" * 63, "g" * 64, b"0" * 64, 0)),
    ],
    ids=str,
)
def test_what_is_known_of_hash_trees(wrong: dict[str, Any], tmp_path: Path) -> None:
    image = tmp_path / "image"
    blockpack.write(LAYOUT, image)
    for source in (image, image.read_bytes()):
        with pytest.raises(UsageError):
            blockpack.open_image(source, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"data_block_size": each} for each in (0, -1, 3, b"512", 1.5)),
        *({"hash_block_size": each} for each in (0, None, 8192)),
        *({"algorithm": each} for each in (None, 5, "md5")),
        *({"uuid": each} for each in (5, b"", "")),
        {"salt": 5},
    ],
    ids=str,
)
def test_options_of_hash_trees(wrong: dict[str, Any]) -> None:
    for made in (blockpack.verity, blockpack.hash_tree):
        with pytest.raises(UsageError):
            made(LAYOUT, **wrong)
        with pytest.raises(UsageError, match="is not a layout"):
            made(b"an image")  # type: ignore[arg-type]
