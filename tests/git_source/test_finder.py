"""Finding blobs in packs, by one process or two."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import blockpack
from blockpack.sources.git import pipes
from repositories import GitRepository

_FIND_WITH = """
import errno, hashlib, os, signal, sys
import blockpack
from blockpack.sources.git import finder
def show(jobs):
    tree = blockpack.scan("git:" + sys.argv[1] + "@HEAD", jobs=jobs)
    with blockpack.TarVolume().plan(tree).open() as file:
        print(len(tree), hashlib.file_digest(file, "sha256").hexdigest())
parent, find, asked = os.getpid(), finder._Search.find, []
def noted(self, oids):
    asked.append(len(oids))
    return find(self, oids)
finder._Search.find = noted
for finder.MANY, finder.BATCH in ((1, 1), (7, 3), (3, 7), (40, 40), (41, 1)):
    show(2)
widened, tell = finder.widened, finder.Finder._tell
def told(self):
    tell(self)
    assert self._unanswered <= max(self._room, finder.BATCH), (self._unanswered, self._room)
finder.Finder._tell = told
for room in (0, 3 * 2 * finder.PLACE_BYTES):  # answers that its pipe has room for: none, three
    finder.widened = lambda pipe: room
    finder.MANY, finder.BATCH = 5, 2
    show(2)
finder.widened, finder.Finder._tell = widened, tell
close, hang_up = os.close, finder.Finder._hang_up
def interrupted(descriptor):
    os.close = close
    close(descriptor)
    raise KeyboardInterrupt
def hang_up_once(self):
    finder.Finder._hang_up = hang_up
    os.close = interrupted
    hang_up(self)
finder.Finder._hang_up = hang_up_once
try:
    show(2)
except KeyboardInterrupt:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("interrupted")
print(asked)
show(1)
finder.MANY = finder.BATCH = 3
def unable(*_):
    raise OSError(errno.EAGAIN, "no more")
fork, os.fork = os.fork, unable
show(2)
os.fork = fork
print(asked)
for last in (3, 13):  # before it is told of the rest, and after
    def killed(self, oids):
        asked.append(len(oids))
        if os.getpid() != parent and sum(asked) >= last:
            os.kill(os.getpid(), signal.SIGKILL)
        return find(self, oids)
    finder._Search.find = killed
    del asked[:]
    try:
        blockpack.scan("git:" + sys.argv[1] + "@HEAD", jobs=2)
    except blockpack.SourceError as error:
        print(error)
"""


def test_however_many_processes_find_the_blobs(bare: GitRepository) -> None:
    rng = random.Random(5)
    lines = b"\n".join(rng.randbytes(30).hex().encode() for _ in range(200))
    bare.git("config", "fastimport.unpackLimit", "100")
    files = {f"{number:02}": lines + b"%d" % number for number in range(30)}
    bare.commit(files)
    bare.git("repack", "-a", "-d", "-f", "-q", "--window=20")
    files |= {f"{number:02}": rng.randbytes(100) for number in range(20, 40)}  # loose
    bare.commit(files)
    done = subprocess.run(
        [sys.executable, "-c", _FIND_WITH, bare.path],
        env={**os.environ, "PYTHONPATH": str(Path(blockpack.__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    *images, lost, lost_later = done.stdout.decode().splitlines()
    images.remove("interrupted")  # and nothing was left
    alone = [line for line in images if line.startswith("[")]
    assert alone == ["[40]", "[40, 40, 40]"]  # what this process found by itself
    images = [line for line in images if line not in alone]
    assert len(images) == 9 and len(set(images)) == 1 and images[0].startswith("40 ")
    for told in (lost, lost_later):
        assert told.startswith(f"{bare.path}: a process that reads it was killed by signal 9")


def test_pipes_that_cannot_be_widened_are_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EINVAL, "not here")

    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb"):
        assert pipes.widened(writer) >= 65_536
        monkeypatch.setattr(fcntl, "fcntl", refused)
        assert pipes.widened(writer) == 4096
