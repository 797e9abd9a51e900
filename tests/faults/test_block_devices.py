"""A block device is written only if it is asked for, free and large enough."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import blockpack
from faults.injection import Fault, injected
from faults.launching import COMMAND, run
from faults.mounts import loop_device, mounted
from faults.mounts import run as run_tool
from faults.rendering import make_files, pattern, rendered

SIZE = 8 << 20
GARBAGE = b"\xa5" * SIZE


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_files(
        tmp_path / "source", {"small": b"small", "large": pattern(300_000), "zeros": bytes(500_000)}
    )


@pytest.fixture
def layout(source: Path) -> blockpack.Layout:
    return blockpack.FatVolume(size=4 << 20).plan(blockpack.scan(source))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A block device full of garbage."""
    (tmp_path / "backing").write_bytes(GARBAGE)
    with loop_device(tmp_path / "backing", SIZE) as path:
        yield path


def write_fails(layout: blockpack.Layout, device: Path, *, allow: bool = True) -> str:
    with pytest.raises(blockpack.TargetError) as caught:
        blockpack.write(layout, device, allow_device=allow, jobs=1)
    return str(caught.value)


def test_a_device_is_refused_unless_it_is_allowed(layout: blockpack.Layout, device: Path) -> None:
    said = write_fails(layout, device, allow=False)
    rule = f"{device}: is a block device, and everything on it would be lost"
    assert said == f"{rule}; give allow_device=True"
    assert device.read_bytes() == GARBAGE


def test_a_device_by_another_name_is_refused_unless_it_is_allowed(
    layout: blockpack.Layout, device: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(device)
    assert "is a block device" in write_fails(layout, link, allow=False)
    assert device.read_bytes() == GARBAGE
    assert link.readlink() == device


@pytest.mark.parametrize("format", ["tar", "fat"])
def test_zeros_are_written_over_what_was_there(source: Path, device: Path, format: str) -> None:
    volume = blockpack.TarVolume if format == "tar" else blockpack.FatVolume
    layout = volume(free=2 << 20).plan(blockpack.scan(source))
    report = blockpack.write(layout, device, allow_device=True, jobs=1)
    assert (report.holes, report.cloned, report.copied) == (0, 0, layout.size)
    found = device.read_bytes()
    assert found[: layout.size] == rendered(layout)
    assert found[layout.size :] == GARBAGE[layout.size :]


def test_holes_of_a_source_are_written_over_what_was_there(source: Path, device: Path) -> None:
    with open(source / "sparse", "wb") as file:
        file.truncate(2 << 20)
        file.seek(1 << 20)
        file.write(b"middle")
    layout = blockpack.TarVolume().plan(blockpack.scan(source))
    blockpack.write(layout, device, allow_device=True, jobs=1)
    assert device.read_bytes()[: layout.size] == rendered(layout)


def test_the_command_writes_a_device_in_several_processes(source: Path, device: Path) -> None:
    layout = blockpack.TarVolume().plan(blockpack.scan(source))
    arguments = ("pack", source, device, "--format", "tar", "--jobs", "2")
    code, _, errors = run(COMMAND, *arguments)
    assert code == 5
    assert "is a block device" in errors
    assert device.read_bytes() == GARBAGE
    code, _, errors = run(COMMAND, *arguments, "--allow-device")
    assert code == 0, errors
    assert device.read_bytes()[: layout.size] == rendered(layout)


def test_a_mounted_device_is_refused(
    layout: blockpack.Layout, device: Path, tmp_path: Path
) -> None:
    run_tool("mkfs.ext4", "-q", device)
    with mounted("-t", "ext4", device, at=tmp_path / "mount") as mount:
        (mount / "file").write_bytes(b"precious")
        assert write_fails(layout, device) == f"{device}: the device is in use; unmount it first"
        assert (mount / "file").read_bytes() == b"precious"
    run_tool("e2fsck", "-fn", device)


def test_a_device_that_is_too_small_is_refused_unchanged(source: Path, device: Path) -> None:
    layout = blockpack.FatVolume(size=SIZE + 4096).plan(blockpack.scan(source))
    said = write_fails(layout, device)
    assert f"the image has {SIZE + 4096:,} bytes, the device {SIZE:,}" in said
    assert device.read_bytes() == GARBAGE


def test_a_device_takes_an_image_of_just_its_size(source: Path, device: Path) -> None:
    layout = blockpack.FatVolume(size=SIZE).plan(blockpack.scan(source))
    blockpack.write(layout, device, allow_device=True, jobs=1)
    assert device.read_bytes() == rendered(layout)


def test_a_device_with_larger_sectors_takes_only_an_image_for_them(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "backing").write_bytes(GARBAGE)
    tree = blockpack.scan(source)
    with loop_device(tmp_path / "backing", SIZE, "--sector-size", "4096") as device:
        said = write_fails(blockpack.FatVolume().plan(tree), device)
        assert said.endswith(
            "the device has sectors of 4096 bytes, the image of 512; give sector_size=4096"
        )
        assert device.read_bytes() == GARBAGE
        layout = blockpack.FatVolume(sector_size=4096).plan(tree)
        blockpack.write(layout, device, allow_device=True, jobs=1)
        assert device.read_bytes()[: layout.size] == rendered(layout)


def test_a_device_is_always_flushed(layout: blockpack.Layout, device: Path, source: Path) -> None:
    with injected(source, [Fault("flush", 0, errno.EIO)]) as injector:
        said = write_fails(layout, device)
    assert injector.counts["flush"] == 1
    assert said.startswith(f"{device}: cannot be written: input/output error; ")
    with injected(source) as injector:
        blockpack.write(layout, device, allow_device=True, jobs=1)
    assert injector.counts["flush"] == 1


def test_a_device_that_may_not_be_opened_is_a_target_error(
    layout: blockpack.Layout, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = os.open

    def opening(path: str | Path, flags: int, *arguments: int) -> int:
        if os.fspath(path) == str(device):
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags, *arguments)

    monkeypatch.setattr(os, "open", opening)
    said = write_fails(layout, device)
    assert said.startswith(f"{device}: cannot be written: permission denied; ")


@pytest.mark.parametrize("format", ["tar", "fat"])
def test_what_was_on_a_larger_device_before_is_no_damage(
    source: Path, device: Path, tmp_path: Path, format: str
) -> None:
    volume = blockpack.TarVolume() if format == "tar" else blockpack.FatVolume()
    layout = volume.plan(blockpack.scan(source))
    assert layout.size < SIZE
    blockpack.write(layout, device, allow_device=True)
    assert device.read_bytes()[layout.size :] == GARBAGE[layout.size :]
    with blockpack.open_image(device) as image:
        assert image.verify() == []
    code, _, errors = run(COMMAND, "verify", device, source)
    assert (code, errors) == (0, f"blockpack: {device}: sound, and the same as {source}\n")
    (tmp_path / "copy").write_bytes(device.read_bytes())
    with blockpack.open_image(tmp_path / "copy") as image:
        told = image.verify()
    assert ["is something after" in str(problem) for problem in told] == [True], "a file ends"
