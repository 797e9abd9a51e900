"""A target file is replaced as `mv` would: in one step, with its permissions, links kept."""

from __future__ import annotations

import errno
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import blockpack
from faults.injection import CALLS, Fault, injected
from faults.launching import run
from faults.mounts import require_root
from faults.rendering import make_files, pattern, rendered

OLD = b"the old image"


@pytest.fixture
def layout(tmp_path: Path) -> blockpack.Layout:
    source = make_files(tmp_path / "source", {"small": b"small", "large": pattern(100_000)})
    return blockpack.TarVolume().plan(blockpack.scan(source))


@pytest.fixture(params=["nameless", "named"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory for images, with and without files that have no name until they are whole."""
    directory = tmp_path / "images"
    directory.mkdir()
    without = [Fault("open nameless", n, CALLS["open nameless"].harmless[0]) for n in range(9)]
    with injected(tmp_path / "source", without if request.param == "named" else []):
        yield directory


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755, 0o666])
def test_a_replaced_file_keeps_its_permissions(
    layout: blockpack.Layout, images: Path, mode: int
) -> None:
    path = images / "x.img"
    path.write_bytes(OLD)
    path.chmod(mode)
    blockpack.write(layout, path)
    assert path.read_bytes() == rendered(layout)
    assert permissions(path) == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_a_replaced_file_keeps_its_owner_and_group(
    layout: blockpack.Layout, images: Path, mode: int
) -> None:
    require_root()
    path = images / "x.img"
    path.write_bytes(OLD)
    os.chown(path, 1234, 4321)
    path.chmod(mode)
    blockpack.write(layout, path)
    status = path.stat()
    assert path.read_bytes() == rendered(layout)
    assert (status.st_uid, status.st_gid, permissions(path)) == (1234, 4321, mode)


ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, who)
    for tag, rights, who in [
        (0x01, 6, 0xFFFFFFFF),  # its owner
        (0x02, 4, 1234),  # another user
        (0x04, 0, 0xFFFFFFFF),  # its group
        (0x10, 4, 0xFFFFFFFF),  # the most for any but the owner
        (0x20, 0, 0xFFFFFFFF),  # everybody else
    ]
)
"""An access control list, as the kernel keeps it (linux/posix_acl_xattr.h)."""


def test_a_replaced_file_keeps_its_access_control_list(
    layout: blockpack.Layout, images: Path
) -> None:
    path = images / "x.img"
    path.write_bytes(OLD)
    try:
        os.setxattr(path, "system.posix_acl_access", ACL)
    except OSError:
        pytest.skip("this file system has no access control lists")
    blockpack.write(layout, path)
    assert path.read_bytes() == rendered(layout)
    assert os.getxattr(path, "system.posix_acl_access") == ACL


AS_ANOTHER = """
import os, sys
import blockpack
tree = blockpack.Tree()
tree.add("a", b"new")
layout = blockpack.TarVolume().plan(tree)
blockpack.write(layout, sys.argv[1] + ".before")  # so that all is imported while we may
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
blockpack.write(layout, sys.argv[1])
"""


@pytest.mark.parametrize(("before", "after"), [(0o640, 0o600), (0o664, 0o644), (0o606, 0o606)])
def test_what_its_group_might_read_is_not_given_to_ours(before: int, after: int) -> None:
    """Who may replace a file, and not give it to its group, gives that right to nobody else."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="blockpack-replacing-") as name:
        os.chmod(name, 0o777)
        path = Path(name) / "x.img"
        path.write_bytes(OLD)
        os.chown(path, 1234, 4321)
        path.chmod(before)
        code, output, errors = run(AS_ANOTHER, path)
        assert (code, output, errors) == (0, b"", "")
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (65534, 65534)
        assert permissions(path) == after


def test_a_replaced_file_is_never_less_private_meanwhile(
    layout: blockpack.Layout, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = images / "x.img"
    path.write_bytes(OLD)
    path.chmod(0o600)
    really_pwrite = os.pwrite
    seen = []

    def writing(descriptor: int, data: Any, offset: int) -> int:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return really_pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", writing)
    blockpack.write(layout, path)
    assert set(seen) == {0o600}


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(
    layout: blockpack.Layout, images: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        blockpack.write(layout, images / "x.img")
    finally:
        os.umask(before)
    assert permissions(images / "x.img") == 0o666 & ~umask


def test_who_reads_the_old_image_goes_on_reading_it(layout: blockpack.Layout, images: Path) -> None:
    path = images / "x.img"
    path.write_bytes(OLD)
    with open(path, "rb") as reader:
        blockpack.write(layout, path)
        assert reader.read() == OLD
    assert path.read_bytes() == rendered(layout)


def test_another_hard_link_to_the_old_image_stays_the_old_image(
    layout: blockpack.Layout, images: Path
) -> None:
    (images / "yesterday.img").write_bytes(OLD)
    os.link(images / "yesterday.img", images / "x.img")
    blockpack.write(layout, images / "x.img")
    assert (images / "yesterday.img").read_bytes() == OLD
    assert (images / "x.img").read_bytes() == rendered(layout)


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_stays_and_what_it_leads_to_is_replaced(
    layout: blockpack.Layout, images: Path, there: bool
) -> None:
    (images / "elsewhere").mkdir()
    if there:
        (images / "elsewhere" / "real.img").write_bytes(OLD)
    (images / "second").symlink_to("elsewhere/real.img")
    (images / "x.img").symlink_to("second")
    blockpack.write(layout, images / "x.img")
    assert os.readlink(images / "x.img") == "second"
    assert os.readlink(images / "second") == "elsewhere/real.img"
    assert os.listdir(images / "elsewhere") == ["real.img"]
    assert (images / "elsewhere" / "real.img").read_bytes() == rendered(layout)


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a b\n\t", ".x", "-"])
def test_a_target_may_have_any_name(layout: blockpack.Layout, images: Path, name: str) -> None:
    for _ in range(2):
        blockpack.write(layout, images / name)
        assert (images / name).read_bytes() == rendered(layout)
        assert os.listdir(images) == [name]


def test_a_target_may_be_relative_and_in_the_current_directory(
    layout: blockpack.Layout, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    assert blockpack.write(layout, "x.img").size == layout.size
    assert (images / "x.img").read_bytes() == rendered(layout)


def refused(layout: blockpack.Layout, path: Path) -> str:
    with pytest.raises(blockpack.TargetError) as caught:
        blockpack.write(layout, path)
    return str(caught.value)


def test_a_directory_is_no_target(layout: blockpack.Layout, images: Path) -> None:
    (images / "d").mkdir()
    assert refused(layout, images / "d").startswith(f"{images}/d: is a directory; ")
    assert os.listdir(images) == ["d"]
    assert os.listdir(images / "d") == []


@pytest.mark.parametrize("path", ["/dev/sdX", "/dev/./sdX"])
def test_a_device_that_is_not_there_is_no_file(layout: blockpack.Layout, path: str) -> None:
    """Else a slip of the pen fills a file system in memory."""
    with pytest.raises(blockpack.TargetError, match="there is no such device"):
        blockpack.write(layout, path, allow_device=True)
    assert not os.path.exists("/dev/sdX")


def test_a_missing_directory_is_not_made(layout: blockpack.Layout, images: Path) -> None:
    said = refused(layout, images / "missing" / "x.img")
    assert said == f"{images}/missing/x.img: there is no directory {images}/missing; make it first"
    assert os.listdir(images) == []


@pytest.mark.parametrize("kind", ["file in between", "loop of links", "too long a name"])
def test_a_path_that_leads_nowhere_is_a_target_error(
    layout: blockpack.Layout, images: Path, kind: str
) -> None:
    if kind == "file in between":
        (images / "file").touch()
        path = images / "file" / "x.img"
    elif kind == "loop of links":
        path = images / "loop"
        path.symlink_to(path)
    else:
        path = images / ("x" * 256)
    before = os.listdir(images)
    assert refused(layout, path).startswith(f"{path}: ")
    assert os.listdir(images) == before


@pytest.mark.parametrize("fsync", [True, False])
def test_fsync_flushes_the_file_before_and_the_directory_after_it_gets_its_name(
    layout: blockpack.Layout, images: Path, fsync: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = images / "x.img"
    path.write_bytes(OLD)
    seen: list[str] = []
    really_fsync, really_link, really_replace = os.fsync, os.link, os.replace
    really_pwrite = os.pwrite

    def flushing(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.stat(descriptor).st_mode)
        if is_directory:
            assert os.path.samestat(os.stat(descriptor), images.stat())
        seen.append("flush directory" if is_directory else "flush file")
        really_fsync(descriptor)

    def linking(*arguments: Any, **options: Any) -> None:
        seen.append("link")
        really_link(*arguments, **options)

    def renaming(*arguments: Any, **options: Any) -> None:
        seen.append("rename")
        assert path.read_bytes() == OLD
        really_replace(*arguments, **options)

    def writing(*arguments: Any) -> int:
        seen.append("write")
        return really_pwrite(*arguments)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "link", linking)
    monkeypatch.setattr(os, "replace", renaming)
    monkeypatch.setattr(os, "pwrite", writing)
    blockpack.write(layout, path, fsync=fsync)
    steps = [step for step in seen if step not in ("write", "link")]
    assert steps == (["flush file", "rename", "flush directory"] if fsync else ["rename"])
    if fsync:
        assert "write" not in seen[seen.index("flush file") :]
        assert "link" not in seen[: seen.index("flush file")]


def test_an_error_that_only_closing_tells_leaves_the_old_image(
    layout: blockpack.Layout, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network file systems say only then that what was written has no place (close(2))."""
    path = images / "x.img"
    path.write_bytes(OLD)
    really_close, really_pwrite = os.close, os.pwrite
    written: set[int] = set()

    def writing(descriptor: int, data: Any, offset: int) -> int:
        written.add(descriptor)
        return really_pwrite(descriptor, data, offset)

    def closing(descriptor: int) -> None:
        really_close(descriptor)
        if descriptor in written:
            written.remove(descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", writing)
    monkeypatch.setattr(os, "close", closing)
    assert refused(layout, path).startswith(f"{path}: ")
    assert path.read_bytes() == OLD
    assert os.listdir(images) == ["x.img"]


def test_a_planted_file_is_given_no_image(layout: blockpack.Layout, tmp_path: Path) -> None:
    require_root()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    planted = shared / "x.img"
    planted.write_bytes(b"")
    planted.chmod(0o666)
    os.chown(planted, 65534, 65534)
    with pytest.raises(blockpack.TargetError, match="belongs to another user"):
        blockpack.write(layout, planted)
    assert planted.read_bytes() == b""
    shared.chmod(0o755)
    blockpack.write(layout, planted)
    assert planted.stat().st_uid == 65534


@pytest.mark.parametrize("there", [True, False])
def test_a_planted_link_is_not_followed(
    layout: blockpack.Layout, tmp_path: Path, there: bool
) -> None:
    """Though the links that somebody makes for themselves are."""
    require_root()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    if there:
        (tmp_path / "precious").write_bytes(OLD)
    planted = shared / "x.img"
    planted.symlink_to(tmp_path / "precious")
    (tmp_path / "own").symlink_to(planted)
    os.chown(planted, 65534, 65534, follow_symlinks=False)
    for target in (planted, tmp_path / "own"):
        with pytest.raises(blockpack.TargetError, match=r"belongs to another user|denied"):
            blockpack.write(layout, target)
    assert (tmp_path / "precious").exists() == there
    assert not there or (tmp_path / "precious").read_bytes() == OLD
    os.chown(planted, 0, 0, follow_symlinks=False)
    blockpack.write(layout, tmp_path / "own")
    assert (tmp_path / "precious").read_bytes() == rendered(layout)
    assert planted.is_symlink()
