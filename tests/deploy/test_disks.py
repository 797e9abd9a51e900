"""Disks of deployments: built, shared, rolled back and attached as volumes are, in one image each.

What is on a disk is told by programs that know nothing of blockpack: sfdisk reads the table, mtools
and GNU tar what is in the partitions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from blockpack import Problems
from blockpack.deploy.attach import consumer_for
from blockpack.deploy.attach.disks import deployed
from blockpack.deploy.attach.exports import exports
from blockpack.deploy.building.build import build
from blockpack.deploy.building.check import check
from cli.running import process
from deploy.deployments import manifest, names, record, write_files
from deploy.secret_deployments import (
    NAME,
    SECRET,
    built,
    found_in,
    identity,
    mode,
    sealed,
    secret_deployment,
)
from judges.fat_tools import mtools_read
from judges.partition_tables import Told, sfdisk_table
from judges.programs import run
from pages import ROOT
from repositories import GitRepository

VOLUMES = """
[volumes.boot]
source = "boot"
format = "fat"

[volumes.site]
source = "site"
format = "tar"
"""

DISK = """
[disks.card]
entries = 56
raw = [{ path = "u-boot.bin", offset = "8K" }]

[[disks.card.partitions]]
volume = "boot"
type = "esp"
name = "EFI"

[[disks.card.partitions]]
volume = "site"
size = "4M"
flags = ["read-only"]

[[disks.card.partitions]]
type = "swap"
name = "swap"
size = "2M"
"""

LOADER = b"U-Boot " * 1000
FILES = {
    "blockpack.toml": manifest(VOLUMES + DISK),
    "boot/EFI/BOOT/BOOTX64.EFI": b"MZ" + bytes(5000),
    "site/index.html": b"<h1>hello</h1>\n",
    "site/pages/about.html": b"about\n" * 1000,
    "u-boot.bin": LOADER,
}
NONE: dict[str, None] = dict.fromkeys(("site/index.html", "media/film.bin"))


@pytest.fixture(name="deployment")
def fixture_deployment(tmp_path: Path) -> Path:
    return write_files(tmp_path / "deployment", FILES)


class Found(NamedTuple):
    """A partition, as sfdisk tells of it, and its bytes."""

    told: Told
    data: bytes


def partitions(image: Path) -> list[Found]:
    """All partitions of a disk."""
    with image.open("rb") as file:
        found = []
        for each in sfdisk_table(image).partitions:
            file.seek(each.start)
            found.append(Found(each, file.read(each.size)))
        return found


def in_tar(data: bytes, place: Path) -> dict[str, bytes]:
    """The files in a partition, by GNU tar."""
    (place / "partition.tar").write_bytes(data)
    (place / "extracted").mkdir()
    run("tar", ["-xf", place / "partition.tar", "-C", place / "extracted"])
    below = place / "extracted"
    return {
        str(path.relative_to(below)): path.read_bytes()
        for path in below.rglob("*")
        if path.is_file()
    }


def in_fat(data: bytes, place: Path) -> dict[str, bytes]:
    """The files in a partition, by mtools."""
    (place / "partition.fat").write_bytes(data)
    found = mtools_read(place / "partition.fat")
    return {path: data for path, data in found.items() if data is not None}


def refusal(work: Callable[[], object]) -> str:
    """All that is said of what cannot be done."""
    with pytest.raises(Problems) as caught:
        work()
    return str(caught.value)


# Building ----------------------------------------------------------------------------------------


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


# Checking ----------------------------------------------------------------------------------------


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


# Attaching and serving ---------------------------------------------------------------------------


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


# Secrets -----------------------------------------------------------------------------------------

ON_DISK = """
[volumes.keys]
source = "vault"
format = "tar"
secret = true

[volumes.site]
source = "site"
format = "tar"

[disks.card]
partitions = [{ volume = "keys" }, { volume = "site" }]
"""


@pytest.fixture(name="vault")
def fixture_vault(tmp_path: Path) -> Path:
    recipient = identity(tmp_path / "identity")
    files = {f"vault/{NAME}.age": sealed(SECRET, recipient), "site/index.html": b"public"}
    return secret_deployment(tmp_path / "deployment", recipient, ON_DISK, files)


def test_a_disk_with_secrets_is_secret_as_a_whole(vault: Path, tmp_path: Path, ram: Path) -> None:
    built(vault, ram / "dist", tmp_path / "identity")
    image = ram / "dist/card.img"
    assert mode(image) == 0o600
    assert names(ram / "dist") == {".blockpack-build.json", "card.img", "manifest.json"}
    keys, site = partitions(image)
    assert SECRET in keys.data and b"public" in site.data
    told = json.loads((ram / "dist/manifest.json").read_text())
    (card,) = told["volumes"]
    assert card["secret"] and not {"size", "sha256", "fingerprint", "placements"} & set(card)
    assert not found_in(json.dumps(told).encode())


def test_a_disk_with_secrets_lies_in_ram(vault: Path, tmp_path: Path) -> None:
    said = refusal(lambda: built(vault, tmp_path / "dist", tmp_path / "identity"))
    assert "disk card" in said and "not a RAM file system; add allow_persistent" in said
    text = (vault / "blockpack.toml").read_text()
    (vault / "blockpack.toml").write_text(
        text.replace("secret = true", "secret = true\nallow_persistent = true")
    )
    built(vault, tmp_path / "dist", tmp_path / "identity")
    assert mode(tmp_path / "dist/card.img") == 0o600


def test_what_is_wrong_with_secrets_on_a_disk_gives_nothing_away(
    vault: Path, tmp_path: Path, ram: Path
) -> None:
    text = (vault / "blockpack.toml").read_text()
    (vault / "blockpack.toml").write_text(
        text.replace('{ volume = "keys" }', '{ volume = "keys", size = 512 }')
    )
    said = refusal(lambda: built(vault, ram / "dist", tmp_path / "identity"))
    assert "disk card" in said and not found_in(said.encode())


def test_what_is_committed_in_clear_is_refused_on_a_disk(vault: Path, tmp_path: Path) -> None:
    files = {
        str(path.relative_to(vault)): path.read_bytes()
        for path in vault.rglob("*")
        if path.is_file()
    }
    repository = GitRepository.init(tmp_path / "repository.git", "--bare")
    repository.commit({**files, "vault/plain": b"x"})
    said = refusal(lambda: check(f"git:{repository.path}@main"))
    assert "volume keys" in said and "not encrypted" in said


def test_sfdisk_finds_nothing_wrong(deployment: Path, tmp_path: Path) -> None:
    build(deployment, tmp_path / "dist")
    assert b"No errors" in run("sfdisk", ["--verify", tmp_path / "dist/card.img"]).stdout


# The example -------------------------------------------------------------------------------------

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
