"""A kernel reads a disk that was never written, but is served."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from vm.boot import Boot


def test_a_machine_boots_with_a_disk_that_is_served(booted: Callable[[str], Boot]) -> None:
    boot = booted("served")
    site = boot.scratch / "site"
    assert boot.sums("digests") == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in site.iterdir()
    }
