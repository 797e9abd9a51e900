"""`check` finds what is wrong with a deployment, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blockpack import Problems
from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import UNSEEN, check
from cli.running import process
from deploy.deployments import manifest, record, write_files
from repositories import GitRepository


def everything(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*")}


def test_sizes_are_those_of_a_build(deployment: Path, tmp_path: Path) -> None:
    before = everything(deployment)
    checked = check(deployment)
    assert everything(deployment) == before
    build(deployment, tmp_path / "dist")
    built = [(each["name"], each["size"]) for each in record(tmp_path / "dist")["volumes"]]
    assert [(volume.name, volume.size) for volume in checked] == built


def test_a_commit_is_checked_like_its_files(deployment: Path, tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "r.git", "--bare")
    files = {
        str(path.relative_to(deployment)): path.read_bytes()
        for path in deployment.rglob("*")
        if path.is_file()
    }
    repository.commit(files)
    assert check(f"git:{repository.path}@main") == check(deployment)


def test_what_is_wrong_with_any_volume_is_told_at_once(deployment: Path) -> None:
    text = manifest(
        '[volumes.a]\nsource = "site"\nformat = "fat"\n'
        '[volumes.b]\nsource = "nowhere"\nformat = "tar"\n'
        '[volumes.c]\nsource = "media"\nformat = "tar"\n'
    )
    write_files(deployment, {"blockpack.toml": text, "site/what?": b"", "site/a:b": b""})
    with pytest.raises(Problems) as caught:
        check(deployment)
    told = str(caught.value)
    assert "volume a" in told and "what?" in told and "a:b" in told
    assert "volume b" in told and "nowhere" in told and "volume c:" not in told


def test_secrets_stay_closed(deployment: Path) -> None:
    text = manifest('[volumes.keys]\nsource = "keys"\nformat = "tar"\nsecret = true\n')
    write_files(deployment, {"blockpack.toml": text, "keys/x.age": b"not even age"})
    (volume,) = check(deployment)
    assert volume.size is None and volume.warnings == (UNSEEN,)


def test_the_command_shows_what_would_be_built(deployment: Path) -> None:
    result = process("check", deployment)
    assert [line.split() for line in result.lines] == [
        ["site", "fat", "64.0", "KiB"],
        ["media", "tar", "108.0", "KiB"],
    ]
    assert not process("check", deployment, "--quiet").lines
    found = json.loads(process("check", deployment, "--json").out)
    assert [volume["name"] for volume in found["volumes"]] == ["site", "media"]
    (deployment / "site/what?").write_bytes(b"")
    assert process("check", deployment, code=3).messages
    (deployment / "blockpack.toml").unlink()
    assert process("check", deployment, code=4).messages
