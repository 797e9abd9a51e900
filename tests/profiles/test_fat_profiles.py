"""Profiles of FAT readers: what each refuses or is warned of, and whole trees before the judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.formats.fat.geometry import FEWEST
from blockpack.planning.profile import PROFILES
from judges import fat_invariants
from judges.fat_tools import (
    dissect_read,
    fsck,
    mtools_read,
    pyfatfs_read,
    sevenzip_read,
    sevenzip_spelling,
)
from judges.fat_volume import Rules
from judges.fatfs import fatfs_read
from judges.programs import run_silent
from property.fat_images import expected_contents, never, spelled, written
from property.strategies import (
    Contents,
    FileNode,
    Spec,
    ascii_fat_names,
    fat_names,
    fold,
    specs,
    tree_of,
)

RULES = {
    "fatfs": Rules(),
    "mfat": Rules(label_entry=False),
    "raspberrypi": Rules(bits_beside_names=True),
    "uefi": Rules(),
}
"""The profiles of readers that look for no label, and what their images have of their own."""

bmp_names = fat_names.filter(lambda name: all(ord(character) <= 0xFFFF for character in name))
mixed_names = st.from_regex(r"[A-Za-z0-9]{1,9}(\.[A-Za-z0-9]{1,4})?", fullmatch=True)


@given(
    spec=specs(bmp_names | mixed_names, key=fold),
    profile=st.sampled_from(("mfat", "raspberrypi", "uefi")),
    label=st.sampled_from(("", "BOOT")),
    fats=st.sampled_from((1, 2)),
)
def test_every_judge_reads_back_every_name_and_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, profile: str, label: str, fats: int
) -> None:
    fats = max(fats, min(PROFILES[profile].fat.fats))
    layout = blockpack.FatVolume(profile=profile, label=label, fats=fats).plan(tree_of(spec))
    image = written(layout, tmp_path_factory.mktemp("profile"))
    expected = expected_contents(spec)
    if profile != "mfat" or not label:  # fsck.fat misses the label in the root directory
        fsck(image)
    rules = RULES[profile]
    rules = Rules(
        label_entry=rules.label_entry, bits_beside_names=rules.bits_beside_names, fats=fats
    )
    assert fat_invariants.check(image, rules).keys() == expected.keys()
    assert dissect_read(image) == expected
    assert pyfatfs_read(image) == expected
    assert mtools_read(image) == expected
    assert sevenzip_read(image)[0] == spelled(expected, sevenzip_spelling)
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []
        assert ours.info()["fats"] == fats


PAGE_437 = "éüßñÅçÿπΣ█½²"


@given(
    data=st.data(),
    character=st.sampled_from(PAGE_437),
    fats=st.sampled_from((1, 2)),
    sector_size=st.sampled_from((512, 4096)),
)
def test_fatfs_finds_what_its_profile_takes(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    character: str,
    fats: int,
    sector_size: int,
) -> None:
    """One character beyond ASCII at a time: the extension shows all of them alike."""
    names = ascii_fat_names | st.text(f"{character}ab1", min_size=1, max_size=20)
    spec = data.draw(specs(names, key=fold))
    volume = blockpack.FatVolume(profile="fatfs", fats=fats, sector_size=sector_size)
    image = written(volume.plan(tree_of(spec)), tmp_path_factory.mktemp("fatfs"))
    parts = {part for path in spec for part in path.split("/") if not part.isascii()}
    found = fatfs_read(image, sector_size=sector_size, names=parts)
    assert found == expected_contents(spec)
    fsck(image)


@given(name=st.text(PAGE_437 + "abc漢Ω€õ", min_size=1, max_size=8))
def test_fatfs_is_given_no_name_that_it_would_show_by_a_short_one(name: str) -> None:
    tree = tree_of({name: FileNode(Contents(1, 1))})
    try:
        name.encode("cp437")
    except UnicodeEncodeError:
        with pytest.raises(blockpack.Problems) as raised:
            blockpack.FatVolume(profile="fatfs").plan(tree)
        assert "code page 437" in str(raised.value)
    else:
        blockpack.FatVolume(profile="fatfs").plan(tree)


def test_the_smallest_image_for_fatfs_has_one_table(tmp_path: Path) -> None:
    two, one = (blockpack.FatVolume(profile="fatfs", fats=n, size="64K") for n in (2, 1))
    two_free, one_free = (
        int(volume.plan(blockpack.Tree()).geometry["free_clusters"]) for volume in (two, one)
    )
    assert two_free <= one_free
    image = written(one.plan(blockpack.Tree()), tmp_path)
    assert fatfs_read(image) == {}


def of_size(size: int, path: str = "EFI/BOOT/BOOTX64.EFI") -> blockpack.Tree:
    tree = blockpack.Tree()
    tree.add(path, never, size=size)
    return tree


@given(size=st.integers(0, 200 << 20) | st.sampled_from([FEWEST[bits] * 512 for bits in FEWEST]))
def test_uefi_gets_the_largest_type_that_the_content_fills(size: int) -> None:
    layout = blockpack.FatVolume(profile="uefi").plan(of_size(size))
    clusters = -(-size // 512) + 2  # its directories
    expected = 32 if clusters + 1 >= FEWEST[32] else 16 if clusters >= FEWEST[16] else 12
    found = int(layout.geometry["fat_type"])
    assert found == expected or (expected == 12 and found == 16)  # whichever is smaller
    assert [warning.code for warning in layout.warnings] == ["doubtful-type"] * (found == 12)


@pytest.mark.parametrize("size", ["33M", "64M", "100M", "512M", "4G", "64G"])
@pytest.mark.parametrize("profile", ["uefi", "raspberrypi"])
def test_a_given_size_is_fat32_as_soon_as_it_can_be(profile: str, size: str) -> None:
    layout = blockpack.FatVolume(profile=profile, size=size).plan(of_size(0))
    assert layout.geometry["fat_type"] == 32


@pytest.mark.parametrize(("size", "bits"), [("3M", 16), ("32M", 16), ("1M", 12)])
def test_a_small_one_is_what_it_can_be(size: str, bits: int) -> None:
    layout = blockpack.FatVolume(profile="uefi", size=size).plan(of_size(0))
    assert layout.geometry["fat_type"] == bits


def codes(layout: blockpack.Layout) -> list[tuple[str, str]]:
    return [(warning.code, warning.path) for warning in layout.warnings]


def test_uefi_warns_of_what_old_firmware_does_not_boot() -> None:
    def warned(path: str, **options: Any) -> list[tuple[str, str]]:
        return codes(blockpack.FatVolume(profile="uefi", **options).plan(of_size(9, path)))

    missing = ("missing-file", "EFI/BOOT/BOOT*.EFI")
    assert warned("EFI/BOOT/BOOTX64.EFI", fat_type=32) == []
    assert warned("efi/boot/bootaa64.efi", fat_type=16) == []
    assert warned("EFI/debian/grubx64.efi", fat_type=16) == [missing]
    assert warned("BOOTX64.EFI", fat_type=32) == [missing]
    assert warned("EFI/BOOT/BOOTX64.EFI") == [("doubtful-type", "")]
    long = "EFI/BOOT/BOOTRISCV64.EFI"
    assert warned(long, fat_type=16) == []
    assert warned(long) == [("doubtful-type", ""), ("cut-name", long)]


def test_the_raspberry_pi_misses_its_firmware_and_settings() -> None:
    def missing(*paths: str) -> list[str]:
        tree = tree_of({path: FileNode(Contents(9, 1)) for path in paths})
        return [path for _, path in codes(blockpack.FatVolume(profile="raspberrypi").plan(tree))]

    firmware = "start*.elf or kernel_2712.img or boot.img"
    assert missing("config.txt", "start4.elf") == []
    assert missing("CONFIG.TXT", "Kernel_2712.img") == []
    assert missing("config.txt") == [firmware]
    assert missing("boot/config.txt", "start.elf") == ["config.txt"]
    assert missing() == ["config.txt", firmware]


@given(clusters=st.integers(1, 9000), size=st.integers(4 << 20, 10 << 20), rest=st.integers(0, 511))
def test_the_raspberry_pi_has_nothing_in_the_last_cluster(
    clusters: int, size: int, rest: int
) -> None:
    """In an image of a given size, too; and the size that is named instead holds it all."""
    tree = of_size(max(clusters * 512 - rest, 1), "start.elf")
    size = size // 512 * 512
    try:
        layout = blockpack.FatVolume(profile="raspberrypi", size=size).plan(tree)
    except blockpack.Problems as problems:
        [problem] = problems.errors
        name, _, value = problem.option.partition("=")
        if name != "size":
            return  # another cluster size would do
        layout = blockpack.FatVolume(profile="raspberrypi", size=int(value)).plan(tree)
    assert int(layout.geometry["free_clusters"]) >= 1


@pytest.mark.parametrize("profile", [*PROFILES])
def test_a_profile_of_one_format_refuses_the_others(profile: str) -> None:
    formats = PROFILES[profile].formats
    for volume_class in (blockpack.TarVolume, blockpack.GitVolume):
        if formats and volume_class.format not in formats:
            with pytest.raises(blockpack.UsageError, match="format='fat'"):
                volume_class(profile=profile)
        else:
            volume_class(profile=profile)


@pytest.mark.parametrize("profile", [*PROFILES])
def test_a_number_of_tables_that_is_not_read_is_wrong_usage(profile: str) -> None:
    fats = PROFILES[profile].fat.fats
    for number in (1, 2):
        if number in fats:
            blockpack.FatVolume(profile=profile, fats=number)
        else:
            with pytest.raises(blockpack.UsageError, match="fats=2"):
                blockpack.FatVolume(profile=profile, fats=number)


@pytest.mark.parametrize("label", ["Boot", "config-2", "esp", "UPPER"])
def test_a_label_keeps_its_case_if_it_is_to(tmp_path: Path, label: str) -> None:
    options: Any
    for case, expected in (("keep", label), ("upper", label.upper())):
        options = {"label": label, "label_case": case}
        volume = blockpack.FatVolume(**options)
        image = written(volume.plan(blockpack.Tree()), tmp_path)
        told = run_silent("blkid", ["-p", "-o", "export", image]).decode()
        assert f"LABEL_FATBOOT={expected}\nLABEL={expected}\n" in told
        with blockpack.open_image(image) as ours:
            assert ours.info()["label"] == expected
            assert ours.verify() == []
