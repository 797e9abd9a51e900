"""Whatever goes wrong in a worker comes out as it would in one process; what can, goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import blockpack
from faults.launching import run
from faults.rendering import differ_at, make_files, pattern, rendered

OLD = b"the old image"

RAISING = """
import os, sys
import blockpack

workers, _fork = [], os.fork
def noted():
    process = _fork()
    workers.append(process)
    return process
os.fork = noted

class Fussy(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

class Locked(Exception):
    def __init__(self):
        super().__init__("not to be sent")
        self.why = lambda: None

class Liar(Exception):
    def __reduce__(self):
        return str, ("no error at all",)

class Ours(blockpack.SourceError):
    def __init__(self):
        super().__init__("a", "is odd")

class Odd:
    forkable = True
    def extent(self, file, offset):
        if not workers or workers[-1]:  # not in the worker: it is that one which is to find it
            os.waitid(os.P_PID, workers[-1], os.WEXITED | os.WNOWAIT)
            return blockpack.Data(offset, bytes(file.size))
        raise ERROR

tree = blockpack.Tree()
tree.put(blockpack.File("a", 2000, Odd(), None))  # in the first piece of work, and one in the last
for number in range(50):
    tree.add(f"b/{number}", b"x" * 2000)
tree.put(blockpack.File("odd", 2000, Odd(), None))
layout = blockpack.TarVolume().plan(tree)
try:
    blockpack.write(layout, sys.argv[1], jobs=2)
except Exception as error:
    print(type(error).__name__)
    print(error)
    print("--")
    print(*getattr(error, "__notes__", []), sep="--")
"""


def raised_in_a_worker(error: str, target: Path) -> tuple[str, str, str]:
    """The type, the text and the notes of what `write` raises if a worker raises `error`."""
    make_files(target.parent, {target.name: OLD})
    code, output, errors = run(RAISING.replace("ERROR", error), target)
    assert (code, errors) == (0, "")
    assert target.read_bytes() == OLD
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    raised, notes = output.decode().split("\n--\n")
    kind, _, text = raised.partition("\n")
    return kind, text, notes


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ('KeyError("gone")', "KeyError", "'gone'"),
        ('OSError(5, "Input/output error")', "OSError", "[Errno 5] Input/output error"),
        ('Fussy("one", "two")', "RuntimeError", "Fussy: one and two"),
        ("Locked()", "RuntimeError", "Locked: not to be sent"),
        ('Liar("well")', "RuntimeError", "Liar: well"),
        ("Ours()", "RuntimeError", "Ours: a: is odd"),
    ],
)
def test_an_error_in_a_worker_keeps_its_type_and_tells_where_it_arose(
    error: str, kind: str, text: str, tmp_path: Path
) -> None:
    found, said, notes = raised_in_a_worker(error, tmp_path / "images/x.img")
    assert (found, said) == (kind, text)
    assert notes.startswith("In a forked process:\nTraceback (most recent call last):\n")
    assert "in extent" in notes
    assert notes.count("In a forked process") == 1


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ('SourceError("a", "is gone", "look for it")', "SourceError", "a: is gone; look for it"),
        ('EntryError("a", "is odd", "rename it")', "EntryError", "a: is odd; rename it"),
        ('TargetError("a", "full")', "TargetError", "a: full"),
        ('Problems("1 problem", [blockpack.TargetError("", "a")])', "Problems", "1 problem\n  a"),
    ],
)
def test_an_error_of_ours_in_a_worker_comes_out_as_it_is(
    error: str, kind: str, text: str, tmp_path: Path
) -> None:
    found, said, notes = raised_in_a_worker(f"blockpack.{error}", tmp_path / "images/x.img")
    assert (found, said, notes) == (kind, text, "\n")


COUNTED = """
import os, resource, signal, sys
import blockpack
source, *targets = sys.argv[1:]
layout = blockpack.TarVolume().plan(blockpack.scan(source))
forks, _fork = 0, os.fork
def counted():
    global forks
    process = _fork()
    forks += 1
    return process
os.fork = counted
"""

IGNORED = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
blockpack.write(layout, targets[0], jobs=2)
print(forks)
"""

SCARCE = """
import blockpack.workers.pool
blockpack.write(layout, targets[0], jobs=1)  # so that all is imported
free = os.open(os.devnull, os.O_RDONLY)
os.close(free)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
for left, target in enumerate(targets):
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + LEAST + left, most))
    forks = 0
    blockpack.write(layout, target, jobs=2)
    print(forks)
"""


def test_where_nobody_waits_for_children_the_image_is_written_by_them_all_the_same(
    tmp_path: Path,
) -> None:
    source = make_files(tmp_path / "source", {str(n): pattern(2000, n) for n in range(50)})
    code, output, errors = run(COUNTED + IGNORED, source, tmp_path / "x.img")
    assert (code, errors, output) == (0, "", b"1\n")
    expected = rendered(blockpack.TarVolume().plan(blockpack.scan(source)))
    assert differ_at((tmp_path / "x.img").read_bytes(), expected) is None


def test_with_few_descriptors_as_many_processes_write_as_may_be(tmp_path: Path) -> None:
    """From the three on that one process takes: the image, its directory, and a source."""
    source = make_files(tmp_path / "source", {str(n): pattern(2000, n) for n in range(50)})
    targets = [tmp_path / f"{n}.img" for n in range(7)]
    code, output, errors = run(COUNTED + SCARCE.replace("LEAST", "3"), source, *targets)
    assert (code, errors) == (0, "")
    forks = list(map(int, output.split()))
    assert forks[0] == 0
    assert forks == sorted(forks)
    assert forks[-1] == 1
    expected = rendered(blockpack.TarVolume().plan(blockpack.scan(source)))
    for target in targets:
        assert differ_at(target.read_bytes(), expected) is None


REAPED = """
import os, signal, time
from blockpack import BlockpackError
from blockpack.workers.pool import WorkerPool

processes, _fork = [], os.fork
def noted():
    processes.append(_fork())
    return processes[-1]
os.fork = noted

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is not there any more
try:
    with WorkerPool(2, BlockpackError) as pool:
        pool.start(1, lambda send: None)
        while True:
            try:
                os.kill(processes[0], 0)
            except ProcessLookupError:
                break
        pool.start(1, lambda send: time.sleep(600))
        raise KeyError("what went wrong")
except KeyError as error:
    print(error)
try:
    os.kill(processes[1], 0)
except ProcessLookupError:
    print("all have ended")
"""


def test_a_worker_that_is_gone_hides_no_error_and_keeps_no_other_alive() -> None:
    code, output, errors = run(REAPED)
    assert (code, errors, output) == (0, "", b"'what went wrong'\nall have ended\n")


NOTICED = """
import os, sys, time
import blockpack

parent, reads = os.getpid(), 0

class Slow:
    def read(self, most):
        global reads
        if os.getpid() != parent:
            raise OSError(5, "Input/output error")
        reads += 1
        time.sleep(0.02)
        return bytes(most)
    def close(self):
        pass

class Store:
    forkable = True
    def extent(self, file, offset):
        return blockpack.Stream(offset, file.size, self, None, file.path)
    def open(self, key, name):
        return Slow()
    def identity(self, key):
        return self

tree = blockpack.Tree()
for name in ("a", "z"):  # in two pieces of work, one for each process
    tree.put(blockpack.File(name, 64 << 20, Store(), None))
try:
    blockpack.write(blockpack.TarVolume().plan(tree), sys.argv[1], jobs=2)
except blockpack.SourceError as error:
    print(error.rule, reads < 128)
"""


def test_a_failure_is_noticed_while_this_process_is_busy(tmp_path: Path) -> None:
    """It reads 256 times, and stops long before."""
    code, output, errors = run(NOTICED, tmp_path / "x.img")
    assert (code, errors, output) == (0, "", b"cannot be read: input/output error True\n")
    assert not os.listdir(tmp_path)


SENT = """
from blockpack import BlockpackError
from blockpack.workers.pool import WorkerPool

def work(send):
    for message in (b"", b"bytes", "text"):
        send(message)

with WorkerPool(1, BlockpackError) as pool:
    pool.start(1, work)
    print(list(pool.messages()))
"""


def test_messages_arrive_as_they_were_sent() -> None:
    code, output, errors = run(SENT)
    assert (code, errors, output) == (0, "", b"[b'', b'bytes', 'text']\n")
