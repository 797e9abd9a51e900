"""A report says what was written to; a character device is judged by its number alone."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import blockpack
from faults.mounts import require_root


@pytest.fixture
def layout() -> blockpack.Layout:
    tree = blockpack.Tree()
    tree.add("a", b"a" * 100_000)
    return blockpack.TarVolume().plan(tree)


def test_the_report_names_the_target(layout: blockpack.Layout, tmp_path: Path) -> None:
    path = tmp_path / "x.img"
    assert blockpack.write(layout, path).target == str(path)
    with open(path, "wb") as file:
        assert blockpack.write(layout, file).target == str(path)
    assert blockpack.write(layout, io.BytesIO()).target == "a BytesIO"
    assert blockpack.write(layout, os.devnull).target == os.devnull
    for descriptors in (os.pipe, lambda: [end.detach() for end in socket.socketpair()]):
        reading, writing = descriptors()
        reader = subprocess.Popen(["cat"], stdin=reading, stdout=subprocess.DEVNULL)
        os.close(reading)
        with open(writing, "wb") as file:
            assert blockpack.write(layout, file).target == f"descriptor {writing}"
        reader.wait()


def device(path: Path, major: int, minor: int) -> Path:
    require_root()
    try:
        os.mknod(path, 0o020666, os.makedev(major, minor))
    except PermissionError:
        pytest.skip("root may make no devices here")
    return path


@pytest.mark.parametrize("numbers", [(9, 0), (10, 130), (21, 0), (1, 1)])
def test_a_character_device_is_never_opened_to_find_out_what_it_is(
    layout: blockpack.Layout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    numbers: tuple[int, int],
) -> None:
    """A tape rewinds, a watchdog starts: what is not known to be harmless is refused unseen."""
    path = device(tmp_path / "device", *numbers)
    really_open = os.open

    def opening(name: Any, *arguments: Any, **options: Any) -> int:
        assert os.fsdecode(name) != str(path)
        return really_open(name, *arguments, **options)

    monkeypatch.setattr(os, "open", opening)
    with pytest.raises(blockpack.TargetError, match="is a character device, and everything on it"):
        blockpack.write(layout, path)


@pytest.mark.parametrize("numbers", [(1, 3), (1, 5)])
def test_devices_that_keep_nothing_are_targets(
    layout: blockpack.Layout, tmp_path: Path, numbers: tuple[int, int]
) -> None:
    path = device(tmp_path / "device", *numbers)
    assert blockpack.write(layout, path).target == str(path)


WITHOUT = """
import sys, os, selectors, shutil, tempfile
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("fork", "sendfile", "copy_file_range", "O_TMPFILE", "geteuid", "fchown", "fstatvfs",
             "sched_getaffinity", "major", "O_DIRECTORY", "O_NOFOLLOW"):
    if hasattr(os, name):
        delattr(os, name)
os.supports_dir_fd.clear()
import importlib, pkgutil
import blockpack
for module in pkgutil.walk_packages(blockpack.__path__, "blockpack."):
    room = module.name.split(".")[1]
    if room in ("errors", "model", "reading", "planning", "formats", "writing", "images", "layers"):
        importlib.import_module(module.name)
tree = blockpack.Tree()
tree.add("d/a", b"a" * 300_000)
tree.add("b", b"b")
with tempfile.TemporaryDirectory() as place:
    for volume in (blockpack.TarVolume(), blockpack.FatVolume()):
        path = os.path.join(place, "x.img")
        blockpack.write(volume.plan(tree), path, jobs="auto", fsync=True)
        with blockpack.open_image(path) as image:
            out = os.path.join(place, volume.format)
            blockpack.extract(image, out, jobs="auto")
            assert blockpack.compare(image, volume.plan(tree)) == []
        assert open(os.path.join(out, "d", "a"), "rb").read() == b"a" * 300_000
print("done")
"""


def test_the_core_does_without_what_other_systems_lack() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("done\n", "")
