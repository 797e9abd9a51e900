"""Seeds are volumes of deployments, too: built, and held against their readers before."""

from __future__ import annotations

from pathlib import Path

from cli.running import Command
from deploy.deployments import manifest, write_files
from judges.cloud_init import nocloud_read

VOLUME = """
[volumes.seed]
source = "seed"
format = "fat"
profile = "nocloud"
label = "cidata"
label-case = "keep"
fats = 1
"""

FILES = {
    "blockpack.toml": manifest(VOLUME),
    "seed/user-data": b"#cloud-config\npackages: [nginx]\n",
    "seed/meta-data": b"instance-id: i-1\n",
}


def test_a_seed_is_built_and_taken_by_cloud_init(command: Command, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    command("build", tmp_path, "--out", tmp_path / "dist")
    found = nocloud_read(tmp_path / "dist" / "seed.img")
    assert found is not None and found["metadata"]["instance-id"] == "i-1"


def test_what_cloud_init_would_not_take_is_told_before_anything_is_built(
    command: Command, tmp_path: Path
) -> None:
    write_files(tmp_path, {**FILES, "seed/user-data": b"#cloud-config\n- a list\n"})
    for words in (("check", tmp_path), ("build", tmp_path, "--out", tmp_path / "dist")):
        assert "user-data: is not a mapping" in command(*words, code=3).err
    assert not (tmp_path / "dist" / "seed.img").exists()


def test_options_that_the_reader_forbids_are_told_at_their_line(
    command: Command, tmp_path: Path
) -> None:
    text = VOLUME.replace("cidata", "Seed")
    write_files(tmp_path, {**FILES, "blockpack.toml": manifest(text)})
    said = command("check", tmp_path, code=2).err
    assert "volumes.seed.label: profile nocloud reads volumes labelled CIDATA or cidata" in said
