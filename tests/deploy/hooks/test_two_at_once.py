"""Pushes at the same time are deployed one after the other."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.pushing import Host


@contextmanager
def waiting(host: Host) -> Iterator[Path]:
    """The first activation meanwhile lasts until there is the file that is given."""
    begun, go = host.root.parent / "begun", host.root.parent / "go"
    host.settings(on_activate=f"touch {begun}; while ! test -e {go}; do sleep 0.02; done")
    thread = threading.Thread(target=host.push)
    thread.start()
    try:
        until(begun.exists)
        yield go
    finally:
        go.touch()
        thread.join(60)


def waits_for(lock: Path) -> bool:
    """Whether somebody waits for a lock that somebody else has (proc_locks(5))."""
    waiting = [line for line in Path("/proc/locks").read_text().splitlines() if " -> " in line]
    return any(f":{lock.stat().st_ino} " in line for line in waiting)


def until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_pushes_at_once_are_deployed_one_after_the_other(deployed: Host) -> None:
    deployed.commit({"site/new": b"1"})
    with waiting(deployed) as go:
        commit = deployed.commit({"site/new": b"2"})
        told: list[str] = []
        second = threading.Thread(target=lambda: told.append(deployed.push().told))
        second.start()
        until(lambda: waits_for(deployed.repository.path / "blockpack.lock"))
        assert second.is_alive() and deployed.repository.oid("main") == commit
        assert deployed.live is not None and deployed.live.startswith("0002-")
        go.touch()
        second.join(60)
    assert "another push is being deployed; waiting for it" in told[0]
    assert deployed.live == f"0003-{commit[:12]}"
    assert deployed.live_files["new"] == b"2"


def test_the_hook_that_comes_last_deploys_the_newest_commit(deployed: Host) -> None:
    """Hooks may get their turn in another order than their pushes."""
    old = deployed.clone.oid("main")
    commit = deployed.commit({"site/new": b"new"})
    deployed.push()
    live = deployed.live
    done = subprocess.run(
        [deployed.repository.path / "hooks/post-receive"],
        cwd=deployed.repository.path,
        env={**os.environ, "GIT_DIR": "."},
        input=f"{'0' * 40} {old} refs/heads/main\n".encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and b"is live already" in done.stderr
    assert live == deployed.live == f"0002-{commit[:12]}"


def test_what_a_command_leaves_running_holds_up_no_push(deployed: Host) -> None:
    deployed.settings(on_activate="sleep 60 >/dev/null 2>&1 & echo $! >sleeping")
    deployed.commit({"site/new": b"1"})
    deployed.push()
    sleeping = int((deployed.root / "sleeping").read_text())
    try:
        deployed.settings(on_activate="true")
        deployed.commit({"site/new": b"2"})
        assert "waiting" not in deployed.push().told
        os.kill(sleeping, 0)  # it still runs
    finally:
        os.kill(sleeping, 15)
