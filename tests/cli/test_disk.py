"""``blockpack disk``: a disk by one command, judged by sfdisk, and what is refused of its words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import blockpack
from blockpack.cli.disk import parse
from cli.running import Command
from judges.partition_tables import assert_sound, sfdisk_table
from judges.programs import run_silent

MiB = 1 << 20


@pytest.fixture(name="place", autouse=True)
def fixture_place(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_disk_of_a_volume_an_image_and_room(command: Command) -> None:
    command("pack", "source", "site.tar", "-q")
    *_, message = command(
        *("disk", "card.img", "--partition", "esp=source:fat:uefi,size=32M,label=BOOT"),
        *("--partition", "tar=site.tar,flags=read-only+no-auto"),
        *("--partition", "swap,size=8M", "--raw", "site.tar@64K"),
    ).messages
    assert message.startswith("card.img: GPT disk, 4")
    assert_sound(Path("card.img"), "gpt")
    esp, tar, swap = sfdisk_table(Path("card.img")).partitions
    assert [each.name for each in (esp, tar, swap)] == ["esp", "tar", "swap"]
    assert (esp.size, swap.size) == (32 * MiB, 8 * MiB)
    assert tar.attributes == 1 << 60 | 1 << 63
    card = Path("card.img").read_bytes()
    assert card[64 << 10 :].startswith(Path("site.tar").read_bytes())
    assert card[tar.start :].startswith(Path("site.tar").read_bytes())
    run_silent("mcopy", ["-n", "-i", f"card.img@@{esp.start}", "::/index.html", "copy"], cwd=Path())
    assert Path("copy").read_bytes() == Path("source/index.html").read_bytes()
    Path("esp").write_bytes(card[esp.start : esp.start + esp.size])
    command("verify", "esp", "source", "--profile", "uefi", "--label", "BOOT")


def test_it_is_what_the_library_makes(command: Command) -> None:
    command("disk", "one", "--partition", "data=source:tar", "--size", "16M", "-q")
    layout = blockpack.TarVolume().plan(blockpack.scan("source"))
    partition = blockpack.Partition(layout, type="linux", name="data")
    blockpack.write(blockpack.Disk(partitions=[partition], size="16M").plan(), "two")
    assert Path("one").read_bytes() == Path("two").read_bytes()


def test_a_plan_of_it_writes_nothing(command: Command) -> None:
    words = ("disk", "card", "--partition", "data=source:tar", "--partition", "swap,size=1M")
    found = json.loads(command(*words, "--plan", "--json").out)
    assert (found["format"], found["geometry"]["partitions"]) == ("disk", 2)
    assert {"data", "data/index.html"} <= {each["path"] for each in found["entries"]}
    (data, swap) = found["partitions"]
    assert (data["name"], data["content"], swap["type"], swap["size"]) == (
        "data",
        "tar",
        "swap",
        MiB,
    )
    assert command(*words, "--plan").lines[-1].split() == [
        "2",
        "swap",
        "swap",
        "2097152",
        "1.0",
        "MiB",
    ]
    assert not Path("card").exists()
    report = json.loads(command(*words, "--json", "--manifest", "listed", "--bmap", "map").out)
    for key in ("geometry", "size", "partitions"):
        assert report[key] == found[key]
    assert json.loads(Path("listed").read_text())["size"] == found["size"]
    assert Path("map").exists()


@pytest.mark.parametrize("table", ["gpt", "mbr", "hybrid"])
def test_every_option_of_a_disk(command: Command, table: str) -> None:
    entries = () if table == "mbr" else ("--entries", "16", "--entries-at", "4K")
    id = "0xcafe1234" if table == "mbr" else "00000000-1234-4678-9ABC-0123456789AB"
    command(
        *("disk", "card", "--table", table, "--partition", "data=source:fat,type=fat16-lba"),
        *("--align", "64K", "--pad", "1M", "--sector-size", "512", "--id", id, *entries, "-q"),
    )
    found = sfdisk_table(Path("card"))
    assert (found.id, found.partitions[0].start) == (id, 64 << 10)
    assert Path("card").stat().st_size % MiB == 0
    assert_sound(Path("card"), "dos" if table == "mbr" else "gpt")


def test_sectors_of_4096_bytes_are_the_volumes_too(command: Command) -> None:
    words = ("--partition", "a=source:tar", "--partition", "b=source:fat", "--sector-size", "4096")
    command("disk", "card", *words, "-q")
    assert Path("card").read_bytes()[4096:4104] == b"EFI PART"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("esp=dir:fat:uefi", ("esp", "dir", "fat", "uefi", {})),
        ("=dir:tar", ("", "dir", "tar", "", {})),
        ("swap,size=1M", ("swap", "", "", "", {"size": ["1M"]})),
        ("a=git:repo@v1:sub:tar", ("a", "git:repo@v1:sub", "tar", "", {})),
        ("a=https://host:80/x.zip:fat", ("a", "https://host:80/x.zip", "fat", "", {})),
        ("a=b,c=d:tar,align=4K", ("a", "b,c=d", "tar", "", {"align": ["4K"]})),
        (
            "a=d:git,history,message=x,y",
            ("a", "d", "git", "", {"history": [""], "message": ["x,y"]}),
        ),
        ("a=d:tar,exclude=x,exclude=y", ("a", "d", "tar", "", {"exclude": ["x", "y"]})),
        ("a=d:fat:tar", ("a", "d:fat", "tar", "", {})),
        ("a=file", ("a", "file", "image", "", {})),
        ("a=source", ("a", "source", "", "", {})),
    ],
)
def test_partitions_as_they_are_described(
    text: str, wanted: tuple[object, ...], place: Path
) -> None:
    (place / "file").write_bytes(b"x")
    (place / "b,c=d").mkdir()
    assert tuple(parse(text)) == wanted


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--partition", "a=source"), "no format is given for source"),
        (("--partition", "a=nothing:tar"), "nothing: "),
        (("--partition", "a=source:fat:uefii"), "there is no profile 'uefii'"),
        (
            ("--size", "8M", "--partition", "a=source:fat:floppy,size=rest"),
            "partition a: profile floppy reads media of",
        ),
        (
            ("--partition", "a=source:tar,lable=X"),
            "no key 'lable' of partitions; did you mean 'label'",
        ),
        (("--partition", "a=source:tar,label=X"), "label is not for the format tar"),
        (
            ("--partition", "a=source:tar,type=lunix"),
            "partition a: 'lunix' is not a partition type",
        ),
        (("--partition", "swap"), "partition swap: a partition without content needs a size"),
        (("--partition", "a=source/index.html,label=X"), "an image is taken as it is"),
        (("--partition", "swap,size=1M", "--raw", "u-boot"), "u-boot: is not FILE@OFFSET"),
        (("--partition", "swap,size=1M", "--raw", "nothing@8K"), "nothing: cannot be read"),
        (("--partition", "swap,size=1M", "--raw", "source/index.html@8K"), "give --entries 56"),
        (("--partition", "swap,size=1M", "--size", "1M"), "--size 2117632 would do"),
        (("--partition", "swap,size=1M", "--sector-size", "1024"), "invalid sector size"),
        (("--partition", "swap,size=1M,key-file=k"), "only what is packed here is encrypted"),
        (("--partition", "a=source:tar,erofs=maybe"), "erofs has no value; give erofs alone"),
        (("--partition", "a=source:tar,verity=no"), "verity has no value; give verity alone"),
    ],
)
def test_what_is_refused(command: Command, words: tuple[str, ...], told: str) -> None:
    for extra in ((), ("--plan",)):
        code = 4 if "nothing" in str(words) else None
        result = command("disk", "card", *words, *extra, code=code or _code(told))
        assert told in result.err
        assert not Path("card").exists()


def _code(told: str) -> int:
    return 3 if "would do" in told else 2


def test_all_partitions_are_refused_at_once(command: Command) -> None:
    words = ("--partition", "a=source", "--partition", "b=source:tar,type=x", "--partition", "c")
    messages = command("disk", "card", *words, code=2).messages
    assert [line.strip().partition(":")[0] for line in messages[1:]] == [
        "partition a",
        "partition b",
        "partition c",
    ]


def test_sources_are_never_overwritten(command: Command) -> None:
    Path("tool").write_bytes(b"loader")
    before = Path("source/index.html").read_bytes()
    command("disk", "source/index.html", "--partition", "a=source:tar", code=2)
    command("disk", "tool", "--partition", "swap,size=1M", "--raw", "tool@64K", code=2)
    command("disk", "tool", "--partition", "a=tool", code=2)
    assert (Path("source/index.html").read_bytes(), Path("tool").read_bytes()) == (
        before,
        b"loader",
    )


def test_a_disk_in_its_own_source_is_left_out_and_replaced(command: Command) -> None:
    words = ("disk", "source/card.img", "--partition", "a=source:tar")
    command(*words, "-q")
    before = Path("source/card.img").read_bytes()
    assert "is in the source; it is left out, and replaced" in command(*words).err
    assert Path("source/card.img").read_bytes() == before


def test_an_encrypted_partition(command: Command) -> None:
    Path("key").write_text("ab" * 32)
    os.chmod("key", 0o600)
    command("disk", "card", "--partition", "a=source:tar,key-file=key", "-q")
    (partition,) = sfdisk_table(Path("card")).partitions
    Path("image").write_bytes(Path("card").read_bytes()[partition.start :][: partition.size])
    command("verify", "image", "source", "--format", "tar", "--key-file", "key")


@pytest.mark.parametrize("format", ["tar", "fat"])
@pytest.mark.parametrize("size", ["2M", "rest"])
def test_what_is_encrypted_fills_its_partition(command: Command, format: str, size: str) -> None:
    Path("key").write_text("ab" * 32)
    os.chmod("key", 0o600)
    words = ("--size", "4M", "--partition", f"a=source:{format},size={size},key-file=key")
    command("disk", "card", *words, "-q")
    command("verify", "card#a", "source", "--key-file", "key")


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_a_fat_file_system_takes_what_is_left(command: Command, table: str) -> None:
    words = ("--table", table, "--size", "64M", "--partition", "a=source:fat,size=rest")
    assert "warning" not in command("disk", "card", *words, "--partition", "b,size=8M").err
    partition = sfdisk_table(Path("card")).partitions[0]
    assert partition.size > 50 << 20
    boot = Path("card").read_bytes()[partition.start :][:512]
    assert partition.size == 512 * int.from_bytes(boot[32:36], "little")
    if table == "mbr":  # its type is that of the file system as it is, not of the smallest one
        assert partition.type == "E"


def test_to_standard_output(command: Command) -> None:
    words = ("--partition", "swap,size=1M", "-q")
    command("disk", "card", *words)
    assert command("disk", "-", *words).out == Path("card").read_bytes()
    command("disk", "-", *words, "--json", code=2)


def test_what_cures_a_partition_is_a_key_of_it(command: Command) -> None:
    Path("source/link").symlink_to("index.html")
    told = command("disk", "card", "--partition", "a=source:fat", code=3).err
    assert "symlinks=follow" in told and "--symlinks" not in told
    command("disk", "card", "--partition", "a=source:fat,symlinks=follow", "-q")
    words = ("--partition", "a=source:erofs,block-size=512", "--sector-size", "4096")
    told = command("disk", "card", *words, code=2).err
    assert "block-size=4096" in told and "--block-size" not in told
