"""libvirt's schema and its parser take our disks, and hand back what we meant."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.running import Command
from deploy.attach.builds import faked, recorded
from judges.programs import require

DOMAIN = """<domain type='{kind}'>
  <name>www</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <source file='/var/lib/boot.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
{disks}
  </devices>
</domain>
"""


def ran(*command: str | Path) -> str:
    """What a program that must succeed prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(name="directory")
def fixture_directory(tmp_path: Path) -> Path:
    """A build in a directory with a name for XML to escape; more disks than letters."""
    directory = tmp_path / '<o\'dd> & "böse", --dir'
    directory.mkdir()
    images = [faked(f"volume{number}", 4096, directory) for number in range(30)]
    secret = {"secret": True, "cipher": "aes-ccm", "key": "keys.key", "sector_size": 4096}
    recorded(directory, *images, faked("keys", 4096, directory, **secret))
    return directory


def test_the_schema_takes_a_domain_with_our_disks(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    require("xmllint")
    validate = require("virt-xml-validate")
    disks = command("attach", directory, "--for", "libvirt", "--writable", "volume3").out.decode()
    domain = tmp_path / "domain.xml"
    domain.write_text(DOMAIN.format(kind="kvm", disks=disks), encoding="utf-8")
    assert "validates" in ran(validate, domain, "domain")
    domain.write_text(domain.read_text("utf-8").replace("<serial>", "<cereal>"), "utf-8")
    assert subprocess.run([validate, domain, "domain"], capture_output=True).returncode


def test_libvirt_hands_back_what_we_meant(
    directory: Path, tmp_path: Path, command: Command
) -> None:
    virsh = require("virsh")
    disks = command("attach", directory, "--for", "libvirt", "--writable", "volume3").out.decode()
    domain = tmp_path / "domain.xml"
    domain.write_text(DOMAIN.format(kind="test", disks=disks), encoding="utf-8")
    # The driver "test" forgets what it was told with its connection: both in one run.
    session = f"define --validate '{domain}'; dumpxml www"
    told = ran(virsh, "-q", "-c", "test:///default", session)
    root = ElementTree.fromstring(told[told.index("<domain") : told.index("</domain>") + 9])
    found = root.findall("devices/disk")[1:]
    names = [*(f"volume{number}" for number in range(30)), "keys"]
    assert len(found) == len(names)
    for name, disk in zip(names, found, strict=True):
        assert (disk.get("type"), disk.get("device")) == ("file", "disk")
        assert disk.find("driver").attrib == {"name": "qemu", "type": "raw"}  # type: ignore[union-attr]
        assert disk.find("source").get("file") == f"{directory}/{name}.img"  # type: ignore[union-attr]
        assert disk.findtext("serial") == name
        assert (disk.find("readonly") is None) == (name == "volume3")
        sectors = {"4096" if name == "keys" else "512"}
        assert set(disk.find("blockio").attrib.values()) == sectors  # type: ignore[union-attr]
    targets = [disk.find("target").get("dev") for disk in found]  # type: ignore[union-attr]
    assert targets[:2] == ["vdb", "vdc"] and targets[24:27] == ["vdz", "vdaa", "vdab"]
    assert len(set(targets)) == len(targets)
