"""FAT images of whole trees, before judges that we did not write."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

import blockpack
from blockpack.planning.profile import PROFILES
from judges import fat_invariants
from judges.fat_invariants import Node as Judged
from judges.fat_tools import (
    dissect_read,
    fsck,
    mtools_read,
    mtools_spelling,
    pyfatfs_read,
    sevenzip_read,
    sevenzip_spelling,
)
from judges.fat_volume import Rules
from judges.fatfs import fatfs_read
from judges.grub import grub_fat_spelling, grub_read
from judges.mirage_fat import MirageFat
from judges.sleuthkit import sleuthkit_read
from property.fat_images import expected_contents, never, spelled, written
from property.strategies import (
    EPOCH,
    LAST,
    DirectoryNode,
    FileNode,
    Spec,
    ascii_fat_names,
    fat_names,
    fold,
    is_fat_name,
    materialise,
    mirage_fat_names,
    specs,
    times,
    tree_of,
    unix_names,
)

Options = dict[str, Any]

trees = specs(fat_names, key=fold, times=times(EPOCH, LAST))


@st.composite
def option_sets(draw: st.DrawFn) -> Options:
    """Options that do not contradict each other."""
    sector_size = draw(st.sampled_from((512, 512, 4096)))
    options: Options = {
        "sector_size": sector_size,
        "fat_type": draw(st.sampled_from(("auto", "auto", 12, 16, 32))),
        "cluster_size": draw(
            st.none() | st.sampled_from([512 << n for n in range(7) if 512 << n >= sector_size])
        ),
        "label": draw(st.sampled_from(("", "WWW", "my data 01", "A-B_C"))),
        "mtime": draw(st.sampled_from(("fixed", "keep", "clamp"))),
    }
    room = draw(st.sampled_from(("exact", "free", "size")))
    if room == "free":
        options["free"] = draw(st.sampled_from((1, 4096, 1 << 20, 10 << 20)))
    elif room == "size":
        options["size"] = draw(
            st.sampled_from((2 << 20, (3 << 20) - 4096, 16_700 << 10, 40 << 20, 300 << 20))
        )
    return options


def plan(tree: blockpack.Tree, options: Options) -> blockpack.Layout:
    """The layout; an example that no geometry holds is no example."""
    try:
        return blockpack.FatVolume(**options).plan(tree)
    except blockpack.Problems as problems:
        whole = [p for p in problems.exceptions if isinstance(p, blockpack.EntryError)]
        assert all(problem.path == "" for problem in whole), str(problems)
        assume(False)
        raise


def shown_time(spec: Spec, path: str, options: Options) -> int:
    """The time that the image is to show, in FAT's even seconds."""
    node = spec[path]
    assert isinstance(node, FileNode | DirectoryNode)
    shown = {"fixed": EPOCH, "keep": node.mtime, "clamp": min(node.mtime, EPOCH)}
    return shown[options["mtime"]] & ~1


@given(spec=trees, options=option_sets(), on_disk=st.booleans(), jobs=st.sampled_from((1, 3)))
@example(spec={}, options={"mtime": "fixed"}, on_disk=False, jobs=1)
def test_every_judge_reads_back_every_name_and_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, options: Options, on_disk: bool, jobs: int
) -> None:
    directory = tmp_path_factory.mktemp("fat")
    if on_disk:
        source = directory / "source"
        source.mkdir()
        materialise(spec, source)
        tree = blockpack.scan(source)
    else:
        tree = tree_of(spec)
    layout = plan(tree, options)
    event(f"FAT{layout.geometry['fat_type']} of {layout.geometry['cluster_size']}")
    image = written(layout, directory, jobs)
    expected = expected_contents(spec)

    fsck(image)
    nodes = fat_invariants.check(image)
    assert nodes == {
        path: Judged(
            "directory" if data is None else "file",
            data or b"",
            shown_time(spec, path, options),
        )
        for path, data in expected.items()
    }
    assert dissect_read(image) == expected
    assert pyfatfs_read(image) == expected
    by_mtools = spelled(expected, mtools_spelling)  # first: it fails where names clash
    assert mtools_read(image) == by_mtools
    contents, shown = sevenzip_read(image)
    assert contents == spelled(expected, sevenzip_spelling)
    assert shown == {sevenzip_spelling(path): shown_time(spec, path, options) for path in expected}
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []


@given(
    spec=specs(ascii_fat_names, key=fold),
    profile=st.sampled_from(("any", "linux", "uefi")),
    options=option_sets(),
)
def test_fatfs_mounts_and_reads_every_image(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, profile: str, options: Options
) -> None:
    """It shows names of one code page only, and mounts no volume that it finds too small."""
    sector_size = 512 if profile == "uefi" else options["sector_size"]
    options |= {"profile": profile, "sector_size": sector_size, "mtime": "fixed"}
    layout = plan(tree_of(spec), options)
    assert layout.size >= 128 * sector_size
    image = written(layout, tmp_path_factory.mktemp("fatfs"))
    assert fatfs_read(image, sector_size=sector_size) == expected_contents(spec)


@given(sizes=st.lists(st.integers(0, 300_000), max_size=40))
def test_the_smallest_image_wins(sizes: list[int]) -> None:
    """Unless clusters of 4096 bytes let half of all bytes be cloned."""
    tree = blockpack.Tree()
    for number, size in enumerate(sizes):
        tree.add(f"{number}.bin", never, size=size)
    layout = plan(tree, {})
    clonable = sum(size for size in sizes if size >= 64 << 10)
    least = 4096 if clonable and 2 * clonable >= sum(sizes) else 512
    others = []
    for fat_type in (12, 16, 32):
        for cluster_size in [512 << step for step in range(7) if 512 << step >= least]:
            volume = blockpack.FatVolume(fat_type=fat_type, cluster_size=cluster_size)
            with suppress(blockpack.Problems):
                others.append(volume.plan(tree).size)
    assert layout.size == min(others)
    assert int(layout.geometry["free_clusters"]) >= 1
    assert ("cloned" in str(layout.geometry["cluster_reason"])) == (least == 4096)


@given(spec=specs(fat_names | unix_names, times=times(EPOCH, LAST)))
def test_what_is_not_refused_is_held(tmp_path_factory: pytest.TempPathFactory, spec: Spec) -> None:
    """Whatever the names: each is either refused, with its path, or read back by all."""
    tree = tree_of(spec)
    volume = blockpack.FatVolume()
    try:
        layout = volume.plan(tree)
    except blockpack.Problems as problems:
        for problem in problems.exceptions:
            assert isinstance(problem, blockpack.EntryError)
            assert problem.path in spec and problem.rule and problem.remedy
            if problem.path in tree:
                tree.remove(problem.path)
        layout = volume.plan(tree)
    image = written(layout, tmp_path_factory.mktemp("fat"))
    expected = expected_contents({entry.path: spec[entry.path] for entry in tree})
    fsck(image)
    assert fat_invariants.check(image, Rules()).keys() == expected.keys()
    assert dissect_read(image) == expected
    assert pyfatfs_read(image) == expected


@given(
    sectors=st.integers(1, 300_000),
    fat_type=st.sampled_from(("auto", 12, 16, 32)),
    cluster_size=st.none() | st.sampled_from([512 << step for step in range(7)]),
    sector_size=st.sampled_from((512, 4096)),
)
def test_a_given_size_is_filled_to_the_last_cluster(
    sectors: int, fat_type: int, cluster_size: int | None, sector_size: int
) -> None:
    options = {
        "size": sectors * sector_size,
        "fat_type": fat_type,
        "cluster_size": cluster_size,
        "sector_size": sector_size,
    }
    assume(cluster_size is None or cluster_size >= sector_size)
    layout = plan(blockpack.Tree(), options)
    assert layout.size == sectors * sector_size
    with layout.open() as image:
        fat_invariants.check(image, Rules(alignment=sector_size, max_cluster_size=65536))
    assert int(layout.geometry["data_offset"]) % 4096 == 0


@given(
    spec=specs(mirage_fat_names, key=fold),
    sector_size=st.sampled_from((512, 4096)),
    label=st.sampled_from(("", "DATA")),
)
def test_mirage_finds_every_file(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, sector_size: int, label: str
) -> None:
    volume = blockpack.FatVolume(profile="mirage", sector_size=sector_size, label=label)
    layout = volume.plan(tree_of(spec))
    image = written(layout, tmp_path_factory.mktemp("mirage"))
    expected = expected_contents(spec)
    # With a label fsck.fat misses its entry, which the reader would show as a file.
    assert bool(layout.warnings) == bool(label)
    if not label:
        fsck(image)
    fat_invariants.check(image, Rules(mirage=True))
    for device in {512, sector_size}:
        store = MirageFat(image, device)
        for path, data in expected.items():
            assert store.exists(path) == ("dictionary" if data is None else "value"), path
            assert data is None or store.get(path) == data
        top = {path.encode() for path in expected if "/" not in path}
        assert store.list_root().keys() == top
    assert dissect_read(image) == expected
    assert pyfatfs_read(image) == expected
    assert sevenzip_read(image)[0] == expected
    assert mtools_read(image) == expected


@given(name=st.text("AB.. c", min_size=1, max_size=14).filter(is_fat_name))
@example("A..B")
@example("AB..TXT")
@example("A...B")
@example("..A")
@example(".UPPER")
@example("A B")
@example("A. B")
@example("A .B")
@example("MY FILE.TXT")
@example("...A")
def test_mirage_gets_the_names_that_its_reader_finds(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """Neither one more nor one less."""
    mirage = PROFILES["mirage"]
    lenient = mirage._replace(fat=mirage.fat._replace(exact_short_names=False))
    tree = tree_of({name: FileNode(_contents(5))})
    layout = blockpack.FatVolume(profile=lenient).plan(tree)
    image = written(layout, tmp_path_factory.mktemp("mirage"))
    found = MirageFat(image, 4096).exists(name) is not None
    try:
        blockpack.FatVolume(profile="mirage").plan(tree)
    except blockpack.Problems as problems:
        assert not found
        assert "short name" in str(problems)
    else:
        assert found


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("fat_type", [12, 16, 32])
@pytest.mark.parametrize("cluster_size", [512 << step for step in range(8)])
def test_every_type_has_every_cluster_size(
    tmp_path: Path, sector_size: int, fat_type: int, cluster_size: int
) -> None:
    if cluster_size < sector_size:
        with pytest.raises(blockpack.UsageError, match="cluster size"):
            blockpack.FatVolume(sector_size=sector_size, cluster_size=cluster_size).plan(
                blockpack.Tree()
            )
        return
    spec = {
        f"{size} bytes.bin": FileNode(expected)
        for size in (0, 1, cluster_size - 1, cluster_size, cluster_size + 1)
        for expected in [_contents(size)]
    }
    volume = blockpack.FatVolume(
        sector_size=sector_size, fat_type=fat_type, cluster_size=cluster_size, label="SIZES"
    )
    layout = volume.plan(tree_of(spec))
    assert layout.geometry["fat_type"] == fat_type
    assert layout.geometry["cluster_size"] == cluster_size
    image = written(layout, tmp_path)
    fsck(image)
    fat_invariants.check(image, Rules(max_cluster_size=65536))
    expected = expected_contents(spec)
    assert mtools_read(image) == expected
    assert dissect_read(image) == expected


@pytest.mark.parametrize("profile", ["any", "linux", "uefi"])
@pytest.mark.parametrize("fat_type", [12, 16, 32])
def test_grub_and_the_sleuth_kit_read_every_type(
    tmp_path: Path, fat_type: int, profile: str
) -> None:
    """By names that mean nothing to the shell of grub-fstest."""
    names = ("boot/vmlinuz", "boot/grub/grub.cfg", "EFI/BOOT/BOOTX64.EFI", "a long name.txt")
    spec = {name: FileNode(_contents(5000 + len(name))) for name in names}
    volume = blockpack.FatVolume(profile=profile, fat_type=fat_type)
    image = written(volume.plan(tree_of(spec)), tmp_path)
    expected = {path: data for path, data in grub_read(image, "fat").items() if data is not None}
    assert expected == {
        grub_fat_spelling(path): data for path, data in expected_contents(spec).items()
    }
    found = {path: data for path, data in sleuthkit_read(image).items() if data is not None}
    assert found == expected_contents(spec)


def _contents(size: int) -> Any:
    from property.strategies import Contents as Bytes

    return Bytes(size, size + 1)
