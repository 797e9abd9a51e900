"""What is never opened to find out what is in it: that may hang, or do something."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

import blockpack

UNFIT = {
    "directory": "a directory",
    "pipe": "a pipe",
    "socket": "a socket",
    "/dev/null": "a character device",
    "/dev/zero": "a character device",
    "/dev/tty": "a character device",
}


@pytest.fixture
def never_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that may not be opened, once they are added."""
    paths: list[str] = []
    actual = os.open

    def checked(path: str, *arguments: Any, **options: Any) -> int:
        assert os.fspath(path) not in paths
        return actual(path, *arguments, **options)

    monkeypatch.setattr(os, "open", checked)
    return paths


def _made(tmp_path: Path, name: str) -> str:
    path = tmp_path / name
    if name == "directory":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    elif name == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))
    elif not path.exists():
        pytest.skip(f"there is no {name} here")
    return str(path)


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_file_is_no_image(tmp_path: Path, never_opened: list[str], name: str) -> None:
    path = _made(tmp_path, name)
    never_opened.append(path)
    with pytest.raises(blockpack.SourceError, match=f"is {UNFIT[name]}, not an image or archive"):
        blockpack.open_image(path)


@pytest.mark.parametrize("name", [name for name in UNFIT if name not in ("directory", "pipe")])
@pytest.mark.parametrize("scheme", ["", "tar://", "zip://"])
def test_what_is_no_file_is_no_source(
    tmp_path: Path, never_opened: list[str], name: str, scheme: str
) -> None:
    path = _made(tmp_path, name)
    never_opened.append(path)
    with pytest.raises(blockpack.SourceError, match=f"is {UNFIT[name]}, not an image or archive"):
        blockpack.scan(scheme + path)


def test_a_pipe_is_a_source(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("a", b"1")
    image, pipe = tmp_path / "a.tar", tmp_path / "pipe"
    blockpack.write(blockpack.TarVolume().plan(tree), image)
    os.mkfifo(pipe)
    with subprocess.Popen(["dd", f"if={image}", f"of={pipe}", "status=none"]):
        read = blockpack.scan(pipe)
    assert [entry.path for entry in read] == ["a"]


def test_signed_bytes_that_add_up_to_nothing_are_no_header() -> None:
    """A header of git objects that was a tar's by chance: with eight blanks, its bytes are 0."""
    header = bytes.fromhex("1f1f000000000000119cf9ee83da802ccd58")
    with pytest.raises(blockpack.ImageError, match="its index is to begin"):
        blockpack.open_image(header.ljust(1024, b"\0"))


def test_what_is_wrong_with_an_image_as_a_whole_names_it(tmp_path: Path) -> None:
    """Whether it is found when the image is opened, or later."""
    objects = b"PACK" + (2).to_bytes(4, "big") + bytes(4)
    pack = objects + hashlib.sha1(objects).digest()
    bundle = b"# v2 git bundle\n-" + b"1" * 40 + b"\n" + b"2" * 40 + b" refs/heads/main\n\n" + pack
    path = tmp_path / "image"
    for data, rule in ((pack, "its pack holds no commit"), (bundle, "it is a bundle without some")):
        path.write_bytes(data)
        for ask in (list, lambda image: image.info(), lambda image: image.read("a")):
            with pytest.raises(blockpack.ImageError, match=rule) as raised:
                ask(blockpack.open_image(path))
            assert raised.value.path == str(path)
