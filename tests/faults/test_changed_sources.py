"""A source that is not what it was when it was planned is an error that names it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import blockpack
from faults.launching import run
from faults.rendering import make_files, pattern

OLD = b"the old image"
SMALL, LARGE = 3000, 3 << 20

CHANGES: dict[str, Callable[[Path], None]] = {
    "grew": lambda path: os.truncate(path, path.stat().st_size + 1),
    "shrank": lambda path: os.truncate(path, path.stat().st_size - 1),
    "was modified": lambda path: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {"a": b"before", "small": pattern(SMALL), "large": pattern(LARGE), "z": b"after"}
    return make_files(tmp_path / "source", files)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """The path of an old image, which the test has to leave as it is."""
    directory = tmp_path / "images"
    directory.mkdir()
    path = directory / "x.img"
    path.write_bytes(OLD)
    yield path
    assert path.read_bytes() == OLD
    assert os.listdir(directory) == ["x.img"]


def planned(source: Path) -> blockpack.Layout:
    return blockpack.TarVolume().plan(blockpack.scan(source))


def write_fails(layout: blockpack.Layout, target: Path) -> blockpack.SourceError:
    with pytest.raises(blockpack.SourceError) as caught:
        blockpack.write(layout, target, jobs=1)
    return caught.value


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_after_the_plan_is_named(
    source: Path, target: Path, name: str, change: str
) -> None:
    layout = planned(source)
    CHANGES[change](source / name)
    error = write_fails(layout, target)
    assert error.path == str(source / name)
    assert change in error.rule


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_while_it_is_read_is_named(
    source: Path, target: Path, name: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = planned(source)
    monkeypatch.delattr(os, "copy_file_range")
    really_preadv = os.preadv
    size = (source / name).stat().st_size

    def reading(descriptor: int, *arguments: object) -> int:
        count = really_preadv(descriptor, *arguments)  # type: ignore[arg-type]
        if os.fstat(descriptor).st_size == size:
            monkeypatch.setattr(os, "preadv", really_preadv)
            CHANGES[change](source / name)
        return count

    monkeypatch.setattr(os, "preadv", reading)
    error = write_fails(layout, target)
    assert error.path == str(source / name)
    assert change in error.rule


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_while_the_kernel_copies_it_is_named(
    source: Path, target: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = planned(source)
    really_copy = os.copy_file_range

    def copying(source_descriptor: int, out: int, count: int, *offsets: int) -> int:
        copied = really_copy(source_descriptor, out, min(count, 4096), *offsets)
        monkeypatch.setattr(os, "copy_file_range", really_copy)
        CHANGES[change](source / "large")
        return copied

    monkeypatch.setattr(os, "copy_file_range", copying)
    error = write_fails(layout, target)
    assert error.path == str(source / "large")
    assert change in error.rule


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_that_changes_while_the_kernel_sends_it_is_named(
    source: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = planned(source)
    really_sendfile = os.sendfile

    def sending(out: int, source_descriptor: int, offset: int, count: int) -> int:
        sent = really_sendfile(out, source_descriptor, offset, min(count, 4096))
        monkeypatch.setattr(os, "sendfile", really_sendfile)
        CHANGES[change](source / "large")
        return sent

    monkeypatch.setattr(os, "sendfile", sending)
    with os.popen("cat >/dev/null", "w") as pipe, pytest.raises(blockpack.SourceError) as caught:
        blockpack.write(layout, pipe.buffer)  # type: ignore[attr-defined]
    assert caught.value.path == str(source / "large")
    assert change in caught.value.rule


@pytest.mark.parametrize("whence", [os.SEEK_DATA, os.SEEK_HOLE])
def test_a_sparse_source_that_shrinks_while_its_holes_are_looked_for_is_named(
    source: Path, target: Path, whence: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(source / "sparse", "wb") as file:
        file.truncate(1 << 20)
        file.seek(512 << 10)
        file.write(pattern(100_000))
    layout = planned(source)
    really_lseek = os.lseek

    def seeking(descriptor: int, position: int, how: int) -> int:
        if how == whence:
            os.truncate(source / "sparse", 1000)
        return really_lseek(descriptor, position, how)

    monkeypatch.setattr(os, "lseek", seeking)
    error = write_fails(layout, target)
    assert error.path == str(source / "sparse")
    assert "shrank" in error.rule


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_source_that_goes_away_is_named(source: Path, target: Path, name: str) -> None:
    layout = planned(source)
    (source / name).unlink()
    assert write_fails(layout, target).path == str(source / name)


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("kind", ["directory", "pipe", "other file"])
def test_a_source_that_is_replaced_is_named(
    source: Path, target: Path, name: str, kind: str
) -> None:
    layout = planned(source)
    path = source / name
    size = path.stat().st_size
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(pattern(size, 2))
        os.utime(path, ns=(0, 10**18))
    assert write_fails(layout, target).path == str(path)


@pytest.mark.parametrize("others", [0, 100])
@pytest.mark.parametrize(
    "volume", [blockpack.TarVolume, blockpack.FatVolume, blockpack.ErofsVolume]
)
def test_an_empty_source_that_grows_is_named(
    source: Path, tmp_path: Path, volume: Callable[[], blockpack.Volume], others: int
) -> None:
    for number in range(others):
        (source / f"{number}").touch()
    (source / "log").touch()
    layout = volume().plan(blockpack.scan(source))
    (source / "log").write_bytes(b"a first line\n")
    assert write_fails(layout, tmp_path / "x.img").path == str(source / "log")


def test_an_image_that_is_read_unwritten_names_the_source_that_changed(source: Path) -> None:
    for kind in ("directory", "nothing", "longer"):
        layout = planned(source)
        path = source / "small"
        path.unlink()
        if kind == "directory":
            path.mkdir()
        elif kind == "longer":
            path.write_bytes(pattern(SMALL + 1))
        with layout.open() as image, pytest.raises(blockpack.SourceError) as caught:
            image.read()
        assert caught.value.path == str(path)
        if kind == "directory":
            path.rmdir()
        path.write_bytes(pattern(SMALL))


UNREADABLE = """
import os, sys
import blockpack
source, target = sys.argv[1:]
layout = blockpack.TarVolume().plan(blockpack.scan(source))
blockpack.write(layout, target, jobs=1)  # so that all is imported while we may
if not os.geteuid():
    os.setegid(65534)
    os.seteuid(65534)
os.chmod(source + "/secret", 0)
try:
    blockpack.write(layout, target, jobs=1)
except blockpack.SourceError as error:
    print(error)
"""


def test_a_source_that_may_not_be_read_any_more_is_named() -> None:
    # Not below pytest's directory, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="blockpack-faults-") as base:
        os.chmod(base, 0o777)
        source = make_files(Path(base, "source"), {"secret": b"hush"})
        if not os.geteuid():
            os.chown(source / "secret", 65534, 65534)
        code, output, errors = run(UNREADABLE, source, Path(base, "x.img"))
        assert code == 0, errors
        assert output.decode() == (
            f"{source}/secret: cannot be read: permission denied; "
            "start again while nothing changes it\n"
        )


INTERRUPTED = """
import os, signal, sys
import blockpack
source, target = sys.argv[1:]
layout = blockpack.TarVolume().plan(blockpack.scan(source))
count = 0
def tick(*_):
    global count
    count += 1
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
blockpack.write(layout, target, jobs=1)
blockpack.write(layout, sys.stdout.buffer)
signal.setitimer(signal.ITIMER_REAL, 0)
assert count > 10, count
"""


def test_signals_that_interrupt_system_calls_do_no_harm(source: Path, tmp_path: Path) -> None:
    layout = planned(source)
    blockpack.write(layout, tmp_path / "undisturbed.img")
    image = (tmp_path / "undisturbed.img").read_bytes()
    code, output, errors = run(INTERRUPTED, source, tmp_path / "x.img")
    assert (code, errors) == (0, "")
    assert output == image
    assert (tmp_path / "x.img").read_bytes() == image


def test_progress_that_raises_leaves_the_old_image(source: Path, target: Path) -> None:
    def stop(_: blockpack.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blockpack.write(planned(source), target, progress=stop, jobs=1)
