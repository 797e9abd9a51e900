"""What is wrong with a disk is told before anything is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from deploy.deployments import manifest, write_files
from deploy.disks.card import DISK, FILES, VOLUMES, refusal
from repositories import GitRepository


def test_check_tells_how_large_a_disk_would_be(deployment: Path, tmp_path: Path) -> None:
    (checked,) = check(deployment)
    build(deployment, tmp_path / "dist")
    assert (checked.name, checked.format) == ("card", "disk")
    assert checked.size == (tmp_path / "dist/card.img").stat().st_size


def test_all_problems_of_all_volumes_are_told(deployment: Path) -> None:
    write_files(deployment, {"boot/a:b": b"", "site/x" * 60: b""})
    text = (VOLUMES + DISK).replace('"tar"\n', '"tar"\ntar-dialect = "ustar"\n')
    text = text.replace('"u-boot.bin"', '"site"')
    write_files(deployment, {"blockpack.toml": manifest(text)})
    said = refusal(lambda: check(deployment))
    for part in ("disk card", "volume boot", "a:b", "volume site", "name a file"):
        assert part in said, said


@pytest.mark.parametrize("key", ["raw", "partition"])
@pytest.mark.parametrize("source", ["directory", "commit"])
def test_a_directory_is_no_file_whatever_is_in_it(tmp_path: Path, key: str, source: str) -> None:
    text = f"{VOLUMES}[disks.card]\npartitions = [{{ path = 'alone' }}]\n"
    if key == "raw":
        text = VOLUMES + DISK.replace("u-boot.bin", "alone")
    files = {**FILES, "alone/alone": b"x" * 512, "blockpack.toml": manifest(text)}
    place = str(write_files(tmp_path / "deployment", files))
    if source == "commit":
        repository = GitRepository.init(tmp_path / "repository.git", "--bare")
        repository.commit(files)
        place = f"git:{repository.path}@main"
    assert "alone: is not a file" in refusal(lambda: check(place))


@pytest.mark.parametrize("offset", ["0", "512", "1K", "1M", "2M"])
def test_what_overlaps_is_refused(deployment: Path, offset: str) -> None:
    text = VOLUMES + DISK.replace('"8K"', f'"{offset}"')
    if offset.endswith("M"):  # where a partition has to be
        text = text.replace('name = "EFI"', f'name = "EFI"\noffset = "{offset}"')
    write_files(deployment, {"blockpack.toml": manifest(text)})
    assert "bytes in common" in refusal(lambda: check(deployment))


def test_a_partition_that_has_no_hash_tree_is_named(deployment: Path) -> None:
    text = VOLUMES + DISK.replace('name = "EFI"', 'name = "EFI"\nverity = true')
    write_files(deployment, {"blockpack.toml": manifest(text)})
    said = refusal(lambda: check(deployment))
    assert "disk card" in said
    assert "partition 1: no partition with a hash tree has the type esp" in said


def test_a_disk_has_a_largest_size(deployment: Path, tmp_path: Path) -> None:
    said = refusal(lambda: build(deployment, tmp_path / "dist", max_size="8M"))
    assert re.search(r"disk card:\n.* has .* bytes, more than the limit", said)
    assert build(deployment, tmp_path / "dist", max_size="16M").built == ("card",)
    again = refusal(lambda: build(deployment, tmp_path / "dist", max_size="8M"))
    assert again == said


def test_a_volume_of_a_disk_cannot_be_built_alone(deployment: Path, tmp_path: Path) -> None:
    said = refusal(lambda: build(deployment, tmp_path / "dist", only=["site"]))
    assert re.search("'site' has no image of its own.*choose from card", said)


def test_files_that_look_private_are_told_with_their_partition(deployment: Path) -> None:
    write_files(deployment, {"site/id_rsa": b"x"})
    (checked,) = check(deployment)
    assert [(each.path, each.code) for each in checked.warnings] == [("site/id_rsa", "private")]
