"""Images that are a tar and an EROFS file system, before the judges of both."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import blockpack
from blockpack import UsageError
from judges import tar_invariants
from judges.erofs_tools import mounted, require_mounts, seen
from judges.mirage_tar import MirageTar
from judges.programs import require
from judges.tar_tools import (
    Members,
    bsdtar_read,
    busybox_read,
    gnu_tar_read,
    sevenzip_tar_read,
    tarfile_read,
)
from property.erofs_images import expected_of
from property.strategies import Spec, materialise, specs, times, unix_names, utf8_names

Options = dict[str, Any]

NAME = b".erofs"
READERS = (gnu_tar_read, bsdtar_read, busybox_read, tarfile_read)

USUAL = {"mtime": "fixed", "mode": "normal", "owner": (0, 0)}


@st.composite
def option_sets(draw: st.DrawFn) -> Options:
    """Options that do not contradict each other."""
    return {
        "dialect": draw(st.sampled_from(("pax", "gnu"))),
        "mtime": draw(st.sampled_from(("fixed", "keep", "clamp"))),
        "mode": draw(st.sampled_from(("normal", "keep"))),
        "owner": draw(st.sampled_from(((0, 0), (3, 1 << 31), "keep"))),
        "sector_size": draw(st.sampled_from((512, 4096))),
        "align": draw(st.sampled_from(("auto", 512, 16384))),
    }


def packed(spec: Spec, directory: Path, name: str = "image", **options: Any) -> Path:
    """The image of the tree, which is made on disk."""
    source, image = directory / "source", directory / f"{name}.tar"
    if not source.exists():
        source.mkdir()
        materialise(spec, source)
    blockpack.write(blockpack.TarVolume(**options).plan(blockpack.scan(source)), image)
    return image


trees = specs(unix_names, times=times(0, 2**33 - 1), links=True, most_units=1500)


@given(spec=trees, options=option_sets())
@example(spec={}, options=USUAL)
def test_linux_and_every_tar_read_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, options: Options
) -> None:
    require_mounts()
    directory = tmp_path_factory.mktemp("both")
    image = packed(spec, directory, erofs=True, **options)
    with mounted(image) as point:
        assert seen(point) == expected_of(directory / "source", {**USUAL, **options})
    plain = packed(spec, directory, "plain", **options)
    for read in READERS:
        found = read(image)
        assert found.pop(NAME).kind == "file"
        assert _timeless(found) == _timeless(read(plain)), read
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []
        assert os.fsdecode(NAME) not in {entry.path for entry in ours}


def _timeless(members: Members) -> Members:
    """Without the times of directories, which GNU tar forgets where padding names the root."""
    return {
        path: member._replace(mtime=None) if member.kind == "directory" else member
        for path, member in members.items()
    }


@given(spec=specs(utf8_names, links=True, most_units=1500))
def test_7_zip_reads_it(tmp_path_factory: pytest.TempPathFactory, spec: Spec) -> None:
    directory = tmp_path_factory.mktemp("both")
    found = sevenzip_tar_read(packed(spec, directory, erofs=True))
    assert found.pop(NAME)
    assert found == sevenzip_tar_read(packed(spec, directory, "plain"))


@given(
    spec=specs(unix_names, links=False, most_units=400), sector_size=st.sampled_from((512, 4096))
)
def test_mirage_finds_every_file(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, sector_size: int
) -> None:
    directory = tmp_path_factory.mktemp("both")
    options = {"profile": "mirage", "sector_size": sector_size}
    both, plain = (
        MirageTar(packed(spec, directory, name, erofs=erofs, **options), sector_size)
        for name, erofs in (("both", True), ("plain", False))
    )
    found = dict(both.walk())
    assert found.pop(NAME, None) is not None
    assert found.keys() == dict(plain.walk()).keys()
    for path, kind in found.items():
        if kind == "value":
            assert both.get(path) == plain.get(path)


def test_what_the_two_say_differently_is_damage(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):  # more than are in the block that the checksum covers
        (source / f"{number:02}").write_bytes(bytes([number]) * 1000)
    layout = blockpack.TarVolume(erofs=True).plan(blockpack.scan(source))
    image = bytearray(layout.open().read())
    addresses = [
        placed.offset // 512 for placed in layout.placements() if placed.offset is not None
    ]
    at = image.index(addresses[19].to_bytes(4, "little"), 1536)
    image[at : at + 4] = addresses[18].to_bytes(4, "little")
    with blockpack.open_image(bytes(image)) as damaged:
        (problem,) = damaged.verify()
    assert str(problem) == "19: lies elsewhere in the EROFS than in the tar"


def test_all_that_is_wrong_with_the_erofs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its remedies, and options that the tar has."""
    told = UsageError("", "a", "b"), UsageError("", "c", "d: {option}", "block_size=4096")
    monkeypatch.setattr(blockpack.ErofsVolume, "refusals", lambda _: told)
    with pytest.raises(UsageError, match=r"^2 problems: ") as raised:
        blockpack.TarVolume(erofs=True).plan(blockpack.Tree())
    assert list(map(str, raised.value.errors)) == ["a; b", "c; d: sector_size=4096"]


def test_blocks_are_as_the_profile_wants_them() -> None:
    tree = blockpack.Tree()
    with pytest.raises(blockpack.UsageError, match="reads blocks of 4096 bytes") as raised:
        blockpack.TarVolume(erofs=True, profile="linux-5.10").plan(tree)
    assert raised.value.remedy == "give sector_size=4096"
    for options, codes in (
        ({}, ["small-blocks"]),
        ({"sector_size": 4096}, []),
        ({"profile": "linux"}, []),
        ({"profile": "linux-5.10", "sector_size": 4096}, []),
    ):
        layout = blockpack.TarVolume(erofs=True, **options).plan(tree)
        assert [warning.code for warning in layout.warnings] == codes, options


def test_the_members_name_is_reserved() -> None:
    tree = blockpack.Tree()
    tree.add(".erofs", b"mine")
    with pytest.raises(blockpack.Problems) as raised:
        blockpack.TarVolume(erofs=True).plan(tree)
    (problem,) = raised.value.errors
    assert problem.path == ".erofs" and problem.remedy == "rename it"
    plain = blockpack.TarVolume().plan(tree)
    with blockpack.open_image(plain) as image:
        assert image.read(".erofs") == b"mine"


def extracted(image: Path, directory: Path) -> Path:
    """What GNU tar extracts of it, which is `.erofs`, too."""
    directory.mkdir()
    subprocess.run([require("tar"), "-xf", image, "-C", directory], check=True)
    return directory


@pytest.mark.parametrize("program", ["blockpack", "tar", "bsdtar"])
def test_an_archive_of_what_was_extracted_is_a_tar_alone(tmp_path: Path, program: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"a" * 600)
    (source / "b").write_bytes(b"b")
    again = extracted(packed({}, tmp_path, erofs=True), tmp_path / "again")
    (again / "a").write_bytes(b"changed")
    os.link(again / ".erofs", again / "link")
    tar = tmp_path / "again.tar"
    if program == "blockpack":
        blockpack.write(blockpack.TarVolume().plan(blockpack.scan(again)), tar)
    else:
        words = [require(program), "--format=ustar", "-cf", str(tar), *sorted(os.listdir(again))]
        subprocess.run(words, cwd=again, check=True)
    assert tar.read_bytes()[1024:1028] == b"\xe2\xe1\xf5\xe0"
    with blockpack.open_image(tar) as ours:
        assert ours.verify() == []
        assert "erofs_uuid" not in ours.info()
        assert {entry.path for entry in ours} == {".erofs", "a", "b", "link"}
        assert ours.read("link") == (again / ".erofs").read_bytes()


def test_each_entry_is_told_once_of(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"a" * 600)
    os.link(source / "a", source / "b")
    image = packed({}, tmp_path, erofs=True)
    subprocess.run([require("tar"), "--delete", "-f", str(image), "a"], check=True)
    with blockpack.open_image(image) as damaged:
        assert sorted(map(str, damaged.verify())) == [
            "a: is in the EROFS, and not in its tar",
            "b: links to a, which is not in the archive",
        ]


def test_it_costs_little(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    for number in range(5_000):
        tree.add(f"d{number // 200:03}/file-{number:05}.txt", bytes(number * 37 % 8192))
    tar = blockpack.TarVolume().plan(tree)
    both = blockpack.TarVolume(erofs=True).plan(tree)
    assert both.size <= 1.015 * tar.size
    large = blockpack.Tree()
    large.add("film", bytes(1 << 20))
    (placed,) = blockpack.TarVolume(erofs=True).plan(large).placements()
    assert placed.offset is not None and not placed.offset % 4096


def test_the_invariants_of_tars_hold(tmp_path: Path) -> None:
    spec: Spec = {}
    image = packed(spec, tmp_path, erofs=True)
    assert list(tar_invariants.check(image)) == [NAME]


def test_a_damaged_erofs_costs_the_tar_nothing() -> None:
    tree = blockpack.Tree()
    tree.add("kept", b"kept")
    image = bytearray(blockpack.TarVolume(erofs=True).plan(tree).open().read())
    image[1024 + 12] = 40  # blocks of 2^40 bytes
    with blockpack.open_image(bytes(image)) as damaged:
        assert [entry.path for entry in damaged] == ["kept"]
        assert damaged.read("kept") == b"kept"
        (problem,) = damaged.verify()
    assert "2^40" in str(problem)
