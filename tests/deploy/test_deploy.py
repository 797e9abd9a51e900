"""Generations: what is live, what is shared, what is undone; what the host's command is told."""

from __future__ import annotations

import fcntl
import os
import shlex
from pathlib import Path

import pytest

from blockpack import (
    ActivationError,
    BlockpackError,
    ImageError,
    Problems,
    SourceError,
    TargetError,
    UsageError,
)
from blockpack.deploy.host import rollout, soundness
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import collect, deploy, rollback
from blockpack.deploy.host.root import Root
from blockpack.deploy.host.status import status
from blockpack.deploy.record import ImageRecord
from blockpack.writing.progress import Meter
from deploy.deployments import FILES, contents, names, record
from deploy.hosts import Host


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    return Host(tmp_path)


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


def test_what_was_rolled_back_stays_so_until_there_is_another_commit(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"bad"})
    host.deploy()
    assert rollback(host.root).number == 1
    assert host.live() == 1
    assert host.deploy(on_activate="false").outcome == "held"
    assert host.live() == 1
    rollback(host.root, 2)
    assert host.live() == 2
    rollback(host.root)
    host.commit(**{"site/index.html": b"good"})
    assert host.deploy().outcome == "deployed"
    assert host.live() == 3
    assert host.switches()[2:] == [*("rollback", "rollback", "rollback", "deploy")]


def test_a_commit_that_was_rolled_back_stays_so_whatever_else_changes(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    first = host.repository.oid("main")
    host.commit(**{"site/index.html": b"bad"})
    host.deploy()
    host.commit(**{"site/index.html": b"worse"})
    host.deploy()
    rollback(host.root)
    rollback(host.root)
    for epoch in ("400000000", "500000000"):  # its images would not be the same
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        report = host.deploy(on_activate="false")
        assert (report.outcome, report.commit, report.build) == ("held", first, None)
    host.repository.git("update-ref", "refs/heads/main", "main~1")  # nor the other bad one
    assert host.deploy(on_activate="false").outcome == "held"
    host.repository.git("update-ref", "refs/heads/main", "main~1")
    assert host.deploy().commit == first
    host.commit(**{"site/index.html": b"good"})
    assert host.deploy().outcome == "deployed"


def test_what_was_rolled_back_to_is_built_anew_if_it_is_not_whole(host: Host) -> None:
    host.deploy()
    first = host.repository.oid("main")
    host.commit(**{"site/index.html": b"bad"})
    host.deploy()
    rollback(host.root)
    (host.root / "current/site.img").unlink()
    report = host.deploy(on_activate=host.command())
    assert (report.outcome, report.commit, host.live()) == ("deployed", first, 3)
    assert host.told()[0][:4] == ["rollback", "3", "1", first]
    assert host.deploy(on_activate="false").outcome == "held"
    assert host.live() == 3


def test_what_was_rolled_back_to_stays_though_its_commit_is_gone(
    host: Host, tmp_path: Path
) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"bad"})
    host.deploy()
    rollback(host.root)
    shallow, url = tmp_path / "shallow.git", f"file://{host.repository.path}"
    host.repository.git("clone", "-q", "--bare", "--depth", "1", url, str(shallow))
    assert deploy(shallow, "main", host.root, on_activate="false").outcome == "held"
    assert host.live() == 1
    # It is needed to build what is gone.
    (host.root / "current/site.img").unlink()
    with pytest.raises(SourceError):
        deploy(shallow, "main", host.root)


def test_a_rollback_that_failed_holds_nothing(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"bad"})
    host.deploy()
    with pytest.raises(ActivationError):
        rollback(host.root, on_activate='[ "$BLOCKPACK_WHY" = undone ]')
    assert host.live() == 2
    assert host.deploy().outcome == "unchanged"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_may_change_what_is_live_whatever_the_umask(host: Host, umask: int) -> None:
    before = os.umask(umask)
    try:
        host.deploy()
    finally:
        os.umask(before)
    directories = [host.root, *(path for path in host.root.rglob("*") if path.is_dir())]
    assert [path for path in directories if path.stat().st_mode & 0o022] == []


def test_there_is_not_always_something_to_go_back_to(host: Host, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no generations"):
        rollback(tmp_path / "nowhere")
    host.deploy()
    with pytest.raises(UsageError, match="no older generation that passed; deploy one"):
        rollback(host.root)
    with pytest.raises(UsageError, match="has no generation 7; there are 1"):
        rollback(host.root, 7)
    host.commit(**{"site/index.html": b"x"})
    host.deploy()
    (host.root / "generations").joinpath(
        next(name for name in names(host.root / "generations") if name.startswith("0001")),
        "media.img",
    ).unlink()
    with pytest.raises(ImageError, match="is gone; deploy again"):
        rollback(host.root)
    assert host.live() == 2


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


# What goes wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"site/a:b": b""}, "a:b"),
        ({"blockpack.toml": b"[deployment"}, "blockpack.toml"),
        ({"blockpack.toml": None}, "has no blockpack.toml"),
        ({"media/film.bin": None}, "add a file or remove it from blockpack.toml"),
    ],
)
def test_a_bad_commit_changes_nothing(
    host: Host, changes: dict[str, bytes | None], wanted: str
) -> None:
    host.deploy(on_activate=host.command())
    host.told()
    before = sorted(path for path in host.root.rglob("*"))
    host.commit(**changes)
    with pytest.raises(BlockpackError) as caught:
        host.deploy(on_activate=host.command())
    assert wanted in str(caught.value)
    assert sorted(path for path in host.root.rglob("*")) == before
    assert not host.log.exists()
    assert host.live() == 1


def test_an_image_that_is_not_sound_is_not_switched_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"x"})
    damage = ImageError("", "it is damaged")
    monkeypatch.setattr("blockpack.images.image.Image.verify", lambda *_, **__: [damage])
    with pytest.raises(ImageError, match="volume site: it is damaged; nothing was switched"):
        host.deploy()
    assert host.live() == 1
    assert host.numbers() == [1]
    monkeypatch.undo()

    from blockpack.deploy.building import executors

    make = executors.__dict__["make"]

    def damaging(task, *arguments):  # type: ignore[no-untyped-def]
        built = make(task, *arguments)
        path = Path(task.staging, built.record.file)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        return built

    monkeypatch.setattr(executors, "make", damaging)
    with pytest.raises(ImageError, match="volume site: is not what was written"):
        host.deploy()
    assert host.live() == 1


def test_an_image_that_cannot_be_read_is_not_switched_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_sound = soundness.require_sound

    def losing(image: ImageRecord, directory: str, meter: Meter) -> None:
        Path(directory, image.file).unlink()
        require_sound(image, directory, meter)

    monkeypatch.setattr(rollout, "require_sound", losing)
    with pytest.raises(SourceError, match=r"site\.img: cannot be read"):
        host.deploy()
    assert host.live() is None


def test_current_that_is_not_ours_is_left_alone(host: Host, tmp_path: Path) -> None:
    host.root.mkdir()
    (host.root / "current").mkdir()
    with pytest.raises(TargetError, match="is not a link to a generation"):
        host.deploy()
    (host.root / "current").rmdir()
    for target in ("../elsewhere", "generations/../..", "generations/0001-0123456789ab", "/etc"):
        (host.root / "current").symlink_to(target)
        with pytest.raises(TargetError, match="which is not a generation"):
            host.deploy()
        (host.root / "current").unlink()
    host.deploy()
    assert host.live() == 1


def test_nothing_of_the_repository_is_run_and_nothing_is_written_elsewhere(host: Host) -> None:
    evil = f"#!/bin/sh\ntouch {shlex.quote(str(host.place / 'run'))}\n"
    for hook in ("post-receive", "post-checkout", "reference-transaction", "post-update"):
        path = host.repository.path / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(evil)
        path.chmod(0o755)
    host.repository.git("config", "core.fsmonitor", str(path))
    text = FILES["blockpack.toml"]
    host.commit(
        **{
            "blockpack.toml": text,
            "current": b"",
            "on-activate": evil.encode(),
            "hooks/post-receive": evil.encode(),
        }
    )
    before = names(host.place) | {"root"}
    host.deploy()
    assert names(host.place) == before
    host.commit(**{"blockpack.toml": text + b'on_activate = "touch run"\n'})
    with pytest.raises(Problems):
        host.deploy()


# Status ------------------------------------------------------------------------------------------


def test_status_tells_what_is_live_and_what_changed(host: Host) -> None:
    with pytest.raises(SourceError, match="has no generations"):
        status(host.root)
    host.deploy()
    first = status(host.root)
    assert (first.name, first.compared, first.changes) == ("www", None, ())
    text = FILES["blockpack.toml"].replace(b"volumes.media", b"volumes.films")
    commit = host.commit(
        **{
            "site/index.html": b"changed",
            "site/pages/about.html": None,
            "site/pages/new.html": b"new",
            "blockpack.toml": text,
        }
    )
    host.deploy()
    found = status(host.root)
    assert found.live is not None
    assert (found.live.number, found.live.commit) == (2, commit)
    assert found.live.live_since is not None
    assert found.live.size == sum(
        volume["size"] for volume in record(host.root / "current")["volumes"]
    )
    assert [(each.number, each.live) for each in found.generations] == [(1, False), (2, True)]
    assert found.compared == 1
    changes = {change.name: change for change in found.changes}
    assert {name: change.change for name, change in changes.items()} == {
        "site": "changed",
        "media": "removed",
        "films": "added",
    }
    assert [(file.path, file.change) for file in changes["site"].files] == [
        ("index.html", "changed"),
        ("pages/about.html", "removed"),
        ("pages/new.html", "added"),
    ]


def test_a_run_that_ends_while_status_asks_is_not_unfinished(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    with open(host.root / "activations.jsonl", "a") as history:
        history.write('{"generation": 1, "why": "deploy", "before": null, "command": true}\n')
    assert status(host.root).unfinished

    def ending(place: Generations) -> bool:
        with Root.held(place.root) as root:
            root.passed(root.numbered(1))
        return False

    monkeypatch.setattr(Generations, "busy", ending)
    assert not status(host.root).unfinished


def test_status_when_nothing_is_live(host: Host) -> None:
    with pytest.raises(ActivationError):
        host.deploy(on_activate="false")
    found = status(host.root)
    assert (found.live, found.changes, len(found.generations)) == (None, (), 1)
