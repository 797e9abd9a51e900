"""What somebody planted in DIST or in ROOT: nothing elsewhere is wiped, removed or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blockpack import UsageError
from blockpack.deploy.building.build import build
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import collect, rollback
from deploy.deployments import names, record, write_files
from deploy.hosts import Host

STAGED = ".blockpack-secret-0123456789abcdef.tmp"


@pytest.fixture(name="precious")
def fixture_precious(tmp_path: Path) -> Path:
    """A directory of somebody's files, one of which is private, and one a link to another."""
    place = write_files(tmp_path / "precious", {"private": b"mine", "a.img": b"mine", "sub/b": b""})
    (place / "private").chmod(0o600)
    (place / "a.img").chmod(0o600)
    write_files(tmp_path / "linked", {"to": b"mine"})
    (tmp_path / "linked/to").chmod(0o600)
    (place / "link").symlink_to(tmp_path / "linked/to")
    return place


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def is_intact(precious: Path) -> bool:
    assert names(precious) == {"private", "a.img", "sub", "link"}
    contents = [(precious / name).read_bytes() for name in ("private", "a.img", "link")]
    return contents == [b"mine"] * 3 and (precious / "sub/b").exists()


def test_links_in_what_looks_left_over_are_not_followed(
    deployment: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a repository can have them, whose directory is built in."""
    out = deployment / "dist"
    (out / STAGED).mkdir(parents=True)
    (out / STAGED / "a.img").symlink_to(precious / "a.img")
    (out / STAGED / "private").symlink_to("../precious/private")
    (out / STAGED / "directory").symlink_to(precious)
    (out / STAGED.replace("0", "1")).symlink_to(precious)
    (out / STAGED.replace("secret-", "")).symlink_to(precious)
    (out / ".blockpack-0123456789abcdea.tmp").symlink_to(precious / "private")
    monkeypatch.chdir(deployment)
    build(".", "dist")
    assert is_intact(precious)
    assert not [name for name in names(out) if name.endswith(".tmp")]


def test_only_what_runs_leave_is_removed(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    own = {
        ".new-article/draft.txt": b"",
        ".blockpack-notes.tmp": b"",
        ".blockpack-ideas/1": b"",
    }
    write_files(out, own)
    build(deployment, out)
    assert all((out / name).exists() for name in own)


@pytest.mark.parametrize("file", ["manifest.json", ".blockpack-build.json", "site.img"])
def test_what_is_written_takes_the_place_of_a_link(
    deployment: Path, precious: Path, file: str
) -> None:
    out = deployment / "dist"
    out.mkdir()
    (out / file).symlink_to(precious / "private")
    build(deployment, out)
    assert is_intact(precious)
    assert not (out / file).is_symlink()
    assert len(record(out)["volumes"]) == 2


@pytest.mark.parametrize("out", ["dist", "dist/sub"])
def test_a_link_in_a_deployment_does_not_say_where_to_build(
    deployment: Path, precious: Path, out: str
) -> None:
    (deployment / "dist").symlink_to(precious)
    with pytest.raises(UsageError, match="a link leads out of it"):
        build(deployment, deployment / out)
    assert is_intact(precious)


def test_links_among_generations_are_not_followed(host: Host, precious: Path) -> None:
    for number in range(3):
        host.commit(**{"site/index.html": b"%d" % number})
        host.deploy()
    for name in (".new-0123456789ab", "0000-0123456789ab", "9999-0123456789ab"):
        (host.root / "generations" / name).symlink_to(precious)
    planted = host.root / "generations/.new-ba9876543210"
    (planted / STAGED).mkdir(parents=True)
    (planted / STAGED / "a.img").symlink_to(precious / "a.img")
    (planted / "a.img").symlink_to(precious / "a.img")
    assert collect(host.root, 2) == (1,)
    assert is_intact(precious)
    assert not planted.exists()
    assert host.numbers() == [2, 3]
    assert rollback(host.root).number == 2
    host.commit(**{"site/index.html": b"more"})
    assert host.deploy().generation.number == 4
    assert is_intact(precious)


def test_links_of_a_generation_lead_to_nothing_but_images_of_deploys(
    host: Host, precious: Path
) -> None:
    host.deploy_times(3)
    old = host.root / "generations" / Generations(host.root).numbered(1).name
    (old / "a.img").symlink_to(precious / "a.img")
    (old / "private").symlink_to(precious / "private")
    (old / "to").symlink_to("../../../linked/to")
    assert collect(host.root, 1) == (1,)
    assert not old.exists()
    assert is_intact(precious)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_an_image_that_is_not_secret_is_not_wiped_under_whoever_has_it_open(
    host: Host, umask: int
) -> None:
    before = os.umask(umask)
    try:
        host.deploy()
        with open(host.root / "current/site.img", "rb") as attached:
            whole = attached.read()
            host.deploy_times(2)
            assert collect(host.root, 1) == (1,)
            attached.seek(0)
            assert attached.read() == whole
    finally:
        os.umask(before)
