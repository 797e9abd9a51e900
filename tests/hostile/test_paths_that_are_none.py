"""A path with a NUL or half a character is wrong usage, wherever one is given: no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import deploy
from blockpack.cli import main
from blockpack.layers.keys import make_key, read_key

NONE = ("a\0b", "a\ud800b")


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> blockpack.Tree:
    monkeypatch.chdir(tmp_path)
    tree = blockpack.Tree()
    tree.add("x", b"y")
    blockpack.write(blockpack.TarVolume().plan(tree), "x.tar")
    return tree


def written(tree: blockpack.Tree, path: str) -> object:
    return blockpack.write(blockpack.TarVolume().plan(tree), path)


def extracted(_: blockpack.Tree, path: str) -> object:
    with blockpack.open_image("x.tar") as image:
        return blockpack.extract(image, path)


USES: dict[str, Callable[[blockpack.Tree, str], object]] = {
    "scan": lambda _, path: blockpack.scan(path),
    "scan git": lambda _, path: blockpack.scan(f"git:{path}@main"),
    "add": lambda tree, path: tree.add("new", Path(path)),
    "open_image": lambda _, path: blockpack.open_image(path),
    "open_image key": lambda _, path: blockpack.open_image("x.tar", key_file=path),
    "write": written,
    "extract": extracted,
    "read_key": lambda _, path: read_key(path),
    "make_key": lambda _, path: make_key(path),
    "build source": lambda _, path: deploy.build(path, "dist"),
    "build target": lambda _, path: deploy.build(".", path),
    "check": lambda _, path: deploy.check(path),
    "deploy source": lambda _, path: deploy.deploy(path, "HEAD", "root"),
    "deploy revision": lambda _, path: deploy.deploy(".", path, "root"),
    "deploy root": lambda _, path: deploy.deploy(".", "HEAD", path),
    "rollback": lambda _, path: deploy.rollback(path),
    "status": lambda _, path: deploy.status(path),
    "collect": lambda _, path: deploy.collect(path, 1),
}


@pytest.mark.parametrize("path", NONE)
@pytest.mark.parametrize("use", USES)
def test_the_library_refuses_it(use: str, path: str, tree: blockpack.Tree) -> None:
    with pytest.raises(blockpack.UsageError) as raised:
        USES[use](tree, path)
    assert raised.value.path and raised.value.rule and raised.value.remedy


@pytest.mark.parametrize("use", sorted(USES.keys() - {"add", "scan git", "deploy revision"}))
def test_an_empty_path_is_wrong_usage(use: str, tree: blockpack.Tree) -> None:
    with pytest.raises(blockpack.UsageError, match="the path is empty"):
        USES[use](tree, "")


COMMANDS: tuple[tuple[Any, ...], ...] = (
    ("pack", "P", "x.img", "--format", "fat"),
    ("pack", ".", "P", "--format", "fat"),
    ("pack", ".", "x.img", "--format", "fat", "--key-file", "P"),
    ("plan", "P", "--format", "tar"),
    ("ls", "P"),
    ("ls", "x.tar", "P"),
    ("cat", "x.tar", "P"),
    ("extract", "x.tar", "P"),
    ("info", "P"),
    ("verify", "x.tar", "P"),
    ("build", "P", "--out", "dist"),
    ("build", "--out", "P"),
    ("check", "P"),
    ("deploy", "P", "--to", "root"),
    ("status", "P"),
    ("gc", "P", "--keep", "1"),
    ("rollback", "P"),
    ("init", "P"),
    ("attach", "P", "--for", "qemu"),
    ("secrets", "encrypt", "P"),
)


@pytest.mark.parametrize("path", NONE)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_command_refuses_it(
    words: tuple[str, ...], path: str, tree: blockpack.Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([path if word == "P" else word for word in words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("blockpack: a\\") and "is not a path" in told
