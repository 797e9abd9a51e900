"""The one boot of Linux that tests share, and those of older and newer kernels."""

from __future__ import annotations

import fcntl
import os
import pickle
from functools import cache

import pytest

from vm.boot import Boot, Booted, run_parts
from vm.machine import OWN, require_machine


@pytest.fixture(name="booted", scope="session")
def fixture_booted(tmp_path_factory: pytest.TempPathFactory) -> Booted:
    """What came of a part of the boot, which worked, by its name, and the suite of the kernel.

    It is by whichever process of the test run comes first.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    @cache
    def boot(suite: str) -> dict[str, Boot]:
        machine = require_machine(suite)
        scratch = shared / f"vm-{suite}"
        scratch.mkdir(exist_ok=True)
        kept = scratch / "boot"
        with open(scratch / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                came: dict[str, Boot] | AssertionError
                try:
                    came = run_parts(machine, scratch, suite)
                except AssertionError as error:  # all its tests tell it, and none boots again
                    came = error
                kept.write_bytes(pickle.dumps(came))
        found: dict[str, Boot] | AssertionError = pickle.loads(kept.read_bytes())
        if isinstance(found, AssertionError):
            raise found
        return found

    def part(name: str, suite: str = OWN) -> Boot:
        found = boot(suite)[name]
        reports = found.reports
        assert (reports["status"], reports["errors"]) == (b"0\n", b""), reports["errors"].decode()
        return found

    return part
