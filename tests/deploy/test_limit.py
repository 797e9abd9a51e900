"""Images that are larger than the host allows are refused, before anything is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blockpack import BlockpackError, EntryError, Problems, UsageError
from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from blockpack.deploy.secrets import Secrets
from cli.running import process
from deploy.deployments import manifest, names, record, write_files
from deploy.hosts import Host
from deploy.secret_deployments import IN_CIPHER, built, everything, secret_deployment

SITE = 64 << 10
"""Bytes of the image ``site`` of `FILES`."""

MEDIA = 108 << 10
"""Those of ``media``."""

HUGE = manifest(
    '[volumes.a]\nsource = "site"\nformat = "tar"\nfree = "8000T"\n'
    '[volumes.b]\nsource = "site"\nformat = "fat"\nsize = "1T"\n'
    '[volumes.c]\nsource = "nowhere"\nformat = "tar"\n'
    '[volumes.d]\nsource = "media"\nformat = "tar"\n'
)
"""Two volumes that are too large, one that has nothing in it, and one that is fine."""


def refused(error: BlockpackError) -> list[str]:
    """The volumes that are refused for their size, and how."""
    assert isinstance(error, Problems)
    found = []
    for volume in error.exceptions:
        assert isinstance(volume, Problems)
        (member,) = volume.exceptions
        if isinstance(member, EntryError):
            found.append(f"{volume.message} {member.rule}")
    return found


@pytest.mark.parametrize("how", ["check", "build", "executor"])
def test_all_that_is_too_large_is_told_with_all_else(
    deployment: Path, tmp_path: Path, how: str
) -> None:
    write_files(deployment, {"blockpack.toml": HUGE})
    with pytest.raises(Problems) as raised, ThreadPoolExecutor(1) as executor:
        if how == "check":
            check(deployment, max_size=1 << 30)
        else:
            options: dict[str, Any] = {"executor": executor} if how == "executor" else {}
            build(deployment, tmp_path / "dist", max_size=1 << 30, **options)
    assert refused(raised.value) == [
        "volume a: its image has 8,796,093,022,220,288 bytes, "
        "more than the limit of 1,073,741,824 bytes",
        "volume b: its image has 1,099,511,627,776 bytes, "
        "more than the limit of 1,073,741,824 bytes",
    ]
    assert "nowhere" in str(raised.value) and "volume d" not in str(raised.value)
    assert raised.value.exit_code == EntryError.exit_code
    assert not (tmp_path / "dist").exists()


def test_images_may_be_as_large_as_the_limit(deployment: Path, tmp_path: Path) -> None:
    assert check(deployment, max_size=MEDIA) == check(deployment)
    build(deployment, tmp_path / "dist", max_size=MEDIA)
    assert [each["size"] for each in record(tmp_path / "dist")["volumes"]] == [SITE, MEDIA]
    with pytest.raises(Problems) as raised:
        check(deployment, max_size=MEDIA - 1)
    assert [text[:12] for text in refused(raised.value)] == ["volume media"]


def test_what_is_not_asked_for_may_be_larger(deployment: Path, tmp_path: Path) -> None:
    assert build(deployment, tmp_path / "dist", only=["site"], max_size=SITE).built == ("site",)


def test_images_that_are_there_are_refused_as_well(deployment: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    build(deployment, dist)
    before = names(dist), record(dist)
    with pytest.raises(Problems) as raised:
        build(deployment, dist, max_size=SITE)
    assert [text[:12] for text in refused(raised.value)] == ["volume media"]
    assert (names(dist), record(dist)) == before
    assert build(deployment, dist, max_size=MEDIA).unchanged == ("site", "media")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_nothing_keeps_is_wrong_usage(tmp_path: Path, limit: int) -> None:
    host = Host(tmp_path)
    for act in (
        lambda: check(host.place, max_size=limit),
        lambda: build(host.place, tmp_path / "dist", max_size=limit),
        lambda: host.deploy(max_size=limit),
    ):
        with pytest.raises(UsageError, match="1 byte or more"):
            act()


# Deploying ---------------------------------------------------------------------------------------


def test_nothing_is_switched_to_what_is_too_large(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy(max_size=MEDIA)
    host.commit(**{"media/film.bin": bytes(MEDIA)})
    with pytest.raises(Problems) as raised:
        host.deploy(max_size=MEDIA)
    assert [text[:12] for text in refused(raised.value)] == ["volume media"]
    assert host.live() == 1 and host.numbers() == [1]
    assert host.deploy().generation.number == 2


def test_generations_from_before_the_limit_are_no_way_around_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    with pytest.raises(Problems):
        host.deploy(max_size=SITE)  # the very commit that is live
    host.commit(**{"site/index.html": b"again"})
    with pytest.raises(Problems):
        host.deploy(max_size=SITE)  # would share the other volume
    assert host.live() == 1 and host.numbers() == [1]


def test_what_was_rolled_back_to_stays_live_whatever_its_size(tmp_path: Path) -> None:
    from blockpack.deploy.host.rollout import rollback

    host = Host(tmp_path)
    host.deploy()
    host.commit(**{"site/index.html": b"again"})
    host.deploy()
    rollback(host.root)
    assert host.deploy(max_size=SITE).outcome == "held"
    assert host.live() == 1


# Secrets -----------------------------------------------------------------------------------------


def test_of_a_secret_volume_only_that_it_is_larger_is_told(
    tmp_path: Path, keeper: tuple[Path, str]
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1])
    dist = tmp_path / "dist"
    built(place, dist, keeper[0])
    size = (dist / "keys.img").stat().st_size
    own = Secrets(identity=str(keeper[0]))
    for out in (tmp_path / "other", dist):  # one that is to be made, and one that is there
        with pytest.raises(Problems) as raised:
            build(place, out, secrets=own, max_size=size - 1)
        assert refused(raised.value) == [
            f"volume keys: its image is larger than the limit of {size - 1:,} bytes"
        ]
        told = " ".join(everything(raised.value))
        assert f"{size:,}" not in told and f"{size // 2:,}" not in told
    assert not (tmp_path / "other").exists()
    assert build(place, tmp_path / "other", secrets=own, max_size=size).built == ("keys",)
    assert build(place, dist, max_size=size).unchanged == ("keys",)


@pytest.mark.parametrize("asked", ["size", "free", "pad"])
def test_the_room_that_a_secret_volume_asks_for_is_seen_by_a_check(
    tmp_path: Path, keeper: tuple[Path, str], asked: str
) -> None:
    place = secret_deployment(tmp_path / "d", keeper[1], f'{IN_CIPHER}{asked} = "1M"\n')
    with pytest.raises(Problems) as raised:
        check(place, max_size=(2 << 20) - 1)  # what is encrypted is twice as long
    assert refused(raised.value) == [
        "volume keys: its image is larger than the limit of 2,097,151 bytes"
    ]
    assert check(place, max_size=2 << 20)[0].size is None


# The command -------------------------------------------------------------------------------------


def test_the_commands_take_a_limit(deployment: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    host = Host(tmp_path / "host")
    deploying = ("deploy", f"{host.repository.path}@main", "--to", host.root)
    for words in (("check", deployment), ("build", deployment, "--out", dist), deploying):
        done = process(*words, "--max-size", "64K", code=3)
        assert "more than the limit of 65,536 bytes" in done.err
        assert "ask for less room, pack less, or raise the limit: --max-size SIZE" in done.err
        process(*words, "--max-size", "lots", code=2)
        process(*words, "--max-size", "1M")
    assert names(dist) >= {"site.img", "media.img"} and host.live() == 1
    process("build", deployment, "--out", dist, "--max-size", "64K", code=3)
