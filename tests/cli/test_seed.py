"""``blockpack seed``: from nothing to a seed for cloud-init."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import blockpack
from cli.running import Command
from judges.cloud_init import assert_schema, nocloud_read

USER_DATA = "#cloud-config\npackages: [nginx]\n"


@pytest.fixture(name="seed")
def fixture_seed(tmp_path: Path) -> Path:
    """A directory with user-data alone."""
    seed = tmp_path / "seed"
    seed.mkdir()
    (seed / "user-data").write_text(USER_DATA)
    return seed


def meta_data(image: Path) -> dict[str, str]:
    with blockpack.open_image(image) as opened:
        found: dict[str, str] = yaml.safe_load(opened.read("meta-data"))
    return found


def test_cloud_init_takes_what_was_made_of_user_data_alone(
    command: Command, seed: Path, tmp_path: Path
) -> None:
    image = tmp_path / "seed.img"
    (line,) = command("seed", seed, image, "--hostname", "web-1.example").messages
    assert "seed.img: FAT12, 64.0 KiB" in line
    found = nocloud_read(image)
    assert found is not None
    assert found["userdata"] == USER_DATA
    assert found["metadata"]["local-hostname"] == "web-1.example"
    assert found["metadata"]["instance-id"].startswith("iid-")
    assert_schema(seed / "user-data")


def test_another_instance_is_told_just_where_cloud_init_has_something_new_to_do(
    command: Command, seed: Path, tmp_path: Path
) -> None:
    image = tmp_path / "seed.img"

    def instance(*options: str) -> str:
        command("seed", seed, image, *options)
        return meta_data(image)["instance-id"]

    first = instance()
    before = image.read_bytes()
    assert instance() == first and image.read_bytes() == before
    (seed / "README").write_text("nothing that cloud-init reads")
    assert instance() == first
    found = {first, instance("--hostname", "web"), instance("--hostname", "db")}
    for name, text in (
        ("network-config", "version: 2\n"),
        ("vendor-data", "#!/bin/sh\n"),
        ("user-data", f"{USER_DATA}#"),
    ):
        (seed / name).write_text(text)
        found.add(instance())
    assert len(found) == 6
    assert instance("--instance-id", "0815") == "0815"


def test_meta_data_of_ones_own_stays_as_it_is(command: Command, seed: Path, tmp_path: Path) -> None:
    image = tmp_path / "seed.img"
    (seed / "Meta-Data").write_text("instance-id: mine\n")
    command("seed", seed, image)
    with blockpack.open_image(image) as opened:
        assert opened.read("Meta-Data") == b"instance-id: mine\n"
        assert len(opened) == 2
    for option in ("--hostname", "--instance-id"):
        said = command("seed", seed, tmp_path / "x.img", option, "web", code=2).err
        assert "has meta-data, which says that itself" in said


@pytest.mark.parametrize("name", ["a b", "", "-", 'a"', "a\nb", "ä", "a" * 254])
def test_what_is_no_name_is_wrong_usage(
    command: Command, seed: Path, tmp_path: Path, name: str
) -> None:
    code = 2 if name else 0  # as if it were left out
    for option in ("--hostname", "--instance-id"):
        command("seed", seed, tmp_path / "seed.img", f"{option}={name}", code=code)


def test_all_that_is_wrong_is_told_and_nothing_is_written(
    command: Command, seed: Path, tmp_path: Path
) -> None:
    image = tmp_path / "seed.img"
    (seed / "user-data").write_text("#cloud-config\npackages: [\n")
    (seed / "network-config").write_text("- eth0\n")
    result = command("seed", seed, image, code=3)
    assert result.messages[0].startswith("2 problems: this tree does not fit")
    assert "user-data: is not valid YAML" in result.err
    assert "network-config: is not a mapping" in result.err
    (seed / "user-data").unlink()
    assert "user-data: is missing" in command("seed", seed, image, code=3).err
    assert not image.exists()


def test_json_and_links_are_as_pack_has_them(command: Command, seed: Path, tmp_path: Path) -> None:
    (seed / "vendor-data").symlink_to("user-data")
    image = tmp_path / "seed.img"
    report = json.loads(command("seed", seed, image, "--json").out)
    assert report["format"] == "fat" and report["geometry"]["label"] == "CIDATA"
    assert report["size"] == image.stat().st_size
    with blockpack.open_image(image) as opened:
        assert opened.read("vendor-data") == USER_DATA.encode()


def test_a_profile_of_one_format_needs_no_format(
    command: Command, seed: Path, tmp_path: Path
) -> None:
    (seed / "meta-data").write_text("instance-id: i\n")
    command("pack", seed, tmp_path / "seed.img", "--profile", "nocloud")
    with blockpack.open_image(tmp_path / "seed.img") as opened:
        assert opened.format == "fat"
    refused = command(
        "pack", seed, tmp_path / "x.tar", "--profile", "nocloud", "--format", "tar", code=2
    )
    assert "profile nocloud reads fat, not tar; give --format fat" in refused.err


def test_verify_and_diff_take_a_label_in_its_own_case(
    command: Command, seed: Path, tmp_path: Path
) -> None:
    image = tmp_path / "x.img"
    command("pack", seed, image, "--format", "fat", "--label", "Data", "--label-case", "keep")
    command("verify", image, seed)
    assert b"label             Data" in command("info", image).out
