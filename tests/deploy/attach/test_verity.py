"""A deployment's hash trees: what the record tells of them, and `attach`, opens the images."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cli.running import Command
from judges import verity as judge

MANIFEST = """\
[deployment]
name = "www"

[volumes.site]
source = "site"
format = "tar"
verity = true

[volumes.root]
source = "site"
format = "fat"

[disks.card]
[[disks.card.partitions]]
volume = "root"
type = "root-x86-64"
verity = true
"""


@pytest.fixture(name="dist")
def fixture_dist(tmp_path: Path, command: Command) -> Path:
    site = tmp_path / "source" / "site"
    site.mkdir(parents=True)
    (site / "index.html").write_bytes(b"<p>hello" * 3000)
    (site.parent / "blockpack.toml").write_text(MANIFEST)
    command("build", site.parent, "--out", tmp_path / "dist")
    return tmp_path / "dist"


def test_what_is_attached_opens_by_what_is_told(dist: Path, command: Command) -> None:
    told = json.loads(command("attach", dist, "--for", "qemu", "--json").out)
    (note,) = (each for each in told["notes"] if "veritysetup open" in each)
    _, _, words = note.partition("veritysetup ")
    action, offset, data, name, hashes, root_hash = shlex.split(words)
    assert (action, name) == ("open", "site")
    assert data == hashes == "/dev/disk/by-id/virtio-site"
    image = dist / "site.img"
    judge.verify(image, image, root_hash, int(offset.partition("=")[2]))
    record = json.loads((dist / "manifest.json").read_text())["volumes"]
    assert [each["verity"]["root_hash"] for each in record] == [
        each["root_hash"] for each in told["volumes"]
    ]
    assert root_hash == record[0]["verity"]["root_hash"]


def test_a_disk_is_found_by_its_root_hash_alone(dist: Path, command: Command) -> None:
    lines = command("attach", dist, "--for", "libvirt", "--only", "card").messages
    partitions = json.loads(command("info", dist / "card.img", "--json").out)["partitions"]
    root_hash = "".join(each["id"] for each in partitions).replace("-", "").lower()
    assert any(f"roothash={root_hash}" in line for line in lines)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hash_salt", "'; reboot"), ("hash_offset", -512), ("data_blocks", None), ("root_hash", "x")],
)
def test_a_record_that_was_tampered_with_is_not_told(
    dist: Path, command: Command, key: str, value: object
) -> None:
    path = dist / "manifest.json"
    record = json.loads(path.read_text())
    record["volumes"][0]["verity"][key] = value
    path.write_text(json.dumps(record))
    assert "volumes[0].verity" in command("attach", dist, "--for", "qemu", code=6).err
