"""Extraction that fails leaves what was there as it was, and names the entry."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import blockpack
from blockpack.images.extract import extract
from faults.launching import run
from faults.mounts import file_system, require_root
from faults.rendering import pattern

LONG = "n" * 300
"""A name that a tar holds, and hardly any file system."""

TOO_LONG = "the file system there cannot hold that name: file name too long"

NOBODY = 65534


def archive(path: Path, members: dict[str, bytes], mode: int = 0o755) -> Path:
    """A tar of tarfile's, with directories of `mode`."""
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, mode
            file.addfile(info, io.BytesIO(data))
    return path


def status(directory: Path) -> tuple[int, int, int]:
    found = directory.stat()
    return found.st_mode, found.st_uid, found.st_gid


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    """An archive that is sound, and cannot be extracted."""
    members = {"first": b"1", "closed/": b"", "closed/inside": b"2", f"deep/{LONG}": b"3"}
    return archive(tmp_path / "x.tar", members, 0o500)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777, 0o2750])
def test_a_directory_that_was_there_keeps_its_mode_and_is_empty_again(
    unreadable: Path, tmp_path: Path, mode: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(mode)
    before = status(out)
    with (
        blockpack.open_image(unreadable) as image,
        pytest.raises(blockpack.Problems) as caught,
    ):
        extract(image, out)
    assert [str(error) for error in caught.value.exceptions] == [f"deep/{LONG}: {TOO_LONG}"]
    assert caught.value.exit_code == 5
    assert status(out) == before
    assert list(out.iterdir()) == []


def test_a_directory_that_was_not_there_is_not_there_again(
    unreadable: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with blockpack.open_image(unreadable) as image, pytest.raises(blockpack.Problems):
        extract(image, place / "out")
    assert list(place.iterdir()) == []


def test_a_mode_of_the_directory_is_kept_where_all_goes_well(tmp_path: Path) -> None:
    image = archive(tmp_path / "x.tar", {"./": b"", "a": b"1"}, 0o755)
    out = tmp_path / "out"
    out.mkdir(0o700)
    before = status(out)
    with blockpack.open_image(image) as opened:
        extract(opened, out)
    assert status(out) == before
    assert (out / "a").read_bytes() == b"1"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with file_system("tmpfs", tmp_path, 1 << 20) as mount:
        yield mount


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_is_told_with_the_entry_and_given_back(
    small: Path, tmp_path: Path, there: bool
) -> None:
    image = archive(tmp_path / "x.tar", {"a/small": b"1", "large": pattern(2 << 20), "z": b"2"})
    out = small / "out"
    if there:
        out.mkdir(0o710)
    before = status(out) if there else None
    free = os.statvfs(small).f_bavail
    opened_before = os.listdir("/proc/self/fd")
    with (
        blockpack.open_image(image) as opened,
        pytest.raises(
            blockpack.TargetError,
            match=r"^large: cannot be written: no space left on device; free some",
        ),
    ):
        extract(opened, out)
    assert os.listdir("/proc/self/fd") == opened_before, "or its file system stays busy"
    assert os.statvfs(small).f_bavail == free
    assert list(small.rglob("*")) == ([out] if there else [])
    assert not there or status(out) == before


AS_NOBODY = """
import os, sys
import blockpack
from blockpack.images.extract import extract
image, out, nobody = sys.argv[1], sys.argv[2], int(sys.argv[3])
opened = blockpack.open_image(image)
opened.get("first")  # so that all is imported while we may
os.setgroups([])
os.setgid(nobody)
os.setuid(nobody)
try:
    extract(opened, out)
except blockpack.BlockpackError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are their owner's alone."""
    with tempfile.TemporaryDirectory(prefix="blockpack-extract-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_directory_of_another_user_stays_as_it_was(unreadable: Path, public: Path) -> None:
    """Somebody else's, that everybody may write to: its mode may not be changed by us."""
    require_root()
    out = public / "out"
    out.mkdir()
    out.chmod(0o777)
    before = status(out)
    code, output, errors = run(AS_NOBODY, unreadable, out, str(NOBODY))
    assert (code, errors) == (0, "")
    assert output.decode().splitlines()[1] == f"  deep/{LONG}: {TOO_LONG}"
    assert status(out) == before
    assert list(out.iterdir()) == []


def test_a_directory_that_may_not_be_written_to_stays_as_it_was(
    unreadable: Path, public: Path
) -> None:
    require_root()
    out = public / "out"
    out.mkdir()
    before = status(out)
    code, output, errors = run(AS_NOBODY, unreadable, out, str(NOBODY))
    assert (code, errors) == (0, "")
    assert output.decode().startswith(f"TargetError: {out}: cannot be written: permission denied; ")
    assert status(out) == before
    assert list(out.iterdir()) == []


def test_directories_that_nobody_may_enter_are_made_in_any_order(public: Path) -> None:
    require_root()
    members = {"a/b/": b"", "first": b"1", "a/": b"", "a/b/c/": b"", "a/b/c/file": b"2"}
    image = archive(public / "x.tar", members, 0o000)
    image.chmod(0o644)
    place = public / "place"
    place.mkdir()
    place.chmod(0o777)
    code, output, errors = run(AS_NOBODY, image, place / "out", str(NOBODY))
    assert (code, output, errors) == (0, b"", "")
    for path in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((place / "out" / path).stat().st_mode) == 0
    assert (place / "out" / "a/b/c/file").read_bytes() == b"2"


def test_what_others_put_beside_it_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = archive(tmp_path / "x.tar", {"d/": b"", "d/a": b"1", "b": b"2"})
    target = tmp_path / "out"
    target.mkdir()

    def fail(*arguments: object) -> None:
        (target / "mine").mkdir()
        (target / "mine" / "file").write_bytes(b"precious")
        raise KeyboardInterrupt

    monkeypatch.setattr("blockpack.images.extract.Creation.settle", fail)
    with blockpack.open_image(image) as opened, pytest.raises(KeyboardInterrupt):
        extract(opened, target)
    assert [path.name for path in target.iterdir()] == ["mine"]
    assert (target / "mine" / "file").read_bytes() == b"precious"
