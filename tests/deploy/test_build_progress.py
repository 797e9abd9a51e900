"""A build and a deploy tell how far they are, in all that takes long, and are done at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockpack import Progress, deploy
from blockpack.deploy.host.status import verify_live
from blockpack.deploy.secrets import Secrets
from deploy.deployments import FILES, write_files
from deploy.hosts import Host
from deploy.secret_deployments import IN_CIPHER, secret_deployment
from told_progress import checked


@pytest.fixture(autouse=True)
def fixture_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blockpack.writing.progress._SECONDS", 0)


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_a_build_reads_back_counts_as_what_it_writes(tmp_path: Path, jobs: int) -> None:
    told: list[Progress] = []
    site = write_files(tmp_path / "site", FILES)
    report = deploy.build(site, tmp_path / "dist", jobs=jobs, progress=told.append)
    written = sum(image.size or 0 for image in report.record.volumes)
    assert checked(told, "planning", "building") == 2 + 2 * written
    assert any(written < each.done < 2 * written for each in told), "reading back is told"


def test_a_deploy_tells_of_all_that_reads_or_writes_images(tmp_path: Path) -> None:
    host = Host(tmp_path)
    told: list[Progress] = []
    host.deploy(progress=told.append)
    sizes = {path.name: path.stat().st_size for path in (host.root / "current").glob("*.img")}
    works = "planning", "building", "verifying", "flushing"
    assert checked(told, *works) == 2 + 4 * sum(sizes.values())
    told.clear()
    host.commit(**{"site/index.html": b"new"})
    host.deploy(progress=told.append)
    assert checked(told, "sharing", *works) == sizes["media.img"] + 1 + 4 * sizes["site.img"]


def test_an_executor_tells_how_many_volumes_are_built(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    told: list[Progress] = []
    site = write_files(tmp_path / "site", FILES)
    with ThreadPoolExecutor(1) as executor:
        deploy.build(site, tmp_path / "dist", executor=executor, progress=told.append)
    assert told[-1] == Progress("building", 2, 2, "volumes", finished=True)


def test_what_is_live_is_read_with_progress(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    told: list[Progress] = []
    verify_live(host.root, told.append)
    total = sum(path.stat().st_size for path in (host.root / "current").glob("*.img"))
    assert checked(told, "verifying") == total


def test_of_secrets_only_the_number_of_volumes_is_told(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], IN_CIPHER)
    told: list[Progress] = []
    secrets = Secrets(identity=str(keeper[0]))
    deploy.build(place, tmp_path / "dist", secrets=secrets, progress=told.append)
    assert checked(told, "building secrets") == 1
    assert {each.unit for each in told} == {"volumes"}
