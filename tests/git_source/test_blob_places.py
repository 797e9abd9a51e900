"""Finding blobs in packs, by one process or several."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import blockpack
from repositories import GitRepository

_FIND_WITH = """
import errno, hashlib, os, signal, sys, time
import blockpack
from blockpack.sources.git import blob_places
def show(jobs):
    tree = blockpack.scan("git:" + sys.argv[1] + "@HEAD", jobs=jobs)
    with blockpack.TarVolume().plan(tree).open() as file:
        print(len(tree), hashlib.file_digest(file, "sha256").hexdigest())
parent, found, helped = os.getpid(), blob_places.Places._found.__func__, os.pipe()
def noted(cls, *arguments):
    if os.getpid() == parent:
        time.sleep(0.1)  # the other one takes the next
    else:
        os.write(helped[1], b"x")
    return found(cls, *arguments)
blob_places.Places._found = classmethod(noted)
for blob_places._SHARE in (40, 17, 3):
    show(1)
    show(2)
print("helped", os.read(helped[0], 100).count(b"x") > 1)
def unable(*_):
    raise OSError(errno.EAGAIN, "no more")
fork, os.fork = os.fork, unable
show(2)
os.fork = fork
def killed(cls, *arguments):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(cls, *arguments)
blob_places.Places._found = classmethod(killed)
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
    *images, lost = done.stdout.decode().splitlines()
    images.remove("helped True")
    assert len(images) == 7 and len(set(images)) == 1 and images[0].startswith("40 ")
    assert lost.startswith("the repository: a process that reads it was killed by signal 9")
