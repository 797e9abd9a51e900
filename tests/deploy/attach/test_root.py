"""A volume that a Linux guest can have as its root: `attach` tells the kernel's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.running import Command

MANIFEST = """\
[deployment]
name = "guest"

[volumes.root]
source = "site"
format = "erofs"
profile = "linux-5.10"

[volumes.data]
source = "site"
format = "tar"
"""


@pytest.mark.parametrize("consumer", ["qemu", "libvirt", "cloud-hypervisor", "solo5"])
def test_an_erofs_is_a_root_where_guests_are_linux(
    tmp_path: Path, command: Command, consumer: str
) -> None:
    site = tmp_path / "source" / "site"
    site.mkdir(parents=True)
    (site / "init").write_bytes(b"#!")
    (site.parent / "blockpack.toml").write_text(MANIFEST)
    command("build", site.parent, "--out", tmp_path / "dist")
    told = json.loads(command("attach", tmp_path / "dist", "--for", consumer, "--json").out)
    arguments = "root=/dev/disk/by-id/virtio-root rootfstype=erofs ro"
    expected = [f"root: as a guest's root, by the kernel's arguments {arguments}"]
    assert told["notes"] == ([] if consumer == "solo5" else expected)
