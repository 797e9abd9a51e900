"""Several processes write the same image as one, and fail as one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import blockpack
from faults.launching import COMMAND, NO_NAMELESS_FILES, run
from faults.rendering import make_files, pattern, rendered

OLD = b"the old image"

FORKS = """
import os, sys
_fork, forks = os.fork, 0
def _counted():
    global forks
    forks += 1
    return _fork()
os.fork = _counted
from blockpack.cli import main
code = main()
print(f"{forks} forks")
sys.exit(code)
"""

NO_SPACE = "cannot be written: no space left on device; free some space, or choose another place"
KILLED = """
import os, signal
_parent, _pwrite, _left = os.getpid(), os.pwrite, int(os.environ["WRITES"])
def _fatal(*arguments):
    global _left
    _left -= 1
    if os.getpid() != _parent and _left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return _pwrite(*arguments)
os.pwrite = _fatal
"""
"""Before the command: each worker is killed after some writes."""

NO_FORK = """
import errno, os
_fork, _left = os.fork, int(os.environ["FORKS"])
def _scarce():
    global _left
    _left -= 1
    if _left < 0:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()
os.fork = _scarce
"""
"""Before the command: no more than some processes may be started."""

FULL = """
import errno, os
_pwrite, _left = os.pwrite, 3
def _full(*arguments):
    global _left
    _left -= 1
    if _left < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _pwrite(*arguments)
os.pwrite = _full
"""
"""Before the command: after three writes of a process the target is full."""

LIBRARY = """
import sys
import blockpack
source, target = sys.argv[1:]
layout = blockpack.TarVolume().plan(blockpack.scan(source))
try:
    blockpack.write(layout, target, jobs=3)
except blockpack.BlockpackError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    directory = tmp_path / "images"
    directory.mkdir()
    path = directory / "x.img"
    path.write_bytes(OLD)
    return path


def still_old(target: Path) -> bool:
    return target.read_bytes() == OLD and os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("format", ["tar", "fat"])
def test_any_number_of_jobs_gives_the_same_bytes(tree: Path, tmp_path: Path, format: str) -> None:
    volume = blockpack.TarVolume() if format == "tar" else blockpack.FatVolume()
    expected = rendered(volume.plan(blockpack.scan(tree)))
    for jobs in (1, 2, 5):
        image = tmp_path / f"{jobs}.img"
        arguments = ("pack", tree, image, "--format", format, "--jobs", str(jobs), "--quiet")
        code, output, errors = run(FORKS, *arguments)
        assert code == 0, errors
        assert output.decode() == f"{jobs - 1} forks\n"  # this is one of them
        assert image.read_bytes() == expected
        image.unlink()


THREADS = {
    "Python's": "threading.Thread(target=time.sleep, args=(999,), daemon=True).start()",
    "of another kind": "_thread.start_new_thread(time.sleep, (999,))",
}


@pytest.mark.parametrize("threads", THREADS)
def test_a_program_with_threads_is_never_forked(tree: Path, target: Path, threads: str) -> None:
    arguments = ("pack", tree, target, "--format", "tar", "--jobs", "3", "--quiet")
    program = f"import _thread, threading, time\n{THREADS[threads]}\n{FORKS}"
    code, output, errors = run(program, *arguments)
    assert (code, output, errors) == (0, b"0 forks\n", "")
    assert target.read_bytes() != OLD


@pytest.mark.parametrize("volume", ["TarVolume", "FatVolume", "GitVolume"])
def test_the_library_forks_only_if_it_is_asked_to(
    tmp_path: Path, target: Path, volume: str
) -> None:
    source = make_files(tmp_path / "source", {str(n): pattern(2000) for n in range(50)})
    program = f"""
import os, sys
import blockpack
source, target = sys.argv[1:]
fork, forks = os.fork, 0
def counted():
    global forks
    forks += 1
    return fork()
os.fork = counted
blockpack.write(blockpack.{volume}().plan(blockpack.scan(source)), target)
print(forks)
tree = blockpack.scan(source, jobs=2)
blockpack.write(blockpack.{volume}().plan(tree, jobs=2), target, jobs=2)
print(forks)
"""
    code, output, errors = run(program, source, target)
    assert (code, errors) == (0, "")
    by_itself, asked = map(int, output.split())
    assert by_itself == 0 < asked


@pytest.mark.parametrize("writes", [0, 3])
@pytest.mark.parametrize("nameless", [True, False])
def test_a_worker_that_is_killed_is_told_and_nothing_is_left(
    tree: Path, target: Path, writes: int, nameless: bool
) -> None:
    program = KILLED + ("" if nameless else NO_NAMELESS_FILES) + COMMAND
    arguments = ("pack", tree, target, "--format", "tar", "--jobs", "2")
    code, _, errors = run(program, *arguments, env={"WRITES": str(writes)})
    assert (code, errors) == (
        5,
        "blockpack: a writing process was killed by signal 9, and the image was not written; "
        "try again\n",
    )
    assert still_old(target)


def test_a_source_that_changed_is_named_by_whichever_worker_meets_it(
    tree: Path, target: Path
) -> None:
    program = """
import os, sys
import blockpack
source, target = sys.argv[1:]
layout = blockpack.TarVolume().plan(blockpack.scan(source))
os.utime(os.path.join(source, "7/1297"), ns=(0, 0))
try:
    blockpack.write(layout, target, jobs=2)
except blockpack.SourceError as error:
    print(error)
"""
    victim = tree / "7" / "1297"
    before = victim.stat().st_mtime_ns
    try:
        code, output, errors = run(program, tree, target)
    finally:
        os.utime(victim, ns=(before, before))
    assert (code, errors) == (0, "")
    assert output.decode() == (
        f"{victim}: was modified since it was planned; start again while nothing changes it\n"
    )
    assert still_old(target)


def test_a_source_that_fails_is_named_by_whichever_worker_meets_it(
    tmp_path: Path, target: Path
) -> None:
    source = make_files(tmp_path / "source", {str(n): pattern(2000) for n in range(50)})
    program = """
import errno, os, sys
import blockpack
source, target = sys.argv[1:]
layout = blockpack.TarVolume().plan(blockpack.scan(source))
_preadv, victim = os.preadv, os.stat(os.path.join(source, "33")).st_ino
def reading(descriptor, *arguments):
    if os.fstat(descriptor).st_ino == victim:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return _preadv(descriptor, *arguments)
os.preadv = reading
try:
    blockpack.write(layout, target, jobs=2)
except blockpack.BlockpackError as error:
    print(f"{type(error).__name__}: {error}")
"""
    code, output, errors = run(program, source, target)
    assert (code, errors) == (0, "")
    assert output.decode().startswith(f"SourceError: {source}/33: cannot be read: ")
    assert still_old(target)


def test_space_that_runs_out_in_a_worker_is_told(tree: Path, target: Path) -> None:
    arguments = ("pack", tree, target, "--format", "tar", "--jobs", "2")
    code, _, errors = run(FULL + COMMAND, *arguments)
    assert (code, errors) == (
        5,
        f"blockpack: {target}: {NO_SPACE}\n",
    )
    assert still_old(target)


@pytest.mark.parametrize("forks", [0, 1, 2])
def test_where_too_few_processes_may_be_started_the_image_is_written_by_those_there_are(
    tmp_path: Path, target: Path, forks: int
) -> None:
    source = make_files(tmp_path / "source", {str(n): pattern(2000) for n in range(50)})
    arguments = {"env": {"FORKS": str(forks)}}
    assert run(NO_FORK + LIBRARY, source, target, **arguments) == (0, b"", "")
    expected = rendered(blockpack.TarVolume().plan(blockpack.scan(source)))
    assert target.read_bytes() == expected
    assert os.listdir(target.parent) == [target.name]
