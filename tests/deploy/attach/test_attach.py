"""What `attach` promises for every consumer: which images, where, and which of them are refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import blockpack
from blockpack.deploy.attach.consumer import ordinal
from blockpack.deploy.manifest.consumers import CONSUMERS
from cli.running import Command
from deploy.attach.builds import built, faked, live, recorded

FOUR_KIB = 4096
MiB = 1 << 20

NAMES_FILES = [name for name in CONSUMERS if name != "mirage"]
"""The consumers that are told where images are."""


@pytest.fixture(name="build")
def fixture_build(tmp_path: Path) -> Path:
    """A build that every consumer takes."""
    return built(
        tmp_path / "dist",
        {
            "site": blockpack.FatVolume(profile="mirage", pad=MiB),
            "media": blockpack.TarVolume(profile="mirage", pad=MiB),
        },
    )


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_every_consumer_is_told_of_every_image_in_order(
    consumer: str, build: Path, command: Command
) -> None:
    text = "\n".join(command("attach", build, "--for", consumer).lines)
    assert 0 <= text.index("site") < text.index("media")
    if consumer in NAMES_FILES:
        assert f"{build}/site.img" in text and f"{build}/media.img" in text


@pytest.mark.parametrize("consumer", NAMES_FILES)
def test_a_deployment_is_attached_through_its_link(
    consumer: str, tmp_path: Path, command: Command
) -> None:
    root = live(tmp_path / "www", {"site": blockpack.TarVolume(profile="mirage", pad=MiB)})
    result = command("attach", root, "--for", consumer)
    text = result.out.decode() + result.err
    assert f"{root}/current/site.img" in text and "generations" not in text
    if consumer != "albatross":  # it copies
        assert "also after the next deployment" in text


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_paths_are_absolute_wherever_the_command_runs(
    consumer: str, build: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(build.parent)
    here = command("attach", build.name, "--for", consumer)
    assert here.out == command("attach", build, "--for", consumer).out


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_json_says_the_same(consumer: str, build: Path, command: Command) -> None:
    text = command("attach", build, "--for", consumer)
    told = json.loads(command("attach", build, "--for", consumer, "--json").out)
    assert told["lines"] == text.lines
    warnings = [f"warning: {warning}" for warning in told["warnings"]]
    assert [*warnings, *told["notes"]] == text.messages
    assert [(volume["name"], volume["path"]) for volume in told["volumes"]] == [
        (name, f"{build}/{name}.img") for name in ("site", "media")
    ]
    assert all(volume["read_only"] for volume in told["volumes"])
    if told["arguments"] is not None:
        joined = " ".join(line.removesuffix("\\") for line in told["lines"])
        assert told["arguments"] == shlex.split(joined)
    else:
        assert consumer in ("xen", "albatross", "libvirt", "firecracker", "mirage")


def test_only_what_is_named_can_be_written(build: Path, command: Command) -> None:
    told = json.loads(
        command("attach", build, "--for", "qemu", "--writable", "media", "--json").out
    )
    assert [volume["read_only"] for volume in told["volumes"]] == [True, False]
    modes = [part for part in told["arguments"] if "read-only" in part]
    assert ["read-only=on" in mode for mode in modes] == [True, False]
    assert ["read-only=off" in mode for mode in modes] == [False, True]


def test_what_is_live_is_never_written_to(tmp_path: Path, command: Command) -> None:
    root = live(tmp_path / "www", {"site": blockpack.TarVolume()})
    result = command("attach", root, "--for", "qemu", "--writable", "site", code=2)
    assert "generations are never written to" in result.err and not result.out


def test_everything_wrong_is_told_at_once(build: Path, command: Command) -> None:
    (build / "site.img").unlink()
    with (build / "media.img").open("ab") as file:
        file.write(b"more")
    result = command(
        *("attach", build, "--for", "qemu", "--writable", "one", "--writable", "two"), code=2
    )
    assert not result.out and len(result.messages) == 5
    for part in ("'one'", "'two'", "site.img: is gone", "media.img: has "):
        assert part in result.err


@pytest.mark.parametrize("missing", ["nowhere", "empty", "file"])
def test_what_holds_no_images_is_a_missing_source(
    missing: str, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    assert not command("attach", tmp_path / missing, "--for", "qemu", code=4).out


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, command: Command) -> None:
    (tmp_path / "current").symlink_to("generations/0009-gone")
    result = command("attach", tmp_path, "--for", "qemu", code=4)
    assert "current/manifest.json: cannot be read" in result.err


def test_a_path_that_no_line_holds_is_refused(tmp_path: Path, command: Command) -> None:
    for name in ("new\nline", "escape\x1b", "\udcff"):
        directory = tmp_path / name
        directory.mkdir()
        recorded(directory, faked("site", FOUR_KIB, directory))
        result = command("attach", directory, "--for", "qemu", code=2)
        assert "has characters that a configuration cannot hold" in result.err and not result.out


def test_a_build_without_volumes_attaches_nothing(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path)
    for consumer in CONSUMERS:
        command("attach", tmp_path, "--for", consumer)


# What a consumer cannot use --------------------------------------------------------------------


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_no_device_has_a_part_of_a_sector(consumer: str, tmp_path: Path, command: Command) -> None:
    for size in (0, 511, FOUR_KIB + 1):
        recorded(tmp_path, faked("site", size, tmp_path))
        result = command("attach", tmp_path, "--for", consumer, code=6)
        assert "site: its size is not a multiple of " in result.err and not result.out


@pytest.mark.parametrize(
    ("consumer", "sector_size", "code"),
    [
        ("xen", 512, 6),
        ("xen", 4096, 0),
        ("firecracker", 512, 0),
        ("firecracker", 4096, 6),
        ("cloud-hypervisor", 512, 0),
        ("cloud-hypervisor", 4096, 6),
        ("qemu", 512, 0),
        ("qemu", 4096, 0),
        ("solo5-spt", 512, 0),
        ("solo5-spt", 4096, 0),
    ],
)
def test_encrypted_sectors_are_those_of_the_device(
    consumer: str, sector_size: int, code: int, tmp_path: Path, command: Command
) -> None:
    secret = {"secret": True, "cipher": "aes-ccm", "key": "keys.key"}
    recorded(tmp_path, faked("keys", MiB, tmp_path, sector_size=sector_size, **secret))
    command("attach", tmp_path, "--for", consumer, code=code)


def test_albatross_wants_whole_mebibytes(tmp_path: Path, command: Command) -> None:
    recorded(
        tmp_path,
        faked("tar", MiB + FOUR_KIB, tmp_path),
        faked("docteur", FOUR_KIB, tmp_path, format="git", container="docteur"),
        faked("fits", 3 * MiB, tmp_path),
    )
    result = command("attach", tmp_path, "--for", "albatross", code=6)
    assert "tar: its size" in result.err and 'build it with pad = "1M"' in result.err
    assert "use tar: an image for docteur" in result.err and "fits:" not in result.err
    assert "--block=fits" in result.err and b"tar.img" not in result.out


def test_albatross_names_blocks_in_lower_case(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("siteA", MiB, tmp_path, sector_size=4096))
    result = command("attach", tmp_path, "--for", "albatross")
    assert result.lines == [f"albatross-client create-block sitea 1 --data={tmp_path}/siteA.img"]
    assert "--block=siteA:sitea@4096\n" in result.err


def test_albatross_gets_no_secrets_in_clear(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("keys", MiB, tmp_path, secret=True))
    result = command("attach", tmp_path, "--for", "albatross", code=6)
    assert "would be copied to a disk" in result.err and not result.out


def test_solo5_takes_no_path_with_a_space(tmp_path: Path, command: Command) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    recorded(directory, faked("one", FOUR_KIB, directory), faked("two", FOUR_KIB, directory))
    result = command("attach", directory, "--for", "solo5-hvt", code=2)
    assert "first space" in result.err and len(result.messages) == 2


def test_solo5_takes_no_part_of_a_large_sector(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("site", FOUR_KIB + 512, tmp_path, sector_size=4096))
    result = command("attach", tmp_path, "--for", "solo5-hvt", code=6)
    assert "not a multiple of 4,096 bytes" in result.err


def test_xen_warns_of_what_mirage_does_not_read_there(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("site", FOUR_KIB + 512, tmp_path, format="fat"))
    result = command("attach", tmp_path, "--for", "xen")
    assert "no FAT of 512-byte sectors" in result.err and "last bytes" in result.err


def test_mirage_warns_of_other_profiles_and_bundles(tmp_path: Path, command: Command) -> None:
    recorded(
        tmp_path,
        faked("site", FOUR_KIB, tmp_path, profile="linux"),
        faked("code", FOUR_KIB, tmp_path, format="git", container="bundle"),
    )
    result = command("attach", tmp_path, "--for", "mirage", "--writable", "code")
    assert len(result.messages) == 3
    assert 'build with profile = "mirage"' in result.err and "bundles" in result.err


def test_long_names_that_begin_alike_are_told(tmp_path: Path, command: Command) -> None:
    names = [f"{'n' * 40}{last}" for last in "ab"]
    recorded(tmp_path, *(faked(name, FOUR_KIB, tmp_path) for name in names))
    for consumer in ("qemu", "libvirt", "cloud-hypervisor"):
        result = command("attach", tmp_path, "--for", consumer)
        assert len(result.messages) == 2 and "a shorter one" in result.err
        assert re.findall(rb"serial[=>](\w+)", result.out) == [b"n" * 20] * 2
    result = command("attach", tmp_path, "--for", "qemu")
    assert "node-name=volume-0" in result.lines[0] and "drive=volume-1" in result.lines[3]


def test_what_does_not_fit_keeps_no_other_from_being_attached(
    tmp_path: Path, command: Command
) -> None:
    secret = {"secret": True, "cipher": "aes-ccm", "key": "keys.key"}
    recorded(
        tmp_path,
        faked("site", MiB, tmp_path, sector_size=FOUR_KIB),
        faked("keys", MiB, tmp_path, **secret),
        faked("media", MiB, tmp_path, sector_size=FOUR_KIB),
    )
    result = command("attach", tmp_path, "--for", "xen", code=6)
    assert result.lines == [
        f"disk = [ 'format=raw, vdev=xvdb, access=ro, target={tmp_path}/site.img',",
        f"         'format=raw, vdev=xvdd, access=ro, target={tmp_path}/media.img' ]",
    ]
    assert "  keys: is encrypted in sectors of 512 bytes" in result.err
    assert "build it with sector-size = 4096 in the manifest" in result.err
    (tmp_path / "media.img").unlink()
    result = command("attach", tmp_path, "--for", "xen", "--json", code=4)
    assert [each["name"] for each in json.loads(result.out)["volumes"]] == ["site"]
    assert len(result.messages) == 3


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_only_what_is_named_is_attached(consumer: str, build: Path, command: Command) -> None:
    (build / "site.img").unlink()
    text = command("attach", build, "--for", consumer, "--only", "media").out.decode()
    assert "media" in text and "site" not in text
    assert consumer != "xen" or "xvdc" in text, "numbers are those of the whole configuration"
    assert (
        "there are site, media"
        in command(*("attach", build, "--for", consumer, "--only", "medium"), code=2).err
    )


def test_mirage_is_told_what_cannot_be_built_together(tmp_path: Path, command: Command) -> None:
    recorded(
        tmp_path,
        faked("site", MiB, tmp_path, format="fat", sector_size=FOUR_KIB),
        faked("code", MiB, tmp_path, format="git", container="docteur"),
    )
    result = command("attach", tmp_path, "--for", "mirage")
    assert "site: fat_ro with docteur " in result.err and "mirage-kv" in result.err
    alone = command("attach", tmp_path, "--for", "mirage", "--only", "site")
    assert "fat_ro" not in alone.err


# Secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_key_is_never_told_but_where_it_is(
    consumer: str, as_json: bool, tmp_path: Path, command: Command
) -> None:
    key = "00112233445566778899aabbccddeeff"
    (tmp_path / "keys.key").write_text(f"{key}\n")
    sectors = 4096 if consumer == "xen" else 512
    secret = {"secret": True, "cipher": "aes-ccm", "key": "keys.key", "sector_size": sectors}
    recorded(tmp_path, faked("keys", 7 * MiB, tmp_path, **secret))
    result = command("attach", tmp_path, "--for", consumer, *["--json"][: int(as_json)])
    text = result.out.decode() + result.err
    assert key not in text and f"{tmp_path}/keys.key" in text
    if consumer != "albatross":  # which is told the size of a block
        assert str(7 * MiB) not in text and "7 MiB" not in text


def test_a_key_that_the_build_was_given_is_its_owners(tmp_path: Path, command: Command) -> None:
    recorded(tmp_path, faked("keys", MiB, tmp_path, secret=True, cipher="aes-ccm"))
    told = command("attach", tmp_path, "--for", "qemu").messages
    assert told[0] == "keys: encrypted; its key is the one that the build was given"


@pytest.mark.parametrize("consumer", [name for name in CONSUMERS if name != "albatross"])
def test_secrets_in_clear_are_warned_of(consumer: str, tmp_path: Path, command: Command) -> None:
    ram = tmp_path / "ram"
    ram.mkdir()
    record = faked("keys", MiB, ram, secret=True)
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "keys.img").symlink_to(ram / "keys.img")
    recorded(dist, record)
    assert "deploy again after the host restarts" in command("attach", dist, "--for", consumer).err
    (ram / "keys.img").unlink()
    gone = command("attach", dist, "--for", consumer, code=4)
    assert "secrets in RAM are gone when the host restarts" in gone.err


# Programs that cannot be had, as their documentation has them ------------------------------------


def test_firecracker_gets_drives_as_its_api_specifies(build: Path, command: Command) -> None:
    # firecracker.yaml, Drive: drive_id and is_root_device are required; for a virtio device
    # path_on_host and is_read_only, too. Ids are letters, digits and underscores (checked_id).
    result = command("attach", build, "--for", "firecracker", "--writable", "media")
    assert json.loads(result.out) == {
        "drives": [
            {
                "drive_id": name,
                "path_on_host": f"{build}/{name}.img",
                "is_root_device": False,
                "is_read_only": name == "site",
            }
            for name in ("site", "media")
        ]
    }


def disk_options(text: str) -> dict[str, str]:
    """Cloud Hypervisor's options, read as its option_parser crate (version 53) says.

    They are split at commas outside of double quotes and brackets, and at their first equals sign;
    quotes are then taken out of a value, of each two between quotes one.
    """
    options, quoted, brackets = [""], False, 0
    for character in text:
        quoted ^= character == '"'
        if not quoted:
            brackets += (character == "[") - (character == "]")
            assert brackets >= 0
        if character == "," and not quoted and not brackets:
            options.append("")
        else:
            options[-1] += character
    assert not quoted and not brackets
    found = dict(option.split("=", 1) for option in options)
    for name, value in found.items():
        if value.startswith('"'):
            value = value[1:-1].replace('""', "\0")
            assert '"' not in value
            found[name] = value.replace("\0", '"')
    return found


@pytest.mark.parametrize("name", ["plain", "a, b", 'say "a", [b', "[x]", '",'])
def test_cloud_hypervisor_finds_each_path(name: str, tmp_path: Path, command: Command) -> None:
    directory = tmp_path / name
    directory.mkdir()
    images = (faked(each, FOUR_KIB, directory) for each in ("one", "two"))
    recorded(directory, *images)
    result = command(
        *("attach", directory, "--for", "cloud-hypervisor", "--writable", "two", "--json")
    )
    flag, *disks = json.loads(result.out)["arguments"]
    assert flag == "--disk"
    assert list(map(disk_options, disks)) == [
        {"path": f"{directory}/{each}.img", "readonly": mode, "serial": each}
        for each, mode in (("one", "on"), ("two", "off"))
    ]
    assert bool(json.loads(result.out)["warnings"]) == (name != "plain")


def test_disks_are_lettered_as_linux_letters_them() -> None:
    assert [ordinal(number) for number in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        *("a", "b", "z", "aa", "ab", "az", "ba", "zz", "aaa")
    ]
