"""Files of any size: at the limits of the formats, sparse, in constant memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

import blockpack
from judges import fat_invariants
from judges.fat_tools import fsck, sevenzip_times
from judges.fat_volume import Rules
from judges.programs import run_silent
from repositories import GitRepository

GiB = 1 << 30
MARK = b"the end"


def sparse(path: Path, size: int) -> Path:
    """A file of `size` bytes of which only the last are stored."""
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size - len(MARK))
        file.write(MARK)
    return path


def written(volume: blockpack.Volume, source: Path, image: Path) -> blockpack.Report:
    return blockpack.write(volume.plan(blockpack.scan(source)), image)


@pytest.mark.parametrize("size", [4 * GiB - 4096, 4 * GiB - 1])
def test_fat_holds_a_file_of_4_gib_less_1(tmp_path: Path, size: int) -> None:
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "largest.bin", size)
    image = tmp_path / "image"
    report = written(blockpack.FatVolume(), tmp_path / "source", image)
    assert report.holes > 4 * GiB - (1 << 20)
    assert os.stat(image).st_blocks * 512 < 64 << 20
    # fsck.fat 4.2 counts the bytes of a chain in 32 bits, and minds such a file of mcopy's, too.
    if size + 4096 <= 4 * GiB:
        fsck(image)
    nodes = fat_invariants.check(image, Rules(), contents=False)
    assert nodes.keys() == {"largest.bin"}
    listing = run_silent("7z", ["l", "-tFAT", "-slt", "--", image])
    assert sevenzip_times(listing).keys() == {"largest.bin"}
    assert b"Size = %d\n" % size in listing
    with blockpack.open_image(image) as opened, opened.open("largest.bin") as file:
        file.seek(-len(MARK), os.SEEK_END)
        assert file.read() == MARK


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"video.bin": 3_900_000_000}, 32768),
        ({"video.bin": 3_900_000_000, **{f"{number}.txt": 100 for number in range(100)}}, 16384),
        ({"video.bin": 300 << 20, **{f"{number}.txt": 100 for number in range(500)}}, 4096),
        ({f"{number}.bin": 100_000_000 for number in range(6)}, 32768),
        ({"fsck.fat miscounts it.bin": 4 * GiB - 8192}, 8192),
        ({"always miscounted.bin": 4 * GiB - 1}, 32768),
    ],
)
def test_an_image_has_the_type_and_the_clusters_that_make_it_smallest(
    tmp_path: Path, sizes: dict[str, int], expected: int
) -> None:
    for name, size in sizes.items():
        sparse(tmp_path / name, size)
    tree = blockpack.scan(tmp_path)
    layout = blockpack.FatVolume().plan(tree)
    others = []
    for cluster_size in (4096, 8192, 16384, 32768):
        for bits in (12, 16, 32):
            with suppress(blockpack.Problems):  # too many clusters for the type
                volume = blockpack.FatVolume(fat_type=bits, cluster_size=cluster_size)
                others.append(volume.plan(tree))
    fewest = min(len(other.warnings) for other in others)
    assert layout.geometry["cluster_size"] == expected
    assert len(layout.warnings) == fewest
    assert layout.size == min(other.size for other in others if len(other.warnings) == fewest)


def test_fat_refuses_4_gib_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "too large.bin", 4 * GiB)
    with pytest.raises(blockpack.Problems) as raised:
        written(blockpack.FatVolume(), tmp_path / "source", tmp_path / "image")
    assert "too large.bin: has 4,294,967,296 bytes" in str(raised.value)
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize("dialect", ["pax", "gnu"])
@pytest.mark.parametrize("size", [8 * GiB - 1, 8 * GiB, 9 * GiB + 5])
def test_tar_holds_files_over_8_gib(
    tmp_path: Path, dialect: Literal["pax", "gnu"], size: int
) -> None:
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "large.bin", size)
    (tmp_path / "source" / "next").write_bytes(b"after it")
    image = tmp_path / "image"
    written(blockpack.TarVolume(dialect=dialect), tmp_path / "source", image)
    with tarfile.open(image, "r:") as archive:
        members = {member.name: member for member in archive}
        assert members["large.bin"].size == size
        after = archive.extractfile("next")
        assert after is not None and after.read() == b"after it"
    listed = run_silent("tar", ["-tvf", image]).decode()
    assert f" {size} " in listed and "next" in listed
    assert str(size) in run_silent("bsdtar", ["-tvf", image]).decode()


def test_ustar_refuses_8_gib(tmp_path: Path) -> None:
    sparse(tmp_path / "large.bin", 8 * GiB)
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.TarVolume(dialect="ustar").plan(blockpack.scan(tmp_path))
    assert "large.bin: does not fit a ustar header: its size" in str(raised.value)


_TAR = """
import blockpack, sys
tree = blockpack.scan(sys.argv[1])
layout = blockpack.TarVolume().plan(tree)
"""

_KEPT = """
import blockpack, sys
tree = blockpack.scan(f"git:{sys.argv[1]}@{sys.argv[3]}")
layout = blockpack.GitVolume(container="bundle", history=True).plan(tree)
assert layout.geometry["commit"] == tree.origin.commit
"""

_MEASURE = """
import re
report = blockpack.write(layout, sys.argv[2])
assert report.size == layout.size
# Not ru_maxrss, which a process has from the one that started it.
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.parametrize("target", ["image", "/dev/null"])
def test_memory_does_not_grow_with_the_size_of_a_file(tmp_path: Path, target: str) -> None:
    """32 MiB do for 100 GiB, which is sparse, to a file; for 256 MiB to a pipe or the like."""
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "huge.bin", 100 * GiB if target == "image" else GiB >> 2)
    assert measured(_TAR, tmp_path / "source", tmp_path / target) <= 32 << 10


def measured(plan: str, *arguments: str | Path) -> int:
    """The KiB that a process took which plans so, and writes to the second of `arguments`."""
    command = [sys.executable, "-c", plan + _MEASURE, *arguments]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("packing", ["loose", "delta"])
def test_memory_does_not_grow_with_the_size_of_a_blob_that_is_packed_anew(
    tmp_path: Path, packing: str
) -> None:
    """40 MiB do for blobs of 16 MiB, noise and text, which git reads and we pack."""
    repository = GitRepository.init(tmp_path / "repository", "--bare")
    repository.git("config", "core.compression", "1")
    repository.git("config", "fastimport.unpackLimit", "100" if packing == "loose" else "1")
    noise = random.Random(1).randbytes(16 << 20)
    text = b"a line of text\n" * ((16 << 20) // 15)
    repository.commit({"noise": noise, "text": text})
    if packing == "delta":
        alone = repository.commit_tree("main^{tree}")
        repository.commit({"noise": noise + b"more", "text": text + b"more"})
        repository.git("repack", "-adfq")
        listed = repository.git("verify-pack", "-v", *repository.path.glob("objects/pack/*.pack"))
        assert b"chain length = 1: 2 objects" in listed
    else:
        alone = "main"
    assert measured(_KEPT, repository.path, tmp_path / "image", alone) <= 40 << 10


_ENCRYPT = """
import os, re, sys
import blockpack
from blockpack.layers.ccm import encrypt
layout = blockpack.TarVolume(sector_size=4096).plan(blockpack.scan(sys.argv[1]))
peaks = []
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
key = bytes(32)
blockpack.write(encrypt(layout, key), sys.argv[2], jobs=1)
peaks.append(peak())
with blockpack.open_image(sys.argv[2], key=key) as image:
    assert image.verify() == []
    with image.open("huge.bin") as file:
        while file.read(1 << 20):
            pass
peaks.append(peak())
print(*peaks)
"""


def test_memory_does_not_grow_with_what_is_encrypted(tmp_path: Path) -> None:
    """40 MiB do for 64 MiB, of which 8 are the library that encrypts."""
    (tmp_path / "source").mkdir()
    sparse(tmp_path / "source" / "huge.bin", 64 << 20)
    done = subprocess.run(
        [sys.executable, "-c", _ENCRYPT, tmp_path / "source", tmp_path / "image"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(int(peak) <= 40 << 10 for peak in done.stdout.split()), f"{done.stdout} KiB"
