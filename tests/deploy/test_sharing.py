"""What a new generation has in common with earlier ones, and what it is built anew for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blockpack import SourceError
from blockpack.deploy.building import sharing
from blockpack.deploy.host.generations import Generations
from blockpack.writing.progress import Meter
from deploy.deployments import FILES, MANIFEST, contents, names, record
from deploy.hosts import Host


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_did_not_change_is_shared_and_not_built(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"new"})
    report = host.deploy()
    assert report.build is not None
    assert (report.build.built, report.build.shared) == (("site",), ("media",))
    old, new = (generation.path for generation in Generations(host.root).all())
    assert shares(old / "media.img", new / "media.img")
    assert not shares(old / "site.img", new / "site.img")
    assert contents(old / "site.img")["index.html"] == b"<h1>hello</h1>\n"
    assert contents(new / "site.img")["index.html"] == b"new"
    # Back to what was: that is there already, in an older generation.
    host.commit()
    report = host.deploy()
    assert report.build is not None
    assert (report.build.built, set(report.build.shared)) == ((), {"site", "media"})
    assert host.live() == 3


def shares(one: Path, other: Path) -> bool:
    """Whether two files are one; where they could be clones, the same bytes have to do."""
    return one.samefile(other) or one.read_bytes() == other.read_bytes()


def test_what_was_shared_and_is_damaged_is_built_again(host: Host) -> None:
    host.deploy()
    image = host.root / "current/media.img"
    image.chmod(0o644)
    os.truncate(image, 512)
    host.commit(**{"site/index.html": b"new"})
    report = host.deploy()
    assert report.build is not None
    assert set(report.build.built) == {"site", "media"}
    assert host.live() == 2


def test_an_image_that_somebody_wrote_to_is_not_shared(tmp_path: Path) -> None:
    host = Host(tmp_path)
    first = host.deploy().generation.path / "site.img"
    was = first.read_bytes()
    first.chmod(0o644)
    with open(first, "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"evil")
    host.commit(unrelated=b"x")
    report = host.deploy()
    assert report.build is not None
    assert "site" in report.build.built
    assert (report.generation.path / "site.img").read_bytes() == was


def test_volumes_of_the_same_are_all_shared(host: Host) -> None:
    manifest = MANIFEST.replace(
        "[volumes.media]", '[volumes.twin]\nsource = "site"\nformat = "fat"\n\n[volumes.media]'
    ).encode()
    host.commit(**{"blockpack.toml": manifest})
    host.deploy()
    host.commit(**{"blockpack.toml": manifest, "README": b"more"})
    report = host.deploy()
    assert report.build is not None
    assert (report.build.built, set(report.build.shared)) == ((), {"site", "twin", "media"})


def test_an_image_that_cannot_be_read_is_built_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    digest_of = sharing.digest_of

    def bad_sector(path: str, meter: Meter) -> str:
        if path.endswith("media.img"):
            raise SourceError(path, "input/output error")
        return digest_of(path, meter)

    monkeypatch.setattr(sharing, "digest_of", bad_sector)
    host.commit(**{"site/index.html": b"new"})
    report = host.deploy()
    assert report.build is not None
    assert set(report.build.built) == {"site", "media"}
    assert host.live() == 2
    assert names(host.root / "current") >= {"media.img", "media.json"}


def test_a_volume_that_is_renamed_or_moved_is_shared(host: Host) -> None:
    host.deploy()
    renamed = MANIFEST.replace("[volumes.media]", "[volumes.film]").encode()
    host.commit(**{"blockpack.toml": renamed})
    report = host.deploy()
    assert report.build is not None
    assert (report.build.built, set(report.build.shared)) == ((), {"site", "film"})
    old, new = (generation.path for generation in Generations(host.root).all())
    assert shares(old / "media.img", new / "film.img")
    assert names(new) >= {"film.img", "film.json"} and "media.img" not in names(new)
    assert [volume["name"] for volume in record(new)["volumes"]] == ["site", "film"]
    moved = renamed.replace(b'source = "media"', b'source = "films"')
    film = FILES["media/film.bin"]
    host.commit(**{"blockpack.toml": moved, "media/film.bin": None, "films/film.bin": film})
    report = host.deploy()
    assert report.build is not None
    assert (report.build.built, set(report.build.shared)) == ((), {"site", "film"})
