"""Disks are built as volumes are, in one image each, and again only when something changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from cli.running import process
from deploy.deployments import manifest, names, record, write_files
from deploy.disks.card import DISK, FILES, LOADER, VOLUMES, in_fat, in_tar, partitions
from judges.programs import run
from pages import ROOT
from repositories import GitRepository


def test_volumes_are_built_in_their_places(deployment: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    report = build(deployment, dist)
    assert report.built == ("card",)
    assert names(dist) == {".blockpack-build.json", "card.img", "card.json", "manifest.json"}
    boot, site, swap = partitions(dist / "card.img")
    assert [each.told.name for each in (boot, site, swap)] == ["EFI", "site", "swap"]
    assert boot.told.type == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert swap.told.type == "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
    assert (site.told.attributes, boot.told.attributes) == (1 << 60, 0)
    assert (len(site.data), len(swap.data)) == (4 << 20, 2 << 20)
    assert in_fat(boot.data, tmp_path) == {
        "EFI/BOOT/BOOTX64.EFI": FILES["boot/EFI/BOOT/BOOTX64.EFI"]
    }
    assert in_tar(site.data, tmp_path) == {
        "index.html": FILES["site/index.html"],
        "pages/about.html": FILES["site/pages/about.html"],
    }
    with (dist / "card.img").open("rb") as file:
        file.seek(8 << 10)
        assert file.read(len(LOADER)) == LOADER


def test_sfdisk_finds_nothing_wrong(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    assert b"No errors" in run("sfdisk", ["--verify", tmp_path / "dist/card.img"]).stdout


def test_the_record_tells_of_a_disk_as_of_a_volume(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    (card,) = record(tmp_path / "dist")["volumes"]
    assert (card["name"], card["file"], card["format"]) == ("card", "card.img", "disk")
    placements = json.loads((tmp_path / "dist/card.json").read_text())
    entries = {entry["path"]: entry for entry in placements["entries"]}
    assert {"EFI/EFI/BOOT/BOOTX64.EFI", "site/index.html"} <= set(entries)
    page = entries["site/index.html"]
    with (tmp_path / "dist/card.img").open("rb") as file:
        file.seek(page["offset"])
        assert file.read(page["size"]) == FILES["site/index.html"]


def test_a_volume_can_have_an_image_of_its_own_too(deployment: Path, tmp_path: Path) -> None:
    text = (VOLUMES + DISK).replace('format = "tar"\n', 'format = "tar"\nimage = true\n')
    write_files(deployment, {"blockpack.toml": manifest(text)})
    report = build(deployment, tmp_path / "dist")
    assert report.built == ("site", "card")
    alone = (tmp_path / "dist/site.img").read_bytes()
    assert partitions(tmp_path / "dist/card.img")[1].data[: len(alone)] == alone


def test_a_partition_can_be_a_finished_image(deployment: Path, tmp_path: Path) -> None:
    write_files(deployment, {"root.ext4": b"EXT4" * 2048, "other.ext4": b"4TXE" * 2048})
    root, other = '{ path = "root.ext4", name = "root" }', '{ path = "other.ext4", name = "other" }'
    contents = []
    for three in (root, other):
        text = f"{VOLUMES}[disks.card]\npartitions = [{root}, {other}, {three}]\n"
        text = text.replace('name = "root" }]', 'name = "third" }]').replace(
            '"other" }]', '"third" }]'
        )
        write_files(deployment, {"blockpack.toml": manifest(text)})
        assert "card" in build(deployment, tmp_path / "dist").built
        contents.append([each.data[:4] for each in partitions(tmp_path / "dist/card.img")])
    assert contents == [[b"EXT4", b"4TXE", b"EXT4"], [b"EXT4", b"4TXE", b"4TXE"]]
    write_files(deployment, {"other.ext4": b"XXXX" * 2048})
    assert build(deployment, tmp_path / "dist").built == ("card",)


@pytest.mark.parametrize("size", ["16M", "rest"])
def test_a_volume_fills_its_partition_if_nothing_grows_it(
    deployment: Path, tmp_path: Path, size: str
) -> None:
    text = (VOLUMES + DISK).replace('name = "EFI"', f'name = "EFI"\nsize = "{size}"')
    if size == "rest":
        text = text.replace("[disks.card]\n", '[disks.card]\nsize = "24M"\n')
    write_files(deployment, {"blockpack.toml": manifest(text)})
    build(deployment, tmp_path / "dist")
    boot = partitions(tmp_path / "dist/card.img")[0].data
    assert len(boot) >= 16 << 20
    assert len(boot) == 512 * int.from_bytes(boot[19:21], "little")
    assert not check(deployment)[0].warnings


def test_an_image_goes_when_a_disk_takes_its_volume_in(deployment: Path, tmp_path: Path) -> None:
    write_files(deployment, {"blockpack.toml": manifest(VOLUMES)})
    build(deployment, tmp_path / "dist")
    write_files(deployment, FILES)
    report = build(deployment, tmp_path / "dist")
    assert set(report.removed) == {"boot.img", "boot.json", "site.img", "site.json"}
    assert [volume["name"] for volume in record(tmp_path / "dist")["volumes"]] == ["card"]


CHANGES: Mapping[str, Mapping[str, bytes]] = {
    "a volume": {"site/index.html": b"<h1>other</h1>\n"},
    "a new file": {"boot/loader.conf": b"timeout 0\n"},
    "a raw file": {"u-boot.bin": LOADER[::-1]},
    "a partition": {"blockpack.toml": manifest((VOLUMES + DISK).replace('"2M"', '"4M"'))},
    "an option": {"blockpack.toml": manifest((VOLUMES + DISK).replace("56", "48"))},
    "an option of a volume": {
        "blockpack.toml": manifest((VOLUMES + DISK).replace('"fat"\n', '"fat"\nlabel = "BOOT"\n'))
    },
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_disk_is_built_again_when_what_it_is_made_of_changed(
    deployment: Path, tmp_path: Path, changed: str
) -> None:
    dist = tmp_path / "dist"
    before = build(deployment, dist).record.volumes[0]
    write_files(deployment, CHANGES[changed])
    report = build(deployment, dist)
    assert report.built == ("card",)
    assert report.record.volumes[0].sha256 != before.sha256


def test_nothing_is_built_if_nothing_changed(deployment: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    build(deployment, dist)
    write_files(deployment, {"elsewhere": b"x"})
    before = (dist / "card.img").stat()
    report = build(deployment, dist)
    assert (report.built, report.unchanged) == ((), ("card",))
    assert (dist / "card.img").stat() == before
    # And when a volume of its own changes, the disk is left alone.
    text = f'{VOLUMES}{DISK}[volumes.other]\nsource = "elsewhere"\nformat = "tar"\n'
    write_files(deployment, {"blockpack.toml": manifest(text)})
    report = build(deployment, dist)
    assert (report.built, report.unchanged) == (("other",), ("card",))


def test_a_commit_and_a_directory_give_the_same_disk(deployment: Path, tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "repository.git", "--bare")
    repository.commit(FILES)
    build(deployment, tmp_path / "one")
    build(f"git:{repository.path}@main", tmp_path / "other")
    one, other = ((tmp_path / name / "card.img").read_bytes() for name in ("one", "other"))
    assert one == other


def test_the_command_makes_the_same_disk(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (VOLUMES + DISK).replace('type = "esp"\nname = "EFI"', 'size = "8M"')
    write_files(deployment, {"blockpack.toml": manifest(text)})
    build(deployment, tmp_path / "dist")
    monkeypatch.chdir(deployment)
    partitions = ["boot=boot:fat,size=8M", "site=site:tar,size=4M,flags=read-only", "swap,size=2M"]
    options = [word for each in partitions for word in ("--partition", each)]
    other = tmp_path / "other.img"
    done = process("disk", other, "--entries", "56", "--raw", "u-boot.bin@8K", *options)
    assert done.code == 0, done.err
    assert other.read_bytes() == (tmp_path / "dist/card.img").read_bytes()


def test_another_process_makes_the_same_disk(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "one")
    with ProcessPoolExecutor(1) as executor:
        build(deployment, tmp_path / "other", executor=executor)
    assert (tmp_path / "one/card.img").read_bytes() == (tmp_path / "other/card.img").read_bytes()


def test_a_depfile_has_what_the_disk_is_made_of(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist", depfile=tmp_path / "dist.d")
    rule = (tmp_path / "dist.d").read_text().splitlines()[0]
    for path in ("blockpack.toml", "u-boot.bin", "site/index.html", "boot/EFI/BOOT/."):
        assert f" {deployment / path}" in rule, path


@pytest.mark.parametrize("size", ["4096", "'4K'"])
def test_volumes_have_the_sectors_of_their_disk(
    deployment: Path, tmp_path: Path, size: str
) -> None:
    text = (VOLUMES + DISK).replace("entries = 56", f"sector-size = {size}\nentries-at = '32K'")
    write_files(deployment, {"blockpack.toml": manifest(text)})
    report = build(deployment, tmp_path / "dist")
    assert report.record.volumes[0].sector_size == 4096
    data = (tmp_path / "dist/card.img").read_bytes()
    assert data[4096:4104] == b"EFI PART"
    fat = data.index(b"\xeb", 1 << 20)
    assert int.from_bytes(data[fat + 11 : fat + 13], "little") == 4096


EXAMPLE = ROOT / "examples/opam-mirror"


def test_opam_mirror_finds_its_partitions(tmp_path: Path) -> None:
    """As its mirage/partitions.ml looks for them: all six by name, no other, empty ones zero."""
    (card,) = build(EXAMPLE, tmp_path / "dist").record.volumes
    assert (card.name, card.size, card.sector_size) == ("tar", 256 << 20, 512)
    found = {each.told.name: each.data for each in partitions(tmp_path / "dist/tar.img")}
    assert sorted(found) == ["git_dump", "index", "md5s", "sha512s", "swap", "tar"]
    archives = in_tar(found.pop("tar"), tmp_path)
    assert archives and all(
        hashlib.sha256(data).hexdigest() == name for name, data in archives.items()
    )
    assert not any(any(data[:1024]) for data in found.values())
