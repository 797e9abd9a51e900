"""A deployment is opened once: how many processes of git, looks and plans a run takes."""

from __future__ import annotations

import os
import random
import re
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from blockpack import Layout, Problems
from blockpack.deploy.building import build as building
from blockpack.deploy.building import task as tasks
from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from blockpack.deploy.building.task import Task
from blockpack.deploy.host.rollout import deploy
from blockpack.deploy.secrets import Secrets
from blockpack.deploy.source.deployment import Deployment
from blockpack.sources.directory_walk import DirectoryWalk
from deploy.deployments import FILES, MANIFEST, contents, manifest, names, write_files
from deploy.secret_deployments import IN_CIPHER, sealed
from deploy.secret_deployments import manifest as secret_manifest
from faults.faulty_git import GIT
from repositories import Files, GitRepository

MOST_GITS = 6
"""Processes of git for a deployment of two volumes, whatever it is made of."""

LINES = b"".join(b"%d\n" % number for number in range(20_000))


def commit(repository: GitRepository, files: Files, kind: str) -> None:
    """Commit `files` as a repository of that kind has them."""
    if kind == "deltas":  # which git alone reads
        for at in ("site", "media"):  # of two that are nearly the same, one is a delta
            files = {**files, f"{at}/1": LINES + at.encode(), f"{at}/2": LINES + at.encode() * 2}
        repository.commit(files)
        repository.git("repack", "-a", "-d", "-f", "-q", "--depth=9", "--window=9")
    elif kind == "attributes":
        repository.commit({**files, ".gitattributes": b"*.bak export-ignore\n*.avi filter=lfs\n"})
    elif kind == "large":
        film = random.Random(1).randbytes(300_000)  # read as a stream
        repository.commit({**files, "site/film": film, "media/film": film})
    else:
        repository.commit(files)


@pytest.fixture(name="gits")
def fixture_gits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets a line for each process of git."""
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    log = tmp_path / "gits"
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {GIT} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return log


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        *(("loose", False), ("deltas", False), ("attributes", False), ("large", False)),
        *(("git", False), ("loose", True), ("attributes", True)),
    ],
)
def test_two_volumes_of_a_commit_take_few_processes_of_git(
    tmp_path: Path, gits: Path, keeper: tuple[Path, str], kind: str, secret: bool
) -> None:
    text = f'[volumes.site]\nsource = "site"\nformat = "fat"\n{IN_CIPHER}'
    files = {**FILES, "vault/key.age": sealed(b"secret", keeper[1])}
    files["blockpack.toml"] = secret_manifest(keeper[1], text) if secret else MANIFEST.encode()
    repository = GitRepository.init(tmp_path / "r.git", "--bare")
    if kind == "git":
        files["blockpack.toml"] = re.sub(b'"(fat|tar)"', b'"git"', files["blockpack.toml"])
    commit(repository, files, kind)
    secrets = Secrets(identity=str(keeper[0]))
    name = f"git:{repository.path}"
    for run in (
        lambda: build(name, tmp_path / "dist", jobs=2, secrets=secrets),
        lambda: build(name, tmp_path / "dist", jobs=2, secrets=secrets),
        lambda: check(name, jobs=2),
        lambda: deploy(repository.path, "HEAD", tmp_path / "root", jobs=2, secrets=secrets),
        lambda: deploy(repository.path, "main", tmp_path / "root", jobs=2, secrets=secrets),
    ):
        gits.write_bytes(b"")
        run()
        told = gits.read_text()
        assert 0 < told.count("\n") <= MOST_GITS, told


@pytest.fixture(name="walks")
def fixture_walks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The directories that were walked through."""
    walked: list[bytes] = []
    begin = DirectoryWalk.begin

    def noting(walk: DirectoryWalk) -> None:
        walked.append(walk.root)
        begin(walk)

    monkeypatch.setattr(DirectoryWalk, "begin", noting)
    return walked


def test_each_part_of_a_directory_is_looked_at_once(
    deployment: Path, tmp_path: Path, walks: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long ago that no change could hide.
    monkeypatch.setattr("blockpack.deploy.source.inventory.settled", lambda *_: True)
    depfile = tmp_path / "d"
    for run in (
        lambda: build(deployment, tmp_path / "dist", depfile=depfile),
        lambda: build(deployment, tmp_path / "dist", depfile=depfile),
        lambda: check(deployment),
    ):
        walks.clear()
        run()
        assert sorted(map(os.path.basename, map(os.path.dirname, walks))) == [b"media", b"site"]


@pytest.fixture(name="planned")
def fixture_planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The volumes that were planned."""
    volumes: list[str] = []
    plan = tasks.plan

    def noting(task: Task, deployment: Deployment) -> Layout:
        volumes.append(task.spec.name)
        return plan(task, deployment)

    monkeypatch.setattr(tasks, "plan", noting)
    monkeypatch.setattr(building, "plan", noting)
    return volumes


@pytest.mark.parametrize("kind", [None, ThreadPoolExecutor])
def test_each_volume_is_planned_once(
    deployment: Path,
    tmp_path: Path,
    planned: list[str],
    kind: type[ThreadPoolExecutor] | None,
) -> None:
    executor: Executor | None = kind(1) if kind else None
    build(deployment, tmp_path / "dist", executor=executor)
    assert sorted(planned) == ["media", "site"]


def test_on_an_executor_nothing_gets_its_name_if_a_volume_cannot_be_packed(
    deployment: Path, tmp_path: Path
) -> None:
    write_files(deployment, {"site/a:b": b"", "site/c:d": b""})
    with ThreadPoolExecutor(1) as executor, pytest.raises(Problems) as caught:
        build(deployment, tmp_path / "dist", executor=executor)
    assert "nothing was built" in str(caught.value)
    assert "a:b" in str(caught.value) and "c:d" in str(caught.value)
    assert not (tmp_path / "dist").exists()
    (deployment / "site/a:b").unlink()
    (deployment / "site/c:d").unlink()
    build(deployment, tmp_path / "dist")
    before = (tmp_path / "dist/media.img").read_bytes()
    write_files(deployment, {"site/a:b": b"", "media/film.bin": b"new"})
    with ThreadPoolExecutor(1) as executor, pytest.raises(Problems):
        build(deployment, tmp_path / "dist", executor=executor)
    assert (tmp_path / "dist/media.img").read_bytes() == before


@pytest.mark.parametrize("name", ["deployment", "git:deployment"])
def test_an_executor_may_work_in_another_directory(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name.startswith("git:"):
        repository = GitRepository.init(deployment)
        repository.git("add", ".")
        repository.git("commit", "--quiet", "-m", "x")
    monkeypatch.chdir(tmp_path)
    with ProcessPoolExecutor(1, initializer=os.chdir, initargs=("/",)) as executor:
        report = build(name, "dist", executor=executor)
    assert report.built == ("site", "media")
    assert contents(tmp_path / "dist/media.img") == {"film.bin": FILES["media/film.bin"]}


def test_what_is_excluded_is_no_input(deployment: Path, tmp_path: Path) -> None:
    text = '[volumes.site]\nsource = "site"\nformat = "tar"\nexclude = ["*.bak", "/drafts/"]\n'
    write_files(deployment, {"blockpack.toml": manifest(text), "site/drafts/x": b"1"})
    depfile = tmp_path / "d"
    build(deployment, tmp_path / "dist", depfile=depfile)
    write_files(deployment, {"site/drafts/x": b"22", "site/drafts/y": b"", "site/a.bak": b""})
    assert build(deployment, tmp_path / "dist", depfile=depfile).unchanged == ("site",)
    assert b"drafts" not in depfile.read_bytes()
    write_files(deployment, {"site/drafts.html": b""})
    assert build(deployment, tmp_path / "dist").built == ("site",)


def test_what_was_written_to_an_image_is_noticed_though_its_time_is_as_before(
    deployment: Path, tmp_path: Path
) -> None:
    image = tmp_path / "dist/media.img"
    build(deployment, tmp_path / "dist")
    was, status = image.read_bytes(), image.stat()
    with open(image, "r+b") as file:
        file.write(b"evil")
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert build(deployment, tmp_path / "dist").built == ("media",)
    assert image.read_bytes() == was


@pytest.mark.parametrize("name", [".blockpack-build.json", "manifest.json"])
def test_a_pipe_in_place_of_a_record_is_not_waited_for(
    deployment: Path, tmp_path: Path, name: str
) -> None:
    build(deployment, tmp_path / "dist")
    (tmp_path / "dist" / name).unlink()
    os.mkfifo(tmp_path / "dist" / name)
    build(deployment, tmp_path / "dist")
    assert "media.img" in names(tmp_path / "dist")


def test_a_pipe_in_place_of_a_depfile_is_not_waited_for(deployment: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "d")
    with pytest.raises(Exception, match="d: is not a regular file; name a file"):
        build(deployment, tmp_path / "dist", depfile=tmp_path / "d")
