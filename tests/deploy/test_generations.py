"""The order in which a generation comes about: what a crash of the machine could leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.deployments import names
from deploy.hosts import Host


def test_all_is_on_the_disk_before_it_gets_a_name_and_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    host.deploy()
    host.commit(**{"site/index.html": b"new"})
    done: list[tuple[str, str]] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def noted_fsync(descriptor: int) -> None:
        done.append(("flush", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def noted_rename(old: str, new: str) -> None:
        done.append(("rename", str(new)))
        rename(old, new)

    def noted_replace(old: str, new: str) -> None:
        done.append(("replace", str(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    monkeypatch.setattr(os, "replace", noted_replace)
    generation = host.deploy().generation
    monkeypatch.undo()
    named = done.index(("rename", str(generation.path)))
    live = done.index(("replace", str(host.root / "current")))
    directory = str(host.root / "generations")
    flushed = [path for what, path in done[:named] if what == "flush"]
    new = {os.path.basename(path) for path in flushed}
    assert names(generation.path) <= new
    (made,) = {os.path.dirname(path) for path in flushed if path.endswith("manifest.json")}
    assert flushed.index(made) == len(flushed) - 1
    assert ("flush", directory) in done[named:live]
    assert ("flush", str(host.root)) in done[live:]
    assert ("flush", str(host.root / "activations.jsonl")) in done[live:]


def test_a_line_that_a_crash_has_torn_spoils_no_other(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    with open(host.root / "activations.jsonl", "ab") as file:
        file.write(b'{"time": "20')
    host.commit(**{"site/index.html": b"new"})
    assert host.deploy().generation.number == 2
    from blockpack.deploy.generations import Generations

    found = list(Generations(host.root).activations())
    assert [each["generation"] for each in found] == [1, 2]
