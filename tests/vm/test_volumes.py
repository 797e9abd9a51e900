"""Linux reads every name, byte and time from our images, attached as block devices.

What it reports is compared with the files' own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

import pytest

from vm.boot import Boot
from vm.volumes import CASES, DAMAGED, FAT, TAR, times

COMPLAINT = re.compile(rb"FAT-fs|I/O error|attempt to access beyond|WARNING:|\bBUG\b|Oops")
"""What the kernel's log says when something is wrong with a volume, or with the kernel."""


@pytest.fixture(name="boot", scope="session")
def fixture_boot(booted: Callable[[str], Boot]) -> Boot:
    return booted("volumes")


def entries_of(boot: Boot, name: str) -> Iterator[tuple[str, bool, int]]:
    """Each path below ``/``, whether it is a directory, and its time."""
    for line in boot.reports[f"{name}.entries"].decode().splitlines():
        kind, seconds, path = line.split("|", 2)
        assert kind in ("directory", "regular file", "regular empty file"), line
        yield path.removeprefix("./"), kind == "directory", int(seconds)


@pytest.mark.parametrize("name", CASES)
def test_linux_reads_every_name_and_byte(boot: Boot, name: str) -> None:
    expected = CASES[name].expected
    assert boot.reports[f"{name}.errors"] == b""
    assert int(boot.reports[f"{name}.sector"]) == CASES[name].sector_size
    found = sorted((path, directory) for path, directory, _ in entries_of(boot, name))
    assert found == sorted((path, data is None) for path, data in expected.items())
    assert boot.sums(f"{name}.sums") == {
        path: hashlib.sha256(data).hexdigest()
        for path, data in expected.items()
        if data is not None
    }


@pytest.mark.parametrize("name", FAT)
def test_linux_shows_times_kept_in_fat_to_two_seconds(boot: Boot, name: str) -> None:
    kept = times()
    assert {path: seconds for path, _, seconds in entries_of(boot, name)} == {
        path: kept[path] // 2 * 2 for path in CASES[name].expected
    }


@pytest.mark.parametrize("name", TAR)
def test_linux_shows_times_kept_in_tar(boot: Boot, name: str) -> None:
    # A directory gets the time at which the last file was put into it.
    kept = times()
    assert {
        path: seconds for path, directory, seconds in entries_of(boot, name) if not directory
    } == {path: kept[path] for path, data in CASES[name].expected.items() if data is not None}


@pytest.mark.parametrize("name", FAT)
def test_linux_counts_the_clusters_that_were_planned(boot: Boot, name: str) -> None:
    case = CASES[name]
    geometry = case.volume.plan(case.tree(boot.scratch / "source")).geometry
    space = [int(number) for number in boot.reports[f"{name}.space"].split()]
    assert space == [geometry["clusters"], geometry["free_clusters"], geometry["cluster_size"]]


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_does_not_complain(boot: Boot, name: str) -> None:
    log = boot.reports[f"{name}.log"]
    assert not COMPLAINT.search(log), log.decode()


def test_the_kernel_would_complain_of_a_damaged_volume(boot: Boot) -> None:
    # Or else its silence about the others would say nothing.
    log = boot.reports[f"{DAMAGED}.log"]
    assert b"FSINFO" in log
    assert COMPLAINT.search(log)
