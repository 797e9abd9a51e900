"""What a manifest says of its consumers: defaults, and refusals before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

import blockpack
from blockpack import Problems, UsageError
from blockpack.deploy import check
from blockpack.deploy.manifest.consumers import CONSUMERS, Device
from blockpack.deploy.manifest.parser import Manifest
from blockpack.deploy.manifest.specs import volume_of
from blockpack.deploy.manifest.unikernel_limits import LIMITS, SEEN, Limit
from blockpack.deploy.record import VOLUME_NAME
from blockpack.layers.ccm import encrypted_size
from cli.running import Command
from deploy.attach.conftest import clean_environment, fixture_command
from deploy.deployments import write_files
from deploy.manifests import DEPLOYMENT, FAT, GIT, TAR
from pages import DOCS, table_under

__all__ = ["clean_environment", "fixture_command"]

SECRET = "secret = true\n"
ENCRYPTED = f"{SECRET}cipher = 'aes-ccm'\n"


def for_(consumers: str | Sequence[str], text: str) -> str:
    """The manifest `text`, for one consumer or several."""
    shown = f'"{consumers}"' if isinstance(consumers, str) else str(list(consumers))
    return text.replace("[volumes", f"consumer = {shown}\n[volumes", 1)


def complaints(text: str) -> list[str]:
    with pytest.raises(Problems) as caught:
        Manifest.parse(text)
    return [str(error).removeprefix("blockpack.toml:") for error in caught.value.exceptions]


@pytest.mark.parametrize(
    ("consumers", "body", "options"),
    [
        ("xen", "", {"sector_size": 4096}),
        ("xen", "sector-size = 512\n", {"sector_size": 512}),
        ("solo5", "", {"sector_size": 4096}),
        ("albatross", "", {"sector_size": 4096, "pad": 1 << 20}),
        ("albatross", "pad = '2M'\n", {"sector_size": 4096, "pad": 2 << 20}),
        ("firecracker", "", {"sector_size": 512}),
        ("qemu", "", {}),
        ("mirage", "", {"profile": "mirage"}),
        ("mirage", "profile = 'linux'\n", {"profile": "linux"}),
        (["mirage", "xen"], "", {"profile": "mirage", "sector_size": 4096}),
        (["firecracker", "xen"], "", {"sector_size": 512}),
        ([], "", {}),
    ],
)
@pytest.mark.parametrize("base", [TAR, FAT, GIT + "container = 'pack'\n"])
def test_consumers_give_volumes_their_defaults(
    consumers: str | list[str], body: str, options: dict[str, object], base: str
) -> None:
    (spec,) = Manifest.parse(for_(consumers, base + body)).volumes.values()
    assert {**spec.options, "container": 0} == {**options, "container": 0}


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_defaults_are_as_if_they_were_written(consumer: str) -> None:
    for text in (TAR, TAR + SECRET, TAR + ENCRYPTED):
        if text == TAR + SECRET and consumer == "albatross":
            continue
        (spec,) = Manifest.parse(for_(consumer, text)).volumes.values()
        lines = {"sector_size": "sector-size", "pad": "pad", "profile": "profile"}
        written = "".join(f"{lines[name]} = {value!r}\n" for name, value in spec.options.items())
        (other,) = Manifest.parse(text + written).volumes.values()
        assert spec == other


@pytest.mark.parametrize(
    ("consumer", "body", "complaint"),
    [
        ("xen", f"{ENCRYPTED}sector-size = 512\n", "volumes.site.sector-size: xen: is encrypted"),
        ("firecracker", f"{ENCRYPTED}sector-size = 4096\n", "sector-size = 512"),
        ("cloud-hypervisor", f"{ENCRYPTED}sector-size = 4096\n", "sector-size = 512"),
        ("albatross", "size = '5M'\n", ""),
        ("albatross", "size = '512K'\n", "volumes.site.size: albatross: its size is not"),
        ("albatross", "pad = '512K'\n", "volumes.site.pad: albatross: its size"),
        ("albatross", f"{ENCRYPTED}pad = '512K'\n", ""),  # twice that is written
        ("albatross", SECRET, 'build it with cipher = "aes-ccm"'),
        ("xen", "pad = 512\n", "volumes.site.pad: padding is a multiple of the sector size 4096"),
    ],
)
def test_what_a_consumer_cannot_use_is_refused_where_it_is_written(
    consumer: str, body: str, complaint: str
) -> None:
    text = for_(consumer, TAR + body)
    if not complaint:
        Manifest.parse(text)
        return
    (found,) = complaints(text)
    assert complaint in found
    Manifest.parse(TAR + body)


def test_albatross_takes_no_docteur() -> None:
    (found,) = complaints(for_("albatross", GIT))
    assert "use tar: an image for docteur" in found


def test_mirage_has_its_profile_and_what_that_forbids_is_refused() -> None:
    (found,) = complaints(for_("mirage", f"{FAT}fat-type = 32\n"))
    assert found.startswith("7: volumes.site.fat-type: ")


def test_names_of_consumers_are_told() -> None:
    (found,) = complaints(for_("xem", TAR))
    assert found.startswith("3: deployment.consumer: ") and "did you mean 'xen'?" in found
    (found,) = complaints(for_(["xen", "quemu"], TAR))
    assert found.startswith("3: deployment.consumer[1]: ") and "did you mean 'qemu'?" in found


def test_whoever_reads_a_manifest_may_say_what_it_is_for() -> None:
    text = for_("firecracker", TAR)
    manifest = Manifest.parse(text, consumers=["xen"])
    assert manifest == Manifest.parse(for_("xen", TAR)) and manifest.consumers == ("xen",)
    with pytest.raises(UsageError, match="xem"):
        Manifest.parse(text, consumers=["xem"])


BODIES = {
    "format": (TAR, FAT, GIT, f"{GIT}container = 'pack'\n", f"{GIT}container = 'bundle'\n"),
    "secret": ("", SECRET, ENCRYPTED),
    "sectors": ("", "sector-size = 512\n", "sector-size = 4096\n"),
    "size": ("", "pad = 512\n", "pad = '512K'\n", "size = '33M'\n", "size = 34079232\n"),
    "profile": ("", "profile = 'mirage'\n"),
}


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_consumer_can_use_whatever_a_manifest_for_it_has_built(consumer: str) -> None:
    tree = blockpack.Tree()
    tree.add("index.html", b"x" * 5000)
    built = 0
    for bodies in product(*BODIES.values()):
        try:
            (spec,) = Manifest.parse(for_(consumer, "".join(bodies))).volumes.values()
        except Problems:
            continue
        layout = volume_of(spec.format, **spec.options).plan(tree)
        size = layout.size if spec.cipher is None else encrypted_size(layout.size)
        device = Device(
            name=spec.name,
            format=layout.format,
            profile=volume_of(spec.format, **spec.options).profile.name,
            sector_size=layout.sector_size,
            size=size,
            container=str(layout.geometry.get("container")),
            secret=spec.secret,
            cipher=spec.cipher,
        )
        assert not list(CONSUMERS[consumer].refusals(device)), bodies
        built += 1
    assert built >= 30


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_names_of_volumes_are_names_of_devices(consumer: str) -> None:
    longest = "A" + "z9" * 31
    assert VOLUME_NAME.fullmatch(longest) and not VOLUME_NAME.fullmatch(longest + "x")
    for name in ("a", "A1", longest, "disk.img", "", "n" * 200):
        device = Device(name=name, format="tar", profile="any", sector_size=4096, size=1 << 20)
        found = [refusal.rule for refusal in CONSUMERS[consumer].refusals(device)]
        if VOLUME_NAME.fullmatch(name):
            assert not found
        elif not name or (consumer.startswith("solo5") and len(name) > 67):
            assert found == ["its name cannot be a device's name there"]


# What cannot be in one unikernel -----------------------------------------------------------------

VOLUMES = {
    "fat_ro": "format = 'fat'\n",
    "tar_kv_ro": "format = 'tar'\n",
    "docteur": "format = 'git'\n",
    "ccm_block": f"format = 'tar'\n{ENCRYPTED}",
}


def hinted(consumers: Sequence[str], *devices: str) -> list[tuple[str, str]]:
    """What is said of a manifest with a volume for each device, `v0`, `v1`, …"""
    volumes = "".join(
        f"[volumes.v{number}]\nsource = 'a'\n{VOLUMES[device]}"
        for number, device in enumerate(devices)
    )
    return list(Manifest.parse(for_(consumers, DEPLOYMENT + volumes)).hints())


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.device} {limit.beside}")
def test_what_cannot_be_built_together_is_said_once(limit: Limit) -> None:
    device, beside, why, instead = limit
    if beside == "tar_kv_rw" or (device, beside) == ("docteur", "ccm_block"):
        return  # no manifest asks for these
    consumers = ["mirage", *([beside] if beside in CONSUMERS else [])]
    others = [beside] if beside in VOLUMES else []
    found = [text for name, text in hinted(consumers, device, *others) if why in text]
    assert len(found) == 1 and instead in found[0] and SEEN in found[0]
    assert not any(why in text for _, text in hinted([], device, *others))
    if others:
        assert not any(why in text for _, text in hinted(["mirage"], device))


def test_what_can_be_built_together_is_not_spoken_of() -> None:
    assert not hinted(["mirage", "xen"], "tar_kv_ro", "tar_kv_ro")
    assert not hinted(["mirage", "solo5"], "fat_ro", "fat_ro")
    assert not [
        text for _, text in hinted(["mirage"], "docteur", "ccm_block") if "with ccm" in text
    ]


def test_check_says_what_a_consumer_reads_in_part_or_not_at_all(
    tmp_path: Path, command: Command
) -> None:
    volumes = (
        "[volumes.v0]\nsource = 'a'\nformat = 'fat'\n[volumes.v1]\nsource = 'a'\nformat = 'git'\n"
    )
    write_files(tmp_path, {"blockpack.toml": (DEPLOYMENT + volumes).encode(), "a/b": b"c"})
    assert not command("check", tmp_path).err
    told = command("check", tmp_path, "--for", "mirage", "--for", "xen").err
    assert "warning: volume v0: fat_ro with docteur " in told
    assert "warning: volume v1: docteur with xen " in told
    refused = command("check", tmp_path, "--for", "albatross", code=2).err
    assert "blockpack.toml:6: volumes.v1: albatross: " in refused
    text = for_(["mirage", "xen"], DEPLOYMENT + volumes)
    write_files(tmp_path, {"blockpack.toml": text.encode()})
    assert command("check", tmp_path).err == told
    assert {warning.code for volume in check(tmp_path) for warning in volume.warnings} == {
        "consumer"
    }


def test_the_page_has_the_table() -> None:
    rows = table_under(DOCS / "deploy" / "mirage.md", "What can be in one unikernel", "device")
    told = [tuple(cell.replace("`", "") for cell in row) for row in rows]
    assert told == [tuple(cell.replace("`", "") for cell in limit) for limit in LIMITS]


def test_the_page_has_the_defaults_of_every_consumer() -> None:
    rows = table_under(DOCS / "deploy" / "manifest.md", "Consumers", "consumer")
    names = {"sector-size": "sector_size"}
    told = {}
    for consumer, options, *_ in rows:
        pairs = [part.strip(" `").split(" = ") for part in options.split(",") if part.strip()]
        for name in consumer.split(","):
            told[name.strip(" `")] = {
                names.get(key, key): value.strip(chr(34)) for key, value in pairs
            }
    assert told == {
        name: {
            key: "1M" if value == 1 << 20 else str(value) for key, value in rules.defaults.items()
        }
        for name, rules in CONSUMERS.items()
    }
