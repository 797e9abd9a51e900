"""The one boot of Linux that tests share."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable

import pytest

from vm.boot import Boot, run_parts
from vm.machine import require_machine


@pytest.fixture(name="booted", scope="session")
def fixture_booted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Boot]:
    """What came of a part of the boot, which worked, by its name.

    It is by whichever process of the test run comes first.
    """
    machine = require_machine()
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    scratch = shared / "vm"
    scratch.mkdir(exist_ok=True)
    kept = scratch / "boot"
    with open(scratch / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(run_parts(machine, scratch)))
    parts: dict[str, Boot] = pickle.loads(kept.read_bytes())

    def part(name: str) -> Boot:
        reports = parts[name].reports
        assert (reports["status"], reports["errors"]) == (b"0\n", b""), reports["errors"].decode()
        return parts[name]

    return part
