"""What is unsound or damaged costs itself alone; each entry is whole or absent."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack.images.extract import extract
from blockpack.images.naming import _ANY
from blockpack.model.entry import MEMORY
from faults.mounts import file_system
from faults.rendering import pattern

KEY = bytes(32)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files_in(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def told(caught: pytest.ExceptionInfo[blockpack.Problems]) -> dict[str, blockpack.BlockpackError]:
    errors = [e for e in caught.value.exceptions if isinstance(e, blockpack.BlockpackError)]
    assert len(errors) == len(caught.value.exceptions)
    return {error.path: error for error in errors}


@pytest.fixture
def unsound(tmp_path: Path) -> Path:
    """An archive of which two files, a link and a directory are sound."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as file:
        for name in ("first", "../out", "d/../../out", "d/last"):
            info = member(name)
            info.size = 3
            file.addfile(info, io.BytesIO(b"abc"))
        file.addfile(member("device", tarfile.CHRTYPE))
        file.addfile(member("pipe", tarfile.FIFOTYPE))
        file.addfile(member("link", tarfile.SYMTYPE, "/etc"))
        through = member("link/through")
        file.addfile(through)
        file.addfile(member("empty", tarfile.DIRTYPE))
        file.addfile(member("hard", tarfile.LNKTYPE, "device"))
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_unsound_is_refused_alone(unsound: Path, tmp_path: Path, jobs: int) -> None:
    with (
        blockpack.open_image(unsound, report=lambda _: None) as image,
        pytest.raises(blockpack.Problems) as caught,
    ):
        extract(image, tmp_path / "out", jobs=jobs)
    expected = {"../out", "d/../../out", "device", "pipe", "link/through", "hard"}
    assert expected <= set(told(caught))
    assert caught.value.exit_code == 6
    assert files_in(tmp_path / "out") == {"first", "d", "d/last", "link", "empty"}
    assert os.readlink(tmp_path / "out" / "link") == "/etc"
    assert (tmp_path / "out" / "d" / "last").read_bytes() == b"abc"
    assert sorted(os.listdir(tmp_path)) == ["out", "x.tar"]


@pytest.mark.parametrize("size", [3_000, 3_000_000])
def test_a_file_that_cannot_be_read_is_absent_and_the_rest_is_whole(
    tmp_path: Path, size: int
) -> None:
    tree = blockpack.Tree()
    for name in "ac":
        tree.add(name, pattern(size, ord(name)))
    for name in ("b", "link"):  # two names of one file
        data = pattern(size, ord("b"))
        tree.put(blockpack.File(name, size, MEMORY, data, inode=(1, 2)))
    layout = blockpack.TarVolume().plan(tree)
    path = tmp_path / "x.img"
    blockpack.write(blockpack.encrypt(layout, KEY), path)
    with blockpack.open_image(path, key=KEY) as image:
        entry = image["b"]
        assert entry.offset is not None
        at = 2 * (entry.offset + size // 2)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes(8))
    with blockpack.open_image(path, key=KEY) as image, pytest.raises(blockpack.Problems) as caught:
        extract(image, tmp_path / "out")
    assert set(told(caught)) == {"b", "link"}
    assert "does not decrypt" in str(told(caught)["b"])
    assert files_in(tmp_path / "out") == {"a", "c"}
    for name in "ac":
        assert (tmp_path / "out" / name).read_bytes() == pattern(size, ord(name))


def test_files_are_their_owners_alone_until_they_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = blockpack.Tree()
    tree.mkdir("d/open", mode=0o777)
    tree.add("d/open/small", b"small", mode=0o666)
    tree.add("d/open/large", pattern(2 << 20), mode=0o666)
    seen = []
    really_write, really_pwrite = os.write, os.pwrite

    def look(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            above = [place.parent, place.parent.parent, place.parent.parent.parent]
            seen.append([stat.S_IMODE(path.stat().st_mode) for path in (place, *above)])

    def writing(descriptor: int, data: bytes) -> int:
        look(descriptor)
        return really_write(descriptor, data)

    def pwriting(descriptor: int, data: bytes, offset: int) -> int:
        look(descriptor)
        return really_pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "write", writing)
    monkeypatch.setattr(os, "pwrite", pwriting)
    with blockpack.open_image(blockpack.TarVolume(mode="keep").plan(tree)) as image:
        extract(image, tmp_path / "out")
    assert len(seen) > 2
    assert all(modes == [0o600, 0o700, 0o700, 0o700] for modes in seen)
    found = tmp_path / "out" / "d" / "open"
    assert stat.S_IMODE(found.stat().st_mode) == 0o777
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.iterdir()} == {0o666}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_directory_has_the_mode_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    tree = blockpack.Tree()
    tree.add("a", b"a")
    before = os.umask(umask)
    try:
        with blockpack.open_image(blockpack.TarVolume().plan(tree)) as image:
            extract(image, tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~umask


def test_names_that_a_file_system_cannot_hold_are_told_together(tmp_path: Path) -> None:
    names = ["fine", "d/a:b", "what?", "end.", "UPPER", "upper", "x" * 300]
    tree = blockpack.Tree()
    for name in names:
        tree.add(name, b"1")
    with (
        file_system("vfat", tmp_path, 4 << 20) as mount,
        blockpack.open_image(blockpack.TarVolume().plan(tree)) as image,
    ):
        with pytest.raises(blockpack.Problems) as caught:
            extract(image, mount / "out")
        assert set(told(caught)) == {"d/a:b", "what?", "end.", "upper", "x" * 300}
        assert caught.value.exit_code == 5
        assert list(mount.iterdir()) == []


class Picky:
    """A file system without some characters, that gives names up when they are made or later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, asked: bool) -> None:
        self._really_open = os.open
        self._asked = asked
        monkeypatch.setattr(os, "open", self._open)

    def _open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        name = os.fsencode(path)
        if flags & os.O_CREAT and b":" in name and (self._asked or name not in (_ANY, b"a:b")):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return self._really_open(path, flags, *arguments, **options)


@pytest.mark.parametrize("asked", [True, False])
def test_names_are_told_together_when_they_are_known_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    tree = blockpack.Tree()
    for name in ["fine", "d/c:d", "e:f", "d/g"]:
        tree.add(name, b"1")
    with blockpack.open_image(blockpack.TarVolume().plan(tree)) as image:
        Picky(monkeypatch, asked=asked)
        with pytest.raises(blockpack.Problems) as caught:
            extract(image, tmp_path / "out")
    assert set(told(caught)) == {"d/c:d", "e:f"}
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_a_deep_tree_is_removed_where_its_disk_is_full(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("/".join(["d"] * 1500) + "/deep", b"1")
    tree.add("z", pattern(4 << 20))
    layout = blockpack.TarVolume(profile="linux").plan(tree)
    with file_system("tmpfs", tmp_path, 3 << 20) as mount, blockpack.open_image(layout) as image:
        with pytest.raises(
            blockpack.TargetError, match=r"^z: cannot be written: no space left on device"
        ):
            extract(image, mount / "out")
        assert list(mount.iterdir()) == []


@pytest.mark.parametrize("volume", [blockpack.TarVolume(), blockpack.FatVolume()])
def test_several_processes_make_what_one_makes(tmp_path: Path, volume: blockpack.Volume) -> None:
    tree = blockpack.Tree()
    for number in range(300):
        tree.add(f"d{number % 7}/e{number % 3}/{number}", pattern(number * 37, number))
    tree.add("large", pattern(3 << 20))
    progress: list[blockpack.Progress] = []
    with blockpack.open_image(volume.plan(tree)) as image:
        assert extract(image, tmp_path / "one") == len(image)
        extract(image, tmp_path / "many", jobs=3, progress=progress.append)
    assert files_in(tmp_path / "many") == files_in(tmp_path / "one") > {"large", "d0/e0"}
    for path in files_in(tmp_path / "one"):
        one, many = tmp_path / "one" / path, tmp_path / "many" / path
        assert one.stat().st_mtime_ns == many.stat().st_mtime_ns
        assert one.is_dir() or one.read_bytes() == many.read_bytes()
    total = sum(range(300)) * 37 + (3 << 20)
    assert (progress[-1].done, progress[-1].total) == (total, total)
    assert [each.done for each in progress] == sorted(each.done for each in progress)


def many(count: int, size: int) -> blockpack.Tree:
    tree = blockpack.Tree()
    for number in range(count):
        tree.add(f"d{number % 9}/{number}", pattern(size, number))
    return tree


def test_a_disk_that_several_processes_fill_is_given_back(tmp_path: Path) -> None:
    with (
        file_system("tmpfs", tmp_path, 2 << 20) as mount,
        blockpack.open_image(blockpack.TarVolume().plan(many(300, 10_000))) as image,
    ):
        with pytest.raises(
            blockpack.TargetError, match=r"^d\d/\d+: cannot be written: no space left on device"
        ):
            extract(image, mount / "out", jobs=3)
        assert list(mount.iterdir()) == []


def test_a_process_that_is_killed_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, really_write = os.getpid(), os.write

    def writing(descriptor: int, data: bytes) -> int:
        if os.getpid() != own and len(data) == 10_000:
            os.kill(os.getpid(), signal.SIGKILL)
        return really_write(descriptor, data)

    monkeypatch.setattr(os, "write", writing)
    with (
        blockpack.open_image(blockpack.TarVolume().plan(many(300, 10_000))) as image,
        pytest.raises(blockpack.TargetError, match="an extracting process was killed by signal 9"),
    ):
        extract(image, tmp_path / "out", jobs=3)
    assert list(tmp_path.iterdir()) == []


def test_pieces_and_holes_of_a_file_are_put_together(tmp_path: Path) -> None:
    """Sparse files of GNU tar lie in pieces, with holes between them."""
    (tmp_path / "s").mkdir()
    with open(tmp_path / "s" / "sparse", "wb") as file:
        for at in (0, 1 << 20, 3 << 20):
            file.seek(at)
            file.write(b"data" * 300)
        file.truncate(4 << 20)
    subprocess.run(["tar", "-cSf", tmp_path / "x.tar", "-C", tmp_path / "s", "sparse"], check=True)
    with blockpack.open_image(tmp_path / "x.tar") as image:
        assert any(offset is None for offset, _ in image["sparse"].extents)
        extract(image, tmp_path / "out")
    found = tmp_path / "out" / "sparse"
    assert found.read_bytes() == (tmp_path / "s" / "sparse").read_bytes()
    assert found.stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("target", ["../x", "..", "absent"])
def test_a_hard_link_to_what_is_not_extracted_is_told_once(tmp_path: Path, target: str) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as file:
        if target != "absent":
            file.addfile(member(target))
        file.addfile(member("sound"))
        file.addfile(member("link", tarfile.LNKTYPE, target))
    with blockpack.open_image(path) as image, pytest.raises(blockpack.Problems) as caught:
        extract(image, tmp_path / "out")
    assert set(told(caught)) == {"link", target} - {"absent"}
    assert files_in(tmp_path / "out") == {"sound"}


def test_hard_links_lead_from_any_depth_to_any_other(tmp_path: Path) -> None:
    """Deeper than there are directories that are held open."""
    one, other = ("/".join([name, *["d"] * 40, name]) for name in "ab")
    tree = blockpack.Tree()
    for path in (one, other):
        tree.put(blockpack.File(path, 1, MEMORY, b"x", inode=(1, 2)))
    with blockpack.open_image(blockpack.TarVolume().plan(tree)) as image:
        assert {entry.kind for entry in image} == {"directory", "file", "hardlink"}
        extract(image, tmp_path / "out")
    assert (tmp_path / "out" / one).samefile(tmp_path / "out" / other)
