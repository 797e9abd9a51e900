"""A full disk keeps nobody from going back, or from making room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blockpack import BlockpackError, TargetError
from blockpack.deploy.host.rollout import collect, rollback
from blockpack.deploy.host.status import status
from deploy.hosts import Host
from faults.mounts import file_system


@contextmanager
def full(kind: str, place: Path) -> Iterator[Host]:
    """A host with three generations on a disk that is full to the last byte, for root as well.

    Each has more than XFS takes for itself of what becomes free: with its parent pointers, which
    later mkfs.xfs makes, above half a megabyte.
    """
    with file_system(
        kind, place, {"xfs": 320 << 20, "btrfs": 128 << 20}.get(kind, 16 << 20)
    ) as mount:
        host = Host(place)
        host.root = mount / "root"
        for _ in range(3):
            host.commit(**{"media/film.bin": os.urandom(1_000_000)})
            host.deploy()
        fill(mount)
        yield host


def fill(directory: Path) -> None:
    """Leave no room for a byte."""
    os.sync()
    for number, size in enumerate((1 << 20, 4096, 1)):
        try:
            with open(directory / f"filling {number}", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(size))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    os.sync()
    with pytest.raises(OSError, match="No space"), open(directory / "more", "wb") as file:
        file.write(b"x" * 8192)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_keeps_nobody_from_going_back(kind: str, tmp_path: Path) -> None:
    with full(kind, tmp_path) as host:
        host.commit(**{"site/index.html": b"new"})
        with pytest.raises(BlockpackError):
            host.deploy()
        assert host.live() == 3
        for number in (2, 1, 3, 2):
            rollback(host.root, number, on_activate="true")
            assert host.live() == number
        assert not status(host.root).unfinished
        assert host.outcomes() == {1: None, 2: None, 3: None}
        rollback(host.root, 3)
        assert collect(host.root, 1) == (1,)
        assert host.live() == 3


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_where_there_is_no_room_it_is_said_how_to_make_some(kind: str, tmp_path: Path) -> None:
    """These write elsewhere what changes, and may have no room even for a link."""
    with full(kind, tmp_path) as host:
        try:
            for number in (2, 3) * 32:
                rollback(host.root, number)
        except TargetError as error:
            assert f"run 'blockpack gc {host.root}'" in str(error)
        assert host.live() in (2, 3)
        assert 1 in collect(host.root, 1)
        rollback(host.root, 2)
        assert host.live() == 2
