"""Disks on a host: a generation may be one, shared and rolled back as volumes are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.rollout import collect, rollback
from blockpack.deploy.host.status import status
from deploy.deployments import manifest
from deploy.disks.card import DISK, FILES, VOLUMES
from deploy.hosts import Host
from deploy.secret_deployments import IN_CLEAR, SECRET, leaks, mode
from deploy.test_secrets_deployed import OPEN, Place
from deploy.test_sharing import shares

NONE: dict[str, None] = dict.fromkeys(("site/index.html", "media/film.bin"))
"""Takes these files of the usual deployment away."""


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.commit(**{**NONE, **FILES})
    return host


def committed(host: Host, **changes: bytes) -> None:
    host.commit(**{**NONE, **FILES, **changes})


def test_a_generation_can_be_one_disk(host: Host) -> None:
    host.deploy()
    assert host.live() == 1
    committed(host, **{"site/index.html": b"other"})
    report = host.deploy()
    assert report.build is not None and report.build.built == ("card",)
    found = status(host.root)
    (card,) = found.generations[-1].volumes
    assert (card.name, card.format) == ("card", "disk")
    (change,) = found.changes
    assert [file.path for file in change.files] == ["site/index.html"]
    assert rollback(host.root).number == 1
    assert host.live() == 1
    host.deploy()
    collect(host.root, 1)
    assert host.numbers() == [1, 2]  # what is live, and one way back


def test_a_disk_that_did_not_change_is_shared_by_any_name(host: Host) -> None:
    host.deploy()
    text = VOLUMES + DISK.replace("disks.card", "disks.sdcard")
    committed(host, **{"blockpack.toml": manifest(text), "elsewhere": b"x"})
    report = host.deploy()
    assert report.build is not None
    assert (report.build.built, report.build.shared) == ((), ("sdcard",))
    old, new = (generation.path for generation in Generations(host.root).all())
    assert shares(old / "card.img", new / "sdcard.img")


def test_nothing_is_deployed_if_nothing_changed(host: Host) -> None:
    host.deploy()
    assert host.deploy().outcome == "unchanged"


SECRET_DISK = f"""{IN_CLEAR}{OPEN}
[disks.card]
partitions = [{{ volume = "keys" }}, {{ volume = "site" }}]
"""


def test_a_disk_with_secrets_is_in_ram_alone(tmp_path: Path, ram: Path) -> None:
    place = Place(tmp_path, ram)
    place.commit(volumes=SECRET_DISK)
    name = place.deploy().generation.name
    image = place.live("card.img")
    assert os.readlink(image) == str(place.in_ram() / name / "card.img")
    assert SECRET in image.read_bytes() and b"open" in image.read_bytes()
    assert mode(image) == 0o600
    assert list(leaks(place.root)) == []
    assert place.deploy().outcome == "unchanged"
    place.commit(volumes=SECRET_DISK, page=b"another")
    assert place.deploy(keep=1).outcome == "deployed"
    collect(place.root, 1)
    assert b"another" in image.read_bytes()
