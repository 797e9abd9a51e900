"""What is in the partitions of disks that others made is read as it is in images of its own."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import blockpack
from blockpack.images.open_image import open_at
from cli.running import Command
from disks.hand_made import SECTOR, gpt, gpt_entry, put, record, with_content
from disks.real_disks import MAKERS, MIB, RealDisk, make_disk
from hostile.fat_images import sound
from hostile.tar_images import archive, member
from judges.fat_tools import Contents
from judges.programs import run
from judges_selftest.real_images import CONTENTS, FILES, make_fat
from serving.servers import serving

KEY = bytes(range(32))
TAR = archive(member(b"a.txt", b"content"))


@pytest.fixture(name="disk", params=MAKERS)
def fixture_disk(request: pytest.FixtureRequest, tmp_path: Path) -> RealDisk:
    return make_disk(request.param, tmp_path)


@pytest.fixture(name="card")
def fixture_card(tmp_path: Path) -> Path:
    return make_disk("sfdisk, GPT", tmp_path).path


def contents(image: blockpack.Image) -> Contents:
    return {entry.path: image.read(entry.path) if entry.kind == "file" else None for entry in image}


def test_every_partition_is_read(disk: RealDisk) -> None:
    for number in (disk.fat, disk.tar):
        with blockpack.open_image(f"{disk.path}#{number}") as image:
            assert contents(image) == CONTENTS
            assert image.verify() == []


def test_a_disk_is_all_of_its_partitions(disk: RealDisk) -> None:
    with blockpack.open_image(disk.path) as image:
        labels = {part.entry.number: part.label for part in image.partitions}
        expected: Contents = {}
        for number in (disk.fat, disk.tar):
            expected[labels[number]] = None
            expected |= {f"{labels[number]}/{path}": data for path, data in CONTENTS.items()}
        assert contents(image) == expected
        assert image.verify() == []
        found = {part.entry.number: part.content for part in image.partitions}
        assert (found[disk.fat], found[disk.tar], found[disk.swap]) == ("fat", "tar", "swap")


def test_what_is_not_read_says_what_it_is(disk: RealDisk, command: Command) -> None:
    result = command("ls", f"{disk.path}#{disk.swap}", code=6)
    assert result.messages == [f"partition {disk.swap} holds swap, which is not read here"]


def test_a_partition_goes_by_its_name(card: Path, command: Command) -> None:
    assert command("cat", f"{card}#tar", "UPPER.TXT").out == b"upper case\n"
    assert command("cat", card, "tar/UPPER.TXT").out == b"upper case\n"
    assert command("cat", f"{card}#EFI", "dir/UPPER.TXT").out == b"another\n"


@pytest.mark.parametrize("wanted", ["4", "0", "", "Tar", "-1", "01", "nowhere"])
def test_one_that_is_not_there_lists_those_that_are(
    card: Path, wanted: str, command: Command
) -> None:
    result = command("info", f"{card}#{wanted}", code=6)
    assert f"{card}: there is no partition '{wanted}'" in result.err
    assert "choose from 1 (EFI), 2 (tar), 3 (swap)" in result.err
    with pytest.raises(blockpack.NotInImageError):
        blockpack.open_image(f"{card}#{wanted}")


def test_a_name_of_several_is_none(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    path.write_bytes(gpt(200, gpt_entry(40, 50, "a"), gpt_entry(60, 70, "a")))
    with pytest.raises(blockpack.NotInImageError, match="2 partitions are called 'a'"):
        blockpack.open_image(f"{path}#a")


def test_a_file_with_a_hash_in_its_name_wins(tmp_path: Path) -> None:
    disk = with_content(TAR)
    (tmp_path / "card.img").write_bytes(disk)
    (tmp_path / "card.img#a").write_bytes(TAR)
    (tmp_path / "#").write_bytes(disk)
    names = {"card.img#a": ["a.txt"], "card.img#1": ["a.txt"], "card.img": ["a", "a/a.txt"]}
    names |= {"#": ["a", "a/a.txt"], "##1": ["a.txt"]}
    for name, paths in names.items():
        with blockpack.open_image(tmp_path / name) as image:
            assert [entry.path for entry in image] == paths, name
    (tmp_path / "card.img").unlink()
    with pytest.raises(blockpack.SourceError, match="no such file"):
        blockpack.open_image(tmp_path / "card.img#1")


def test_a_name_may_have_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    disk = gpt(200, gpt_entry(40, 60, "a#b"), gpt_entry(70, 80, "b"))
    path.write_bytes(put(disk, 40 * SECTOR, TAR))
    with blockpack.open_image(f"{path}#a#b") as image:
        assert image.read("a.txt") == b"content"


def test_a_partition_of_what_has_no_name_is_an_argument(card: Path) -> None:
    tree = blockpack.Tree()
    tree.add("a.txt", b"content")
    partition = blockpack.Partition(blockpack.TarVolume().plan(tree), type="linux", name="site")
    for source in (with_content(TAR), blockpack.Disk(partitions=[partition]).plan()):
        for wanted in (1, "1", "site" if isinstance(source, blockpack.Layout) else "a"):
            with blockpack.open_image(source, partition=wanted) as image:
                assert image.read("a.txt") == b"content"
    with pytest.raises(blockpack.UsageError, match="two partitions are named"):
        blockpack.open_image(f"{card}#tar", partition=1)


def test_any_text_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "card.img"
    for name in ("\U0001f600", "\U0001f600#\U00010348", "ä" * 36, "#"):
        path.write_bytes(put(gpt(200, gpt_entry(40, 60, name)), 40 * SECTOR, TAR))
        with blockpack.open_image(path) as image:
            assert [entry.path for entry in image] == [name, f"{name}/a.txt"]
        with blockpack.open_image(f"{path}#{name}") as image:
            assert image.read("a.txt") == b"content"


def test_flags_are_those_that_a_partition_takes() -> None:
    flags = ("legacy-boot", "48", "grow-fs", "mbr", "boot")
    partitions = [blockpack.Partition(type="linux", size="1M", name="a", flags=flags)]
    with blockpack.open_image(blockpack.Disk(table="hybrid", partitions=partitions).plan()) as disk:
        assert disk.partitions[0].flags == flags


def test_an_image_without_a_table_has_no_partitions(tmp_path: Path, command: Command) -> None:
    (tmp_path / "x.tar").write_bytes(TAR)
    result = command("ls", f"{tmp_path}/x.tar#1", code=6)
    assert "x.tar#1: has no partition table, and so no partitions; leave out '#1'" in result.err


def test_info_shows_the_table(card: Path, command: Command) -> None:
    lines = command("info", card).lines
    assert lines[0].split() == ["format", "disk"]
    assert [line.split() for line in lines[-4:]] == [
        ["#", "name", "type", "start", "size", "content"],
        ["1", "EFI", "esp", "1048576", "8.0", "MiB", "fat", "BOOT"],
        ["2", "tar", "linux", "9437184", "4.0", "MiB", "tar"],
        ["3", "swap", "swap", "13631488", "4.0", "MiB", "swap"],
    ]
    told = json.loads(command("info", card, "--json").out)
    assert told["geometry"]["table"] == "gpt"
    assert told["geometry"]["partitions"] == 3
    first = told["partitions"][0]
    assert first.pop("id")
    assert first == {
        "number": 1,
        "name": "EFI",
        "type": "esp",
        "type_id": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "start": MIB,
        "size": 8 * MIB,
        "flags": [],
        "content": "fat",
        "label": "BOOT",
        "path": "EFI",
    }
    assert told["partitions"][2]["path"] is None
    assert "partitions" not in json.loads(command("info", f"{card}#1", "--json").out)


def test_a_disk_is_extracted(card: Path, tmp_path: Path, command: Command) -> None:
    command("extract", card, tmp_path / "out")
    for label in ("EFI", "tar"):
        for path, data in FILES.items():
            assert (tmp_path / "out" / label / path).read_bytes() == data
    command("diff", card, tmp_path / "out")
    command("extract", f"{card}#tar", tmp_path / "site")
    command("verify", f"{card}#tar", tmp_path / "site", "--mtime", "keep", "--mode", "keep")


def test_a_partition_is_a_source(card: Path, tmp_path: Path, command: Command) -> None:
    for number, name in ((1, "EFI"), (2, "tar")):
        command("pack", f"{card}#{number}", tmp_path / f"{name}.tar")
        with blockpack.open_image(tmp_path / f"{name}.tar") as image:
            assert contents(image) == CONTENTS
    command("pack", card, tmp_path / "all.tar")
    with blockpack.open_image(tmp_path / "all.tar") as image:
        assert image.read("EFI/UPPER.TXT") == image.read("tar/UPPER.TXT") == b"upper case\n"
    with gzip.open(tmp_path / "card.img.gz", "wb") as file:
        file.write(card.read_bytes())
    assert [*blockpack.scan(f"{tmp_path}/card.img.gz#tar")] != []
    result = command("pack", f"{card}#tar", card, "--format", "tar", code=2)
    assert "is the source" in result.err
    result = command("pack", f"{card}#swap", tmp_path / "x.tar", code=4)
    assert "partition 3 holds swap" in result.err


def test_files_of_a_partition_stay_in_the_disk(card: Path) -> None:
    tree = blockpack.scan(f"{card}#tar")
    tree.join("efi", blockpack.scan(f"{card}#EFI"))
    layout = blockpack.TarVolume().plan(tree)
    ranges = [each for each in layout.extents if isinstance(each, blockpack.FileRange)]
    assert {each.path for each in ranges} == {os.fsencode(card)}
    assert min(each.start for each in ranges) >= MIB
    with layout.open() as file, blockpack.open_image(file) as image:
        assert image.read("efi/dir/deep/Größe.txt") == image.read("dir/deep/Größe.txt")


def test_hard_links_of_two_partitions_are_not_one_file(tmp_path: Path) -> None:
    from hostile.tar_images import hardlink

    path = tmp_path / "card.img"
    archives = [archive(member(b"a", data), hardlink(b"b", b"a")) for data in (b"one", b"two")]
    path.write_bytes(with_content(*archives))
    tree = blockpack.scan(f"{path}#1")
    tree.join("other", blockpack.scan(f"{path}#2"))
    with blockpack.open_image(blockpack.TarVolume().plan(tree)) as image:
        read = {name: image.read(name) for name in ("a", "b", "other/a", "other/b")}
        assert read == {"a": b"one", "b": b"one", "other/a": b"two", "other/b": b"two"}
        assert image["other/b"].target == "other/a"
    with blockpack.open_image(path) as image:
        assert image["b/b"].target == "b/a"
        assert image.read("b/b") == b"two"


def test_many_threads_read_one_disk(card: Path) -> None:
    disk = with_content(TAR, sound(12))
    for source in (card, card.read_bytes(), io.BytesIO(disk), disk):
        with blockpack.open_image(source) as image, ThreadPoolExecutor(16) as pool:
            files = [entry.path for entry in image if entry.kind == "file"] * 20
            read = list(pool.map(image.read, files))
            assert read == [image.read(path) for path in files]


def test_a_map_is_of_every_partition(
    card: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blockpack.images.space_map import stretches

    with blockpack.open_image(card) as image:
        found = list(stretches(image))
    assert sum(each.length for each in found) == card.stat().st_size
    at = 0
    for each in found:
        assert each.offset == at
        at += each.length
    named = {each.name for each in found if each.name}
    assert {"EFI/UPPER.TXT", "tar/UPPER.TXT", "swap"} <= named
    assert {"metadata", "free", "file"} <= {each.kind for each in found}
    monkeypatch.chdir(card.parent)  # a long name would be cut
    assert command("map", card.name).lines[0].startswith(f"{card.name}: disk 24.0 MiB")
    command("map", f"{card}#tar", "--html", card.parent / "map.html")


def test_disks_are_compared_by_entries_and_sectors(
    card: Path, tmp_path: Path, command: Command
) -> None:
    other = tmp_path / "other.img"
    shutil.copy(card, other)
    command("diff", card, other)
    run("mcopy", ["-i", f"{other}@@1M", "-o", tmp_path / "site.tar", "::/new.tar"])
    found = json.loads(command("diff", card, other, "--json", code=1).out)
    assert {"path": "EFI/new.tar", "change": "added"} in found["changes"]
    assert found["sectors"][0][0] > 2048
    assert "EFI" not in {each["path"] for each in found["changes"]}
    command("diff", f"{card}#tar", f"{other}#tar")
    found = json.loads(command("diff", f"{card}#tar", tmp_path / "site.tar", "--json", code=1).out)
    assert found["changes"] == []  # and the partition has room behind the archive


def test_verify_with_a_source_takes_one_partition(card: Path, command: Command) -> None:
    result = command("verify", card, card.parent / "tree", code=2)
    assert f"name it: {card}#NUMBER" in result.err


def test_an_encrypted_partition_takes_its_key(tmp_path: Path, command: Command) -> None:
    tree = blockpack.Tree()
    tree.add("secret.txt", b"told to nobody")
    layout = blockpack.encrypt(blockpack.TarVolume().plan(tree), KEY)
    blockpack.write(layout, tmp_path / "secret.img")
    secret = (tmp_path / "secret.img").read_bytes()
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    card = tmp_path / "card.img"
    disk = gpt(400, gpt_entry(40, 79, "plain"), gpt_entry(80, 300, "key"))
    card.write_bytes(put(put(disk, 40 * SECTOR, TAR), 80 * SECTOR, secret))

    lines = command("ls", f"{card}#key", "--key-file", key_file).lines
    assert lines == ["secret.txt"]
    command("verify", f"{card}#key", "--key-file", key_file)
    with blockpack.open_image(f"{card}#key", key=KEY) as image:
        assert image.read("secret.txt") == b"told to nobody"
    assert command("ls", card).lines == ["plain/", "plain/a.txt"]
    command("verify", card)
    assert "--key-file" in command("ls", f"{card}#key", code=6).err
    result = command("ls", f"{card}#plain", "--key-file", key_file, code=6)
    assert "is not encrypted: it is a plain image of the format tar; give no key" in result.err
    result = command("ls", card, "--key-file", key_file, code=6)
    assert f"give no key, or name what is encrypted: {card}#NUMBER" in result.err


def test_a_disk_that_is_encrypted_whole_has_partitions(tmp_path: Path) -> None:
    path = tmp_path / "secret.img"
    whole = blockpack.Layout(
        format="raw",
        runs=(blockpack.Run.of(blockpack.Data(0, with_content(TAR))),),
        sector_size=512,
    )
    blockpack.write(blockpack.encrypt(whole, KEY), path)
    for address, paths in ((path, ["a", "a/a.txt"]), (f"{path}#a", ["a.txt"])):
        with blockpack.open_image(address, key=KEY) as image:
            assert [entry.path for entry in image] == paths
            assert image.verify() == []


def test_partitions_are_read_by_url(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/card.img", with_content(TAR))
    memory.pipe_file("/odd#1", TAR)
    with blockpack.open_image("memory://card.img#a") as image:
        assert image.read("a.txt") == b"content"
    with blockpack.open_image("memory://odd#1") as image:
        assert [entry.path for entry in image] == ["a.txt"]
    data, partition = open_at("memory://card.img#1")
    data.close()
    assert partition == "1"


def test_other_programs_find_partitions_by_fsspec_and_pyfilesystem(card: Path) -> None:
    import fsspec
    from fs import open_fs

    for fo in (f"{card}#tar", f"file://{card}#tar"):
        found = fsspec.filesystem("blockpack", fo=fo, skip_instance_cache=True)
        assert found.cat_file("UPPER.TXT") == b"upper case\n"
    with fsspec.open(f"blockpack://UPPER.TXT::{card}#EFI") as file:
        assert file.read() == b"upper case\n"
    with open_fs(f"blockpack://{card}#EFI") as system:
        assert system.readbytes("UPPER.TXT") == b"upper case\n"


FILE_SYSTEMS = {
    "ext4": ("mkfs.ext4", "-q"),
    "swap": ("mkswap",),
    "btrfs": ("mkfs.btrfs", "-q"),
    "XFS": ("mkfs.xfs", "-q"),
}


@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_what_is_known_and_not_read_is_named(name: str, tmp_path: Path) -> None:
    program, *options = FILE_SYSTEMS[name]
    system, card = tmp_path / "system", tmp_path / "card.img"
    with system.open("wb") as file:
        file.truncate(320 * MIB)
    run(program, [*options, system])
    disk = blockpack.Disk(partitions=[blockpack.Partition(system, type="linux")])
    blockpack.write(disk.plan(), card)
    with blockpack.open_image(card) as image:
        assert [partition.content for partition in image.partitions] == [name]
        assert not list(image)
        assert not image.verify()


# What is a disk, and what is not ------------------------------------------------------------------


@pytest.mark.parametrize("options", [("-F", "12"), ("-F", "16"), ("-F", "32"), ("--mbr=y",)])
def test_a_file_system_without_a_table_is_no_disk(options: tuple[str, ...], tmp_path: Path) -> None:
    image = make_fat(tmp_path / "fat.img", 40 * MIB, *options)
    with blockpack.open_image(image) as opened:
        assert opened.format == "fat"


def test_a_floppy_of_mtools_is_no_disk(tmp_path: Path) -> None:
    image = tmp_path / "floppy.img"
    run("mformat", ["-C", "-f", "1440", "-i", image, "::"])
    with blockpack.open_image(image) as opened:
        assert opened.format == "fat"


def test_boot_code_where_the_table_would_be_is_none(tmp_path: Path) -> None:
    data = bytearray(sound(12))
    data[446:510] = b"BOOTMGR is missing. Press Ctrl+Alt+Del to restart".ljust(64, b"\r")
    with blockpack.open_image(bytes(data)) as opened:
        assert opened.format == "fat"
        assert opened.verify() == []


def test_a_table_in_what_was_a_boot_sector_counts() -> None:
    """Who partitions a stick that was a file system as a whole leaves the first 446 bytes."""
    disk = bytearray(with_content(TAR, table="mbr"))
    disk[:440] = sound(12)[:440]
    with blockpack.open_image(bytes(disk)) as image:
        assert image.format == "disk"
        assert image.read("1/a.txt") == b"content"


def test_the_partitions_of_a_hybrid_iso_are_read() -> None:
    """An ISO image is all of a partition from the very first byte on, or of none that counts."""
    for kind in (0x00, 0x17):
        disk = bytearray(300 * SECTOR)
        put(disk, 0, record((kind, 0, 300), (0xEF, 40, 60), code=b"boot code"))
        put(disk, 40 * SECTOR, TAR)
        with blockpack.open_image(bytes(disk)) as image:
            assert image.read("2/a.txt") == b"content"
            overlaps = ["partition 2 overlaps partition 1"] if kind else []
            assert [error.rule for error in image.verify()] == overlaps


def test_a_disk_without_partitions_is_one(tmp_path: Path, command: Command) -> None:
    for name, data in {"gpt": bytes(gpt(200)), "mbr": record().ljust(51200, b"\0")}.items():
        (tmp_path / name).write_bytes(data)
        assert command("ls", tmp_path / name).out == b""
        command("verify", tmp_path / name)
        assert json.loads(command("info", tmp_path / name, "--json").out)["partitions"] == []


def test_a_partition_is_served(card: Path, tmp_path: Path) -> None:
    copy, socket = tmp_path / "copy.tar", tmp_path / "nbd"
    with serving(f"{card}#tar", "--socket", socket):
        run("nbdcopy", [f"nbd+unix:///?socket={socket}", copy])
    assert copy.read_bytes() == card.read_bytes()[9 * MIB : 13 * MIB]
