"""What another user plants where an image is extracted is never followed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack.images.extract import extract
from faults.mounts import require_root

NOBODY = 65534


def as_nobody(script: str, out: Path) -> None:
    """Run a shell script in the directory `out` as another user."""
    subprocess.run(
        ["/bin/sh", "-ec", script], cwd=out, user=NOBODY, group=NOBODY, extra_groups=[], check=True
    )


@pytest.fixture
def out() -> Iterator[Path]:
    """An empty directory of another user's, beside one of ours that is a prize."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="blockpack-planted-") as name:
        os.chmod(name, 0o755)
        directory = Path(name) / "out"
        directory.mkdir()
        os.chown(directory, NOBODY, NOBODY)
        prize = Path(name) / "prize"
        prize.mkdir()
        (prize / "f").write_bytes(b"ours")
        yield directory


@pytest.fixture
def image() -> Iterator[blockpack.Image]:
    tree = blockpack.Tree()
    tree.add("d/f", b"from the image")
    tree.add("f", b"from the image")
    with blockpack.open_image(blockpack.TarVolume().plan(tree)) as opened:
        yield opened


def after(
    monkeypatch: pytest.MonkeyPatch, call: str, name: bytes, then: Callable[[], None]
) -> None:
    """Have `then` be done right after the first `os` call of that kind with that name."""
    really = getattr(os, call)
    left = [then]

    def calling(path: Any, *arguments: Any, **options: Any) -> Any:
        result = really(path, *arguments, **options)
        if path == name and left:
            left.pop()()
        return result

    monkeypatch.setattr(os, call, calling)


PLANTS = {
    "link": "mv d away; ln -s ../prize d",
    "directory": "mv d away; mkdir -m 777 d",
    "file": "mv d away; echo > d",
}


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_directory_that_was_swapped_is_not_written_to(
    out: Path, image: blockpack.Image, monkeypatch: pytest.MonkeyPatch, plant: str, call: str
) -> None:
    after(monkeypatch, call, b"d", lambda: as_nobody(PLANTS[plant], out))
    # Each is opened again.
    monkeypatch.setattr("blockpack.reading.recent.Recent.get", lambda *_: None)
    why = "replaced by somebody else|not a directory|symbolic links"
    with pytest.raises(blockpack.TargetError, match=why):
        extract(image, out)
    prize = out.parent / "prize"
    assert [(path.name, path.read_bytes()) for path in prize.iterdir()] == [("f", b"ours")]
    assert "f" not in os.listdir(out)
    planted = out / "d"
    if planted.is_dir() and not planted.is_symlink():
        assert os.listdir(planted) == []


@pytest.mark.parametrize("plant", ["ln -s ../prize/f f", "echo theirs > f", "mkfifo f"])
def test_a_name_that_was_planted_is_not_written_to(
    out: Path, image: blockpack.Image, monkeypatch: pytest.MonkeyPatch, plant: str
) -> None:
    after(monkeypatch, "mkdir", b"d", lambda: as_nobody(plant, out))
    with pytest.raises(blockpack.BlockpackError):
        extract(image, out)
    assert (out.parent / "prize" / "f").read_bytes() == b"ours"


def test_nobody_else_sees_a_directory_before_it_is_whole(
    out: Path, image: blockpack.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look() -> None:
        found = subprocess.run(
            ["/bin/ls", out / "d"], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True
        )
        seen.append(found.returncode)

    after(monkeypatch, "open", b"f", look)
    extract(image, out)
    assert seen != [] and 0 not in seen
    assert (out / "d" / "f").read_bytes() == b"from the image"
