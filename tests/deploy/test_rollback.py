"""What was rolled back: what is gone back to, and what stays so until there is another commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockpack import (
    ActivationError,
    ImageError,
    SourceError,
    UsageError,
)
from blockpack.deploy.host.rollout import deploy, rollback
from deploy.deployments import names
from deploy.hosts import Host


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
