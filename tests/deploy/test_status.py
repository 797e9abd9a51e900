"""What the status of a root tells."""

from __future__ import annotations

import pytest

from blockpack import (
    ActivationError,
    SourceError,
)
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.root import Root
from blockpack.deploy.host.status import status
from deploy.deployments import FILES, record
from deploy.hosts import Host


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
