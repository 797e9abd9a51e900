"""The commands of deployments: what they print, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from blockpack.deploy.host.generations import Generations
from cli.running import Result, process
from deploy.deployments import contents, names, record, write_files
from deploy.hosts import Host


def command(*arguments: str | Path, code: int = 0) -> Result:
    return process(*arguments, code=code)


def as_json(*arguments: str | Path) -> Any:
    return json.loads(command(*arguments, "--json").out)


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# Build -------------------------------------------------------------------------------------------


def test_build_tells_what_it_did(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    done = command("build", deployment, "--out", out)
    assert done.out == b""
    assert done.messages[0].startswith(f"{out}/site.img: built, ")
    assert [line.partition(": ")[2].partition(",")[0] for line in done.messages] == ["built"] * 2
    done = command("build", deployment, "--out", out)
    assert re.fullmatch(r"2 images unchanged, in \d+\.\d\d s", done.messages[0])
    assert command("build", deployment, "--out", out, "--quiet").err == ""
    (deployment / "site/new").write_bytes(b"")
    done = command("build", deployment, "--out", out)
    assert done.messages[-1].startswith("1 image unchanged")


def test_build_is_about_the_directory_that_it_is_run_in(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(deployment)
    command("build", "--out", "dist")
    assert len(record(deployment / "dist")["volumes"]) == 2
    assert command("build", "--out", "dist").messages[0].startswith("2 images unchanged")


def test_build_tells_it_as_json(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    for outcome in ("built", "unchanged"):
        found = as_json("build", deployment, "--out", out)
        assert found.keys() == {"name", "volumes", "removed", "warnings", "seconds"}
        told = {volume["name"]: volume for volume in record(out)["volumes"]}
        for volume in found["volumes"]:
            assert volume.keys() == {"name", "file", "size", "sha256", "outcome"}
            assert volume["outcome"] == outcome
            assert volume["sha256"] == told[volume["name"]]["sha256"]
    (deployment / "site/new").write_bytes(b"")
    found = as_json("build", deployment, "--out", out, "--only", "media")
    assert {each["name"]: each["outcome"] for each in found["volumes"]} == {
        "site": "left",
        "media": "unchanged",
    }


def test_warnings_name_their_volume(deployment: Path, tmp_path: Path) -> None:
    text = '[deployment]\nname = "x"\n[volumes.v]\nsource = "site"\nformat = "fat"\n'
    write_files(deployment, {"blockpack.toml": text.encode(), "site/aux.txt": b""})
    done = command("build", deployment, "--out", tmp_path / "dist")
    assert "warning: volume v: " in done.err


def test_the_problems_of_all_volumes_are_indented_under_them(
    deployment: Path, tmp_path: Path
) -> None:
    write_files(deployment, {"site/a:b": b"", "site/c|d": b""})
    done = command("build", deployment, "--out", tmp_path / "dist", code=3)
    assert done.messages[0] == "1 problem: nothing was built"
    assert done.messages[1].startswith("  volume site: 2 problems: ")
    assert done.messages[2].startswith("    a:b: ")
    assert done.messages[3].startswith("    c|d: ")


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (("build", "nowhere", "--out", "dist"), 4, "directory"),
        (("build", "git:nowhere@HEAD", "--out", "dist"), 4, "directory"),
        (("build", ".", "--out", "dist"), 4, "has no blockpack.toml"),
        (("build", "."), 2, "--out"),
        (("build", "d", "--out", "dist", "--jobs", "0"), 2, "a number from 1 on"),
        (("build", "d", "--out", "d"), 2, "build into a directory of its own"),
        (("build", "d", "--out", "d/blockpack.toml"), 5, "not a directory"),
        (
            ("build", "d", "--out", "dist", "--only", "x"),
            2,
            "no volume 'x'; choose from site, media",
        ),
        (("deploy", "nowhere", "--to", "root"), 4, "directory"),
        (("deploy", "d", "--to", "root"), 4, "is not a git repository"),
        (("deploy", "r@nope", "--to", "root"), 4, "has no revision 'nope'"),
        (("deploy", "r", "--to", "root", "--keep", "0"), 2, "at least 1"),
        (("deploy", "r"), 2, "--to"),
        (("rollback", "nowhere"), 4, "has no generations"),
        (("status", "nowhere"), 4, "has no generations"),
        (("gc", "nowhere", "--keep", "1"), 4, "has no generations"),
    ],
)
def test_errors_are_told_in_one_line(
    host: Host,
    deployment: Path,
    arguments: tuple[str, ...],
    code: int,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployment.rename(host.place / "d")
    host.repository.path.rename(host.place / "r")
    monkeypatch.chdir(host.place)
    before = names(host.place)
    done = command(*arguments, code=code)
    assert wanted in done.err
    assert names(host.place) == before


# Deploy, rollback, status, gc --------------------------------------------------------------------


def test_the_life_of_a_deployment(host: Host) -> None:
    address = f"{host.repository.path}@main"
    done = command("deploy", address, "--to", host.root)
    assert " is live, 2 built (" in done.messages[0]
    assert command("deploy", address, "--to", host.root).messages == [
        f"{host.root}/generations/0001-{host.repository.oid('main')[:12]} is live already"
    ]
    second = host.commit(**{"site/index.html": b"second"})
    found = as_json("deploy", host.repository.path, "--to", host.root)
    assert (found["outcome"], found["generation"], found["commit"]) == ("deployed", 2, second)
    assert {each["name"]: each["outcome"] for each in found["build"]["volumes"]} == {
        "site": "built",
        "media": "shared",
    }
    shown = command("status", host.root).lines
    assert re.fullmatch(
        r"www: generation 2 is live since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown[0]
    )
    assert shown[1] == f"commit {second}"
    assert shown[-2:] == ["~ site", "~ site/index.html"]
    told = as_json("status", host.root)
    assert (told["live"], told["compared"], told["unfinished"]) == (2, 1, False)
    assert told["changes"] == [
        {
            "name": "site",
            "change": "changed",
            "files": [{"path": "index.html", "change": "changed"}],
        }
    ]
    assert command("status", host.root, "--diff", "2", "1").lines == ["~ site", "~ site/index.html"]
    assert as_json("status", host.root, "--diff", "1", "1")["changes"] == []
    assert command("rollback", host.root).messages[0].endswith(" is live")
    done = command("deploy", address, "--to", host.root)
    assert "stays live, because it was rolled back to" in done.messages[0]
    command("rollback", host.root, "--to", "2")
    assert contents(host.root / "current/site.img")["index.html"] == b"second"
    host.deploy_times(1)
    assert command("gc", host.root, "--keep", "1").messages == ["removed: 1"]
    assert command("gc", host.root, "--keep", "1").messages == ["removed: nothing"]
    assert host.numbers() == [2, 3]


def test_a_command_that_fails_is_told_with_its_own_exit_code(host: Host) -> None:
    address = f"{host.repository.path}@main"
    arguments = ("deploy", address, "--to", host.root, "--json", "--on-activate")
    assert json.loads(command(*arguments, "echo said").out)["outcome"] == "deployed"
    host.commit(**{"site/index.html": b"x"})
    done = process(*arguments, "echo said; exit 3", code=7)
    assert done.out == b""
    assert done.err.splitlines() == [
        "said",
        "said",
        "blockpack: generation 2: the command ended with status 3; generation 1 is live again, "
        "and the command for that ended with status 3",
        f"blockpack: to try again: blockpack deploy {address} --to {host.root} "
        "--on-activate 'echo said; exit 3'",
    ]
    assert Generations(host.root).current() == Generations(host.root).numbered(1)


def test_deploy_in_a_hooks_environment(host: Host) -> None:
    """Git has GIT_DIR and more in it, relative to where the hook runs."""
    done = process(
        *("deploy", f"{host.repository.path}@main", "--to", host.root),
        changes={"GIT_DIR": ".", "GIT_QUARANTINE_PATH": "x", "GIT_WORK_TREE": "/nowhere"},
    )
    assert done.messages
    assert host.live() == 1
