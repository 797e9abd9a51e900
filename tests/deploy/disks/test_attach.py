"""Disks are attached and served as volumes are."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockpack.deploy.attach import consumer_for
from blockpack.deploy.attach.disks import deployed
from blockpack.deploy.attach.exports import exports
from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from deploy.deployments import manifest, write_files
from deploy.disks.card import DISK, FILES, VOLUMES, refusal
from repositories import GitRepository


def test_a_disk_is_attached_as_a_volume_is(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    consumer = consumer_for("qemu", deployed(tmp_path / "dist"))
    assert not consumer.problems
    lines = "\n".join(consumer.lines())
    assert f"file.filename={tmp_path}/dist/card.img" in lines and "serial=card" in lines


def test_mirage_has_a_disk_as_a_block(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    consumer = consumer_for("mirage", deployed(tmp_path / "dist"))
    assert 'let volume_card = block_of_file "card"' in list(consumer.lines())
    assert any("mirage-block-partition" in warning for warning in consumer.warnings())


def test_a_disk_suits_its_consumers(deployment: Path, tmp_path: Path) -> None:
    text = (VOLUMES + DISK).replace("entries = 56", "entries-at = '32K'")
    own = manifest(text).replace(b'"www"\n', b'"www"\nconsumer = ["albatross", "xen"]\n')
    write_files(deployment, {"blockpack.toml": own})
    (card,) = build(deployment, tmp_path / "dist").record.volumes
    assert card.sector_size == 4096
    assert card.size is not None and card.size % (1 << 20) == 0
    for name in ("albatross", "xen"):
        assert not consumer_for(name, deployed(tmp_path / "dist")).problems


def test_what_a_consumer_cannot_use_is_refused(deployment: Path) -> None:
    text = (VOLUMES + DISK).replace("entries = 56", 'entries = 56\nsize = "16388K"')
    own = manifest(text).replace(b'"www"\n', b'"www"\nconsumer = "albatross"\n')
    write_files(deployment, {"blockpack.toml": own.replace(b"entries = 56", b"sector-size = 512")})
    assert "disks.card.size: albatross: its size is no" in refusal(lambda: check(deployment))


def test_a_disk_is_served_by_its_name(deployment: Path, tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "repository.git", "--bare")
    repository.commit(FILES)
    build(deployment, tmp_path / "dist")
    with exports(f"git:{repository.path}@main", pytest.fail) as found:
        (layout,) = found.values()
        assert list(found) == ["card"]
        with layout.open() as file:  # type: ignore[union-attr]
            assert file.read() == (tmp_path / "dist/card.img").read_bytes()
    with exports(str(tmp_path / "dist"), pytest.fail) as found:
        assert found == {"card": str(tmp_path / "dist/card.img")}
