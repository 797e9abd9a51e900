"""What is in a disk's partitions is found by programs that we did not write."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import blockpack
from disks.conftest import FILES
from faults.mounts import loop_device, require_root
from faults.mounts import run as run_tool
from faults.rendering import differ_at
from judges.fat_tools import fsck
from judges.partition_tables import sfdisk_table
from judges.programs import require, run, run_silent

MiB = 1 << 20
TABLES = ("gpt", "mbr", "hybrid")


@pytest.fixture(name="image", params=TABLES)
def fixture_image(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fat: blockpack.Layout,
    tar: blockpack.Layout,
) -> Path:
    """A disk with each of the tables: FAT in its first partition, tar in the second."""
    image = tmp_path / "disk.img"
    disk = blockpack.Disk(
        table=request.param,
        partitions=[
            blockpack.Partition(fat, type="fat32-lba", name="boot"),
            blockpack.Partition(tar, type="linux", name="web"),
        ],
    )
    blockpack.write(disk.plan(), image)
    return image


def place(image: Path, number: int) -> tuple[int, int]:
    """Where sfdisk finds a partition: its first byte and its size."""
    found = sfdisk_table(image).partitions[number - 1]
    return found.start, found.size


def test_mtools_read_fat_at_the_partition_s_offset(image: Path) -> None:
    start, _ = place(image, 1)
    with TemporaryDirectory() as directory:
        run_silent("mcopy", ["-s", "-n", "-i", f"{image}@@{start}", "::/", directory])
        for name, data in FILES.items():
            assert (Path(directory) / name).read_bytes() == data


def test_gnu_tar_reads_the_second_partition(image: Path, tmp_path: Path) -> None:
    start, size = place(image, 2)
    piece = tmp_path / "piece.tar"
    with open(image, "rb") as file:
        file.seek(start)
        piece.write_bytes(file.read(size))
    for name, data in FILES.items():
        assert run_silent("tar", ["-xOf", piece, name]) == data


def test_grub_reads_both_partitions(image: Path) -> None:
    label = "msdos" if b"msdos1" in run_silent("grub-fstest", [image, "ls"]) else "gpt"
    for number in (1, 2):
        for name, data in FILES.items():
            path = f"(loop0,{label}{number})/{name}"
            assert run_silent("grub-fstest", [image, "--", "cat", path]) == data


def test_7zip_takes_the_disk_apart(image: Path, tmp_path: Path) -> None:
    listed = run("7z", ["l", "-slt", image]).stdout.decode()
    assert re.search(r"^Type = (GPT|MBR)$", listed, re.M)
    run("7z", ["x", "-bd", f"-o{tmp_path / 'out'}", image])
    first = next(
        path for path in (tmp_path / "out").iterdir() if path.name.startswith(("0", "boot"))
    )
    start, size = place(image, 1)
    with open(image, "rb") as file:
        file.seek(start)
        assert first.read_bytes() == file.read(size)


def test_partitions_are_devices(image: Path) -> None:
    with partitioned(image) as device:
        fsck(Path(f"{device}p1"))
        for name, data in FILES.items():
            assert run("mtype", ["-i", f"{device}p1", f"::/{name}"]).stdout == data
        listed = run_tool("tar", "-tf", f"{device}p2").splitlines()
        assert set(FILES) <= set(listed)


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_partitions_are_devices_of_both_sectors(
    site: Path, tmp_path: Path, sector_size: int
) -> None:
    tree = blockpack.scan(site)
    fat = blockpack.FatVolume(sector_size=sector_size).plan(tree)
    disk = blockpack.Disk(
        partitions=[
            blockpack.Partition(fat, type="esp", name="EFI"),
            blockpack.Partition(size="3M", type="swap", name="swap"),
        ],
        sector_size=sector_size,
    )
    image = tmp_path / "disk"
    blockpack.write(disk.plan(), image)
    with partitioned(image, sector_size) as device:
        told = json.loads(run_tool("sfdisk", "-J", device))["partitiontable"]
        assert [each["name"] for each in told["partitions"]] == ["EFI", "swap"]
        assert "No problems found" in run_tool("sgdisk", "-v", device)
        assert run_tool("blockdev", "--getsize64", f"{device}p2") == str(3 * MiB)
        assert run("mtype", ["-i", f"{device}p1", "::/d/page"]).stdout == FILES["d/page"]


@contextmanager
def partitioned(image: Path, sector_size: int = 512) -> Iterator[Path]:
    """A block device with the partitions of `image`, as the kernel finds them; partx finds them
    for one that was built without.
    """
    require_root()
    size = image.stat().st_size
    with loop_device(image, size, "-P", "--sector-size", str(sector_size)) as device:
        parts = Path("/sys/block", device.name)
        if not list(parts.glob(f"{device.name}p*")):
            run_tool("partx", "--add", device)
        found = sorted(parts.glob(f"{device.name}p*"))
        made = [node for each in found if (node := _made(each)) is not None]
        try:
            yield device
        finally:
            for node in made:
                node.unlink(missing_ok=True)


def _made(partition: Path) -> Path | None:
    """The device node of a partition, if it had to be made: in a container nobody does."""
    node = Path("/dev", partition.name)
    if node.exists():
        return None
    major, minor = map(int, (partition / "dev").read_text().split(":"))
    os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(major, minor))
    return node


REPART = """\
[Partition]
Type=esp

[Partition]
Type=linux-generic
Label=tar

[Partition]
Type=swap

[Partition]
Type=home
"""


def test_repart_takes_the_disk_and_would_grow_it(disk: blockpack.Disk, tmp_path: Path) -> None:
    """A card is larger than the image; its last partition is another one's to add."""
    image = tmp_path / "disk"
    blockpack.write(disk.plan(), image)
    before = sfdisk_table(image).partitions
    definitions = tmp_path / "repart.d"
    definitions.mkdir()
    for number, text in enumerate(REPART.split("\n\n")):
        (definitions / f"{number}.conf").write_text(text)
    options = ["--json=short", f"--definitions={definitions}", "--no-pager", "--size=256M"]
    told = json.loads(run("systemd-repart", [*options, "--dry-run=yes", image]).stdout)
    assert [each["activity"] for each in told[2:]] == ["resize", "create"]
    run("systemd-repart", [*options, "--dry-run=no", image])
    after = sfdisk_table(image).partitions
    assert [each.id for each in after[:3]] == [each.id for each in before]
    assert [each.start for each in after[:3]] == [each.start for each in before]
    assert after[3].start >= after[2].start + after[2].size > before[2].start + before[2].size


_SERVE = """
import sys
import blockpack
site, image, socket = sys.argv[1:]
tree = blockpack.scan(site)
layout = blockpack.Disk(
    partitions=[
        blockpack.Partition(blockpack.FatVolume().plan(tree), type="esp", size="16M"),
        blockpack.Partition(blockpack.TarVolume(align=4096).plan(tree), type="linux"),
        blockpack.Partition(size="8M", type="swap"),
    ],
    raw=[blockpack.Raw(b"loader" * 1000, "64K")],
).plan()
blockpack.write(layout, image)
blockpack.serve(layout, socket, ready=lambda _: print("serving", flush=True))
"""


def test_what_is_served_is_what_is_written(site: Path, tmp_path: Path) -> None:
    nbdcopy = require("nbdcopy")
    image, copy, socket = tmp_path / "image", tmp_path / "copy", tmp_path / "socket"
    command = [sys.executable, "-c", _SERVE, *map(str, (site, image, socket))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"serving\n"
            subprocess.run([nbdcopy, f"nbd+unix:///?socket={socket}", copy], check=True)
        finally:
            server.kill()
    assert differ_at(copy.read_bytes(), image.read_bytes()) is None
