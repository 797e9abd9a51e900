"""The order in which a generation comes about and is switched to, and what a fault there leaves."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from blockpack import SourceError, TargetError, UsageError
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import deploy, rollback
from blockpack.deploy.host.root import Root
from blockpack.deploy.host.status import status
from deploy.deployments import names
from deploy.hosts import Host


def deployed_twice(place: Path) -> Host:
    """A host with two generations of different contents."""
    host = Host(place)
    host.deploy()
    host.commit(**{"site/index.html": b"new"})
    host.deploy()
    return host


def test_all_is_on_the_disk_before_it_gets_a_name_and_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    host.deploy()
    host.commit(**{"site/index.html": b"new"})
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append(("flush", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def noted_replace(old: str, new: str, **held: Any) -> None:
        directory = os.readlink(f"/proc/self/fd/{held['dst_dir_fd']}") if held else ""
        done.append(("replace", os.path.join(directory, new)))
        replace(old, new, **held)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    generation = host.deploy().generation
    monkeypatch.undo()
    named = done.index(("replace", str(generation.path)))
    live = done.index(("replace", str(host.root / "current")))
    flushed = [path for what, path in done[:named] if what == "flush"]
    new = {os.path.basename(path) for path in flushed}
    assert names(generation.path) - {"media.img", "media.json"} <= new  # which are shared
    assert os.path.dirname(flushed[-1]) == str(host.root / "generations")
    assert ("flush", str(host.root / "generations")) in done[named:live]
    assert ("flush", str(host.root)) in done[live:]
    assert ("flush", str(host.root / "activations.jsonl")) in done[named:live]


def test_a_line_that_a_crash_has_torn_spoils_no_other(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    with open(host.root / "activations.jsonl", "ab") as file:
        file.write(b'{"time": "20')
    host.commit(**{"site/index.html": b"new"})
    assert host.deploy().generation.number == 2
    found = list(Generations(host.root).activations())
    assert [each["generation"] for each in found] == [1, 2]


def test_a_history_that_cannot_be_written_switches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = deployed_twice(tmp_path)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("activations.jsonl"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TargetError, match="no space left"):
        rollback(host.root, on_activate=host.command())
    monkeypatch.undo()
    assert host.live() == 2
    assert not host.log.exists()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_rollback_that_is_killed_is_not_undone_by_the_next_run(
    tmp_path: Path, moment: str
) -> None:
    """Before the switch the old commit stays live, and after it the older one."""
    host = deployed_twice(tmp_path)
    child = os.fork()
    if not child:
        replace = os.replace

        def killed(*names: str, **held: Any) -> None:
            if moment == "after":
                replace(*names, **held)
            os._exit(9)

        os.replace = killed  # type: ignore[assignment]
        rollback(host.root)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert host.deploy().outcome == "held"
    assert host.live() == (2 if moment == "before" else 1)


def test_a_link_that_cannot_be_switched_is_no_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = deployed_twice(tmp_path)

    def fail(*_names: str, **_held: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(TargetError, match="input/output error"):
            rollback(host.root)
    assert host.live() == 2
    assert not Generations(host.root).outcomes().held


def test_an_older_generation_that_cannot_be_removed_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    host.deploy()
    host.commit(**{"site/index.html": b"new"})

    rmdir = os.rmdir

    def fail(name: str, **held: Any) -> None:
        if name.startswith(".new-"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        rmdir(name, **held)

    monkeypatch.setattr(os, "rmdir", fail)
    host.deploy()
    host.commit(**{"site/index.html": b"and new"})
    report = host.deploy(keep=1, on_activate=host.command())
    assert report.left is not None and "generations/0001-" in report.left
    assert host.told()
    host.commit(**{"site/index.html": b"newer"})
    assert host.deploy().outcome == "deployed"  # it does not get in the way
    monkeypatch.undo()
    host.commit(**{"site/index.html": b"newest"})
    host.deploy()
    assert host.live() == 5  # which looks for what is left


def test_nobody_else_can_keep_runs_out(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    assert (host.root / ".lock").stat().st_mode & 0o777 == 0o600


def test_a_tag_does_not_stand_for_a_branch_of_its_name(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.repository.git("tag", "main", host.commit(**{"site/index.html": b"evil"}))
    host.commit(**{"site/index.html": b"good"})
    with pytest.raises(SourceError, match="a branch and a tag 'main'; say refs/heads/main or"):
        host.deploy()
    deploy(host.repository.path, "refs/heads/main", host.root)
    assert host.live() == 1


def test_a_generation_that_is_damaged_hides_no_other(tmp_path: Path) -> None:
    host = Host(tmp_path)
    first = host.deploy().generation
    for content in (b"new", b"newer"):
        host.commit(**{"site/index.html": content})
        host.deploy()
    damaged = Generations(host.root).all()[1].path / "manifest.json"
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:100])
    found = status(host.root)
    assert found.live is not None
    assert (found.live.number, found.compared) == (3, first.number)
    assert [each.damaged is not None for each in found.generations] == [False, True, False]


def test_options_are_looked_at_though_there_is_nothing_to_do(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    with pytest.raises(UsageError, match="0 is not a number from 1 on, or 'auto'; give jobs="):
        host.deploy(jobs=0)


def test_a_root_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.root.symlink_to("nowhere")
    with pytest.raises(
        TargetError, match="root: is neither a directory nor a link to one; move it away"
    ):
        host.deploy()


def test_what_is_live_is_built_anew_though_its_record_is_damaged(tmp_path: Path) -> None:
    host = deployed_twice(tmp_path)
    rolled_back = rollback(host.root)
    commit = rolled_back.record().commit
    for damage in (b"{", None):
        live = Generations(host.root).current()
        assert live is not None
        damaged = live.path / "manifest.json"
        damaged.chmod(0o644)
        if damage is None:
            damaged.unlink()
        else:
            damaged.write_bytes(damage)
        report = host.deploy()
        assert (report.outcome, report.commit) == ("deployed", commit)
        assert host.deploy().outcome == "held"


def test_a_history_that_nobody_wrote_is_passed_over(tmp_path: Path) -> None:
    host = deployed_twice(tmp_path)
    with open(host.root / "activations.jsonl", "ab") as file:
        file.write(b'{"generation": 99999999999}\n{"why": "rollback", "commit": [1]}\n')
        file.write(b"[" * 100_000 + b"\n" + b'{"generation": true}\n')
    host.commit(**{"site/index.html": b"newer"})
    assert host.deploy().generation.number == 3
    assert host.live() == 3
    assert host.deploy().outcome == "unchanged"


def test_who_asks_whether_a_run_is_at_work_keeps_none_out(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    place = Generations(host.root)
    asked = threading.Event()

    def asking() -> None:
        with open(host.root / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            asked.set()
            time.sleep(0.05)

    thread = threading.Thread(target=asking)
    thread.start()
    assert asked.wait(10)
    with Root.held(host.root):
        assert place.busy()
    thread.join()
    assert not place.busy()


def test_a_pipe_in_the_place_of_placements_keeps_status_from_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy_times(2)
    placements = host.root / "current" / "site.json"
    placements.unlink()
    os.mkfifo(placements)
    found = status(host.root)
    assert found.live is not None and found.live.number == 2 and found.changes == ()
