"""Not enough space is told before writing; where it could not be told, nothing is left."""

from __future__ import annotations

import gc
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

import blockpack
from faults.launching import COMMAND, run
from faults.mounts import file_system
from faults.rendering import make_files, pattern

FULL = "cannot be written: no space left on device; free some space, or choose another place"
SIZE = 16 << 20
OLD = b"the old image"


@pytest.fixture(scope="module", params=["tmpfs", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The mount point of a file system of 16 MiB."""
    with file_system(request.param, tmp_path_factory.mktemp("mount"), SIZE) as mount:
        yield mount


@pytest.fixture
def target(small: Path) -> Iterator[Path]:
    """An old image on the small file system, which the test has to leave as it is."""
    directory = small / "images"
    directory.mkdir()
    path = directory / "x.img"
    path.write_bytes(OLD)
    free = free_in(small)
    yield path
    assert path.read_bytes() == OLD
    assert os.listdir(directory) == ["x.img"]
    assert free_in(small) == free
    path.unlink()
    directory.rmdir()


def free_in(directory: Path) -> int:
    os.sync()
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def planned(tmp_path: Path, *sizes: int) -> blockpack.Layout:
    files = {f"file {n}": pattern(size, n) for n, size in enumerate(sizes)}
    return blockpack.TarVolume().plan(blockpack.scan(make_files(tmp_path / "source", files)))


def write_fails(layout: blockpack.Layout, target: Path) -> str:
    with pytest.raises(blockpack.TargetError) as caught:
        blockpack.write(layout, target, jobs=1)
    return str(caught.value)


@pytest.mark.parametrize("sizes", [(SIZE,), (4000,) * 4000], ids=["one large", "many small"])
def test_not_enough_space_is_told_before_anything_is_written(
    sizes: tuple[int, ...], target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = planned(tmp_path, *sizes)

    def written(*_: object) -> int:
        raise AssertionError("something was written")

    monkeypatch.setattr(os, "pwrite", written)
    monkeypatch.setattr(os, "ftruncate", written)
    free = free_in(target.parent)
    said = write_fails(layout, target)
    assert said.startswith(f"{target}: takes ")
    assert said.endswith(
        f" bytes, and {free:,} are free there; free some space, or choose another place"
    )


def test_holes_take_no_space(target: Path, tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", {"small": b"small"})
    with open(source / "sparse", "wb") as file:
        file.truncate(20 * SIZE)
    layout = blockpack.TarVolume(free=SIZE).plan(blockpack.scan(source))
    image = target.with_name("sparse.img")
    blockpack.write(layout, image, jobs=1)
    assert image.stat().st_size == layout.size
    assert image.stat().st_blocks * 512 < 1 << 20
    image.unlink()


@pytest.mark.parametrize("sizes", [(SIZE,), (4000,) * 4000], ids=["one large", "many small"])
def test_space_that_others_use_up_meanwhile_leaves_the_old_image(
    sizes: tuple[int, ...], target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = planned(tmp_path, *sizes)
    plenty = os.statvfs(target.parent)
    values = list(plenty)
    values[4] = 1 << 30  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    said = write_fails(layout, target)
    monkeypatch.undo()
    assert said == f"{target}: {FULL}"


def test_a_directory_of_temporary_files_that_is_full_is_named(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as packed:
        blockpack.write(planned(tmp_path, SIZE), cast("BinaryIO", packed))
    monkeypatch.setenv("TMPDIR", str(target.parent))
    try:
        blockpack.scan(archive)
    except blockpack.TargetError as error:
        told = str(error)
    gc.collect()  # the error's frames have the temporary file
    assert told.startswith(f"{target.parent}: temporary data cannot be written there: no space")


LIMITED = """
import resource, sys
from blockpack.cli import command
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
command()
"""


def test_an_image_larger_than_a_file_may_be_leaves_the_old_one(tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", {"file": pattern(200_000)})
    target = tmp_path / "images" / "x.img"
    make_files(target.parent, {"x.img": OLD})
    code, _, errors = run(LIMITED, "pack", source, target, "--format", "tar")
    assert (code, errors) == (
        5,
        f"blockpack: {target}: cannot be written: file too large; choose another file system\n",
    )
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == ["x.img"]


def test_a_device_that_is_always_full_is_told(tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", {"small": b"small", "large": pattern(200_000)})
    layout = blockpack.TarVolume().plan(blockpack.scan(source))
    full = Path("/dev/full")
    expected = f"/dev/full: {FULL}"
    assert write_fails(layout, full) == expected
    with (
        open(full, "wb", buffering=0) as file,
        pytest.raises(blockpack.TargetError, match="no space left"),
    ):
        blockpack.write(layout, cast(BinaryIO, file))


def test_a_full_output_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    source = make_files(tmp_path / "source", {"small": b"small"})
    with open("/dev/full", "wb") as full:
        code, _, errors = run(COMMAND, "pack", source, "-", "--format", "tar", stdout=full)
    assert code == 5
    assert errors == f"blockpack: <stdout>: {FULL}\n"
