"""A host with little memory deploys files that are larger than that, as docs/deploy says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import blockpack
from blockpack.deploy.host.disk_use import disk_use
from blockpack.deploy.host.rollout import deploy
from deploy.deployments import FILES
from faults.mounts import file_system
from repositories import ENVIRONMENT, GitRepository, pointer

LIMIT = 64 << 20
FILM = 72 << 20

Limited = Callable[..., subprocess.CompletedProcess[str]]
"""Runs a program with all that it starts in `LIMIT` bytes."""

_GROUPS = (
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),  # version 1
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/unified", "memory.max"),
)


@contextmanager
def _group() -> Iterator[Path | None]:
    """A control group of `LIMIT` bytes; None where this user can make none."""
    for top, setting in _GROUPS:
        group = Path(top, f"blockpack-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if not (group / setting).exists():
                continue
            with suppress(OSError):
                (group / "memory.swap.max").write_text("0")
            (group / setting).write_text(str(LIMIT))
            yield group
            return
        finally:
            group.rmdir()
    yield None


@pytest.fixture(name="limited", scope="module")
def fixture_limited() -> Iterator[Limited]:
    with _group() as group:

        def limited(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
            if group is not None:
                into = f'echo $$ >"{group}/cgroup.procs" && exec "$@"'
            else:  # private memory alone is counted, for each process
                into = f'ulimit -d {LIMIT >> 10} && exec "$@"'
            source = str(Path(blockpack.__file__).parents[1])
            return subprocess.run(
                ["sh", "-c", into, "sh", *words],
                env={**ENVIRONMENT, "PYTHONPATH": source},
                capture_output=True,
                text=True,
                check=check,
            )

        yield limited


MIRROR = ("git", "clone", "--quiet", "--mirror")
THRESHOLD = "core.bigFileThreshold=1m"
"""As docs/deploy/small-hosts.md has it."""


def program(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "blockpack", *words]


def space(*places: Path) -> int:
    """Bytes of all files in `places`."""
    return sum(path.stat().st_size for place in places for path in place.rglob("*"))


def test_a_film_is_deployed_that_is_larger_than_the_memory(
    limited: Limited, tmp_path: Path
) -> None:
    origin = GitRepository.init(tmp_path / "origin.git", "--bare")
    for setting in ("core.bigFileThreshold=1m", "core.compression=0", "fastimport.unpackLimit=0"):
        origin.git("config", *setting.split("="))
    origin.git("config", "uploadpack.allowFilter", "true")
    files = {**FILES, "media/film.bin": os.urandom(FILM)}
    origin.commit(files)
    url, mirror, root = f"file://{origin.path}", tmp_path / "www.git", tmp_path / "root"
    assert limited(*MIRROR, url, tmp_path / "not", check=False).returncode, "there is no limit"
    limited(*MIRROR, "-c", THRESHOLD, url, mirror)
    limited(*program("deploy", f"{mirror}@main", "--to", root, "--jobs", "1", "--save"))
    limited(*program("status", root, "--verify"))
    assert (root / "current/media.img").stat().st_size > FILM
    # A commit that does not change the film does not need it.
    origin.commit({**files, "site/new": b"new"})
    shutil.rmtree(mirror)
    limited(*MIRROR, "--filter=blob:limit=1m", "-c", THRESHOLD, url, mirror)
    assert space(mirror) < 1 << 20
    assert "1 shared" in limited(*program("deploy", "--to", root)).stderr
    # One that does says how it comes by it.
    origin.commit({**FILES, "media/film.bin": os.urandom(FILM)})
    limited("git", "-C", mirror, "fetch", "--quiet")
    told = limited(*program("deploy", "--to", root), check=False).stderr
    words = re.search(r"git -C \S+ fetch --refetch --no-filter", told)
    assert words, told
    limited(*words[0].split())
    assert "1 shared" in limited(*program("deploy", "--to", root)).stderr


def test_a_film_of_git_lfs_is_stored_once_where_blocks_can_be_shared(tmp_path: Path) -> None:
    with file_system("btrfs", tmp_path, 256 << 20) as mount:
        data = os.urandom(16 << 20)
        oid = hashlib.sha256(data).hexdigest()
        mirror = GitRepository.init(mount / "www.git", "--bare")
        mirror.commit(
            {
                **FILES,
                "media/film.bin": pointer(oid, len(data)),
                "media/.gitattributes": b"*.bin filter=lfs\n",
            }
        )
        place = mirror.path / "lfs/objects" / oid[:2] / oid[2:4] / oid
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
        os.sync()
        deploy(mirror.path, "main", mount / "root")
        os.sync()
        image = mount / "root/current"
        both = disk_use([image, place.parent])
        assert both < disk_use([image]) + (1 << 20)
        assert len(data) <= disk_use([image])
