"""Deploys: what becomes live, what is shared and kept; what the host's command is told."""

from __future__ import annotations

import fcntl
import os
import shlex

import pytest

from blockpack import (
    ActivationError,
    TargetError,
    UsageError,
)
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import collect, rollback
from blockpack.deploy.host.root import Root
from deploy.deployments import FILES, contents, names, record
from deploy.hosts import Host


def test_a_commit_becomes_a_generation(host: Host) -> None:
    report = host.deploy()
    commit = host.repository.oid("main")
    assert report.outcome == "deployed"
    assert os.readlink(host.root / "current") == f"generations/0001-{commit[:12]}"
    assert record(host.root / "current")["source"]["commit"] == commit
    assert contents(host.root / "current/site.img")["index.html"] == b"<h1>hello</h1>\n"
    assert names(host.root) == {"generations", "current", ".lock", "activations.jsonl"}
    assert names(host.root / "current") == {
        *("site.img", "site.json", "media.img", "media.json", "manifest.json")
    }
    for path in (host.root / "current/").iterdir():
        assert path.stat().st_mode & 0o777 == 0o444


def test_nothing_is_done_twice(host: Host) -> None:
    host.deploy(on_activate=host.command())
    assert len(host.told()) == 1
    before = sorted((path, path.stat().st_mtime_ns) for path in host.root.rglob("*"))
    assert host.deploy(on_activate=host.command()).outcome == "unchanged"
    assert not host.log.exists()
    assert sorted((path, path.stat().st_mtime_ns) for path in host.root.rglob("*")) == before
    # Another commit of the same files is another generation, of the same images.
    host.repository.commit({**FILES, "README": b"more"})
    report = host.deploy()
    assert report.outcome == "deployed"
    assert report.build is not None and not report.build.built
    assert host.live() == 2


def test_the_hosts_command_is_told_what_is_live(host: Host) -> None:
    host.deploy(on_activate=host.command())
    commit = host.repository.oid("main")
    path = f"generations/0001-{commit[:12]}"
    assert host.told() == [
        ["deploy", "1", "", commit, "www", str(host.root), path, str(host.root / path)]
    ]
    host.commit(**{"site/index.html": b"new"})
    host.deploy(on_activate=host.command())
    assert host.told()[0][:3] == ["deploy", "2", "1"]
    rollback(host.root, on_activate=host.command())
    assert host.told()[0][:4] == ["rollback", "1", "2", commit]
    assert host.switches() == ["deploy", "deploy", "rollback"]


@pytest.mark.parametrize("code", [1, 77])
def test_if_the_command_fails_the_switch_is_undone(host: Host, code: int) -> None:
    host.deploy()
    commit = host.repository.oid("main")
    host.commit(**{"site/index.html": b"bad"})
    with pytest.raises(
        ActivationError, match=f"status {code}; generation 1 is live again"
    ) as caught:
        host.deploy(on_activate=f'[ "$BLOCKPACK_WHY" = undone ] || ( {host.command(code)} )')
    assert caught.value.exit_code == 7
    assert host.live() == 1
    assert host.told()[0][:3] == ["deploy", "2", "1"]
    # It is told to go back, as well.
    with pytest.raises(ActivationError, match=f"and the command for that ended with status {code}"):
        host.deploy(on_activate=host.command(code))
    assert [line[:4] for line in host.told()] == [
        ["deploy", "2", "1", host.repository.oid("main")],
        ["undone", "1", "2", commit],
    ]
    # And it is tried again, without being built again.
    report = host.deploy(on_activate=host.command())
    assert (report.outcome, report.build, host.live()) == ("activated", None, 2)
    assert host.switches() == ["deploy", "deploy", "undone", "deploy", "undone", "deploy"]


def test_that_the_command_failed_is_told_though_what_was_live_is_damaged(host: Host) -> None:
    host.deploy()
    old = Generations(host.root).numbered(1).path
    host.commit(**{"site/index.html": b"bad"})
    failed = "status 3; generation 1 is live again, and the command for that cannot be run: "
    with pytest.raises(ActivationError, match=failed):
        host.deploy(on_activate=f"rm -f {shlex.quote(str(old / 'manifest.json'))}; exit 3")
    assert os.readlink(host.root / "current") == f"generations/{old.name}"


def test_if_the_first_command_fails_nothing_is_live(host: Host) -> None:
    with pytest.raises(ActivationError, match="nothing is live"):
        host.deploy(on_activate="false")
    assert not os.path.lexists(host.root / "current")
    assert host.deploy().outcome == "activated"
    assert host.live() == 1


def test_a_command_that_is_killed_failed(host: Host) -> None:
    with pytest.raises(ActivationError, match="was killed by signal 9"):
        host.deploy(on_activate="kill -9 $$")


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_may_change_what_is_live_whatever_the_umask(host: Host, umask: int) -> None:
    before = os.umask(umask)
    try:
        host.deploy()
    finally:
        os.umask(before)
    directories = [host.root, *(path for path in host.root.rglob("*") if path.is_dir())]
    assert [path for path in directories if path.stat().st_mode & 0o022] == []


def test_old_generations_are_removed_and_the_live_one_never(host: Host) -> None:
    for number in range(6):
        host.commit(**{"site/index.html": b"%d" % number})
        host.deploy()
    rollback(host.root, 2)
    assert collect(host.root, 2) == (3, 4)
    assert host.numbers() == [1, 2, 5, 6]  # 1 is what a rollback goes to
    assert host.live() == 2
    assert collect(host.root, 2) == ()
    for keep in (0, -1):
        with pytest.raises(UsageError, match="at least 1"):
            collect(host.root, keep)
    host.commit(**{"site/index.html": b"more"})
    assert host.deploy(keep=1).removed == (1, 5, 6)
    assert host.numbers() == [2, 7]
    # What the shared ones were shared with is gone; they are not.
    assert contents(host.root / "current/media.img") == {"film.bin": FILES["media/film.bin"]}


def test_no_number_is_given_twice(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"x"})
    host.deploy()
    rollback(host.root)
    collect(host.root, 1)
    host.commit(**{"site/index.html": b"y"})
    with Root.held(host.root) as root:
        root.remove([root.numbered(2)])
    assert host.deploy().generation.number == 3


def test_a_second_run_at_once_is_refused(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"x"})
    with open(host.root / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for work in (host.deploy, lambda: rollback(host.root), lambda: collect(host.root, 1)):
            with pytest.raises(TargetError, match="another run is at work there"):
                work()
    assert host.deploy().outcome == "deployed"
