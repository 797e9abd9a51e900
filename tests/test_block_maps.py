"""A block map tells just what has to be right: judged by bmaptool, on media full of old bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.images import device_copy
from blockpack.images.block_map import BLOCK, BlockMap, BlockRange
from cli.running import process
from faults.mounts import loop_device, require_root
from faults.rendering import pattern
from judges.programs import run
from judges.verity import verify as judge_verity

SIZE = 64 << 20
ZEROS = "0" * 64


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "d").mkdir(parents=True)
    (site / "d" / "film").write_bytes(os.urandom(3_000_001))
    (site / "zeros").write_bytes(bytes(100_000))
    (site / "page").write_text("a page")
    return site


def fsck(device: Path) -> None:
    run("fsck.fat", ["-n", device])


def verified(device: Path) -> None:
    """Free clusters, too, are what the hash tree says: the kernel reads nothing else."""
    facts = json.loads(process("info", device, "--json").out)["geometry"]
    judge_verity(device, device, facts["root_hash"], facts["hash_offset"])


def untar(device: Path) -> None:
    run("tar", ["-tf", device])


KINDS: dict[str, tuple[tuple[str, ...], Callable[[Path], None] | None]] = {
    "fat": (("--format", "fat", "--free", "20M"), fsck),
    "fat32": (("--format", "fat", "--fat-type", "32", "--cluster-size", "512"), fsck),
    "verity": (("--format", "fat", "--free", "20M", "--verity"), verified),
    "tar": (("--format", "tar", "--size", "20M"), untar),
    "docteur": (("--format", "git"), None),
    "pack": (("--format", "git", "--container", "pack"), None),
}


@pytest.mark.parametrize("writer", ["bmaptool", "blockpack"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_mapped_suffices_on_a_used_medium(
    site: Path, tmp_path: Path, kind: str, writer: str
) -> None:
    require_root()
    options, judge = KINDS[kind]
    image, bmap = tmp_path / "image", tmp_path / "map"
    process("pack", site, image, "--bmap", bmap, "-q", *options)
    backing = tmp_path / "medium"
    backing.write_bytes(b"\xff" * SIZE)
    if kind in ("docteur", "verity"):  # which are read from the end of their device
        os.truncate(backing, image.stat().st_size)
    with loop_device(backing, backing.stat().st_size) as device:
        if writer == "bmaptool":
            run("bmaptool", ["copy", "--bmap", bmap, image, device])
        else:
            words = ("write", image, device, "--bmap", bmap, "--verify", "--allow-device")
            process(*words)
        if judge is not None:
            judge(device)
        process("verify", device, site)
        free = BlockMap.parse(bmap.read_bytes(), "map")
        with open(device, "rb") as file:
            file.seek(free.ranges[-1].last * BLOCK + BLOCK)
            assert not file.read(BLOCK).strip(b"\xff"), "nothing is written beyond"


def test_a_plan_gives_the_same_map_as_the_image(site: Path, tmp_path: Path) -> None:
    for options, _ in KINDS.values():
        process("pack", site, tmp_path / "image", "--bmap", tmp_path / "a", "-q", *options)
        process("plan", site, "--bmap", tmp_path / "b", *options)
        piped = process("pack", site, "-", "--bmap", tmp_path / "c", "-q", *options)
        assert piped.out == (tmp_path / "image").read_bytes()
        assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


@pytest.mark.parametrize("kind", ["fat", "tar"])
def test_bmaptools_own_map_is_taken(site: Path, tmp_path: Path, kind: str) -> None:
    options, _ = KINDS[kind]
    image, bmap, target = (tmp_path / name for name in ("image", "map", "target"))
    process("pack", site, image, "-q", *options)
    run("bmaptool", ["create", image, "-o", bmap])
    told = process("write", image, target, "--bmap", bmap, "--verify").err
    assert "read back the same" in told
    assert target.read_bytes() == image.read_bytes()


def test_a_partition_of_a_disk_is_written_as_an_image_is(site: Path, tmp_path: Path) -> None:
    disk, image, target = (tmp_path / name for name in ("card.img", "image", "target"))
    process("disk", disk, "--partition", f"a={site}:fat", "--partition", f"web={site}:tar", "-q")
    process("pack", site, image, "--format", "tar", "-q")
    process("write", f"{disk}#web", target, "--verify")
    assert target.read_bytes()[: image.stat().st_size] == image.read_bytes()
    process("verify", target, site)


@given(
    st.lists(st.sampled_from([0, 1, 511, 4096, 5000, 70_000]), max_size=20),
    st.sampled_from([blockpack.TarVolume, blockpack.FatVolume]),
)
def test_all_that_is_not_zero_is_mapped(
    sizes: list[int], volume: type[blockpack.TarVolume | blockpack.FatVolume]
) -> None:
    tree = blockpack.Tree()
    for number, size in enumerate(sizes):
        tree.add(f"d{number % 3}/{number}", pattern(size, number))
    layout = volume(free="1M").plan(tree)
    found = BlockMap.of(layout)
    data = layout.open().read()
    mapped = {block for first, last, _ in found.ranges for block in range(first, last + 1)}
    for block in set(range(-(-len(data) // BLOCK))) - mapped:
        assert not any(data[block * BLOCK : (block + 1) * BLOCK])
    assert len(mapped) * BLOCK <= len(data) - (1 << 20) + 2 * BLOCK


def test_both_allocation_tables_are_mapped_whole() -> None:
    layout = blockpack.FatVolume(fat_type="32", size="300M").plan(blockpack.Tree())
    tables = int(layout.geometry["data_offset"])
    assert BlockMap.of(layout).ranges[0].last >= tables // BLOCK - 1


def test_an_image_that_is_not_the_maps_is_not_written(site: Path, tmp_path: Path) -> None:
    image, bmap, target = (tmp_path / name for name in ("image", "map", "target"))
    process("pack", site, image, "--bmap", bmap, "-q", "--format", "fat")
    with open(image, "r+b") as file:
        file.seek(2_000_000)
        file.write(b"x")
    found = process("write", image, target, "--bmap", bmap, code=6)
    assert "differs from its map" in found.err
    assert not target.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:200],
        lambda text: text.replace("2.0", "1.3", 1),
        lambda text: text.replace("<Range", "<Rang", 1),
        lambda text: text.replace("> 0-", "> 7-", 1),
        lambda text: text.replace("sha256 <", "sha1 <", 1),
    ],
)
def test_a_damaged_map_is_refused(damage: Callable[[str], str]) -> None:
    layout = blockpack.FatVolume().plan(blockpack.Tree())
    text = BlockMap.of(layout).encoded().decode()
    with pytest.raises(blockpack.ImageError):
        BlockMap.parse(damage(text).encode(), "map")


@pytest.mark.parametrize(
    "ranges",
    [
        (BlockRange(5, 4, ZEROS),),
        (BlockRange(0, 4, ZEROS), BlockRange(4, 5, ZEROS)),
        (BlockRange(0, 10, ZEROS),),
        (BlockRange(5, 6, ZEROS), BlockRange(1, 2, ZEROS)),
    ],
)
def test_ranges_out_of_order_or_of_the_image_are_refused(ranges: tuple[BlockRange, ...]) -> None:
    text = BlockMap(10 * BLOCK, ranges).encoded()
    with pytest.raises(blockpack.ImageError, match="in order"):
        BlockMap.parse(text, "map")


def test_a_medium_that_keeps_other_bytes_is_told(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, target = tmp_path / "image", tmp_path / "target"
    process("pack", site, image, "-q", "--format", "tar")

    def faulty(*words: object, **options: object) -> object:
        report = blockpack.write(*words, **options)  # type: ignore[arg-type]
        with open(target, "r+b") as file:
            file.seek(1_234_567)
            byte = file.read(1)
            file.seek(1_234_567)
            file.write(bytes([byte[0] ^ 1]))
        return report

    monkeypatch.setattr(device_copy, "write", faulty)
    with pytest.raises(blockpack.TargetError, match=r"in bytes 1,234,567 to 1,234,567"):
        device_copy.write_image(str(image), target, verify=True)
