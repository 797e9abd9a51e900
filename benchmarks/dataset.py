"""The trees to pack. The same arguments give the same names, sizes and contents everywhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from random import Random

MIB = 1 << 20
CHUNK = 16 * MIB
MEDIAN_SIZE = 4096
SIGMA = 1.19
"""With that median, 50,000 files come to 415 MB, as a web site's small files do."""

Sizes = Callable[[Random], int]


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory that was made, and the bytes of content in it."""

    path: Path
    files: int
    size: int


def log_normal(random: Random) -> int:
    """Mostly a few KiB, a few of up to 1 MiB."""
    return min(int(random.lognormvariate(0, SIGMA) * MEDIAN_SIZE), MIB)


def tiny(random: Random) -> int:
    """100 to 2,000 bytes, so that a million of them fit in the page cache."""
    return random.randrange(100, 2001)


def small_files(path: Path, files: int, directories: int, sizes: Sizes) -> Tree:
    """`files` files of random bytes, spread evenly over `directories` directories."""
    path.mkdir()
    fill = partial(_fill, path, ceil(files / directories), sizes)
    with ProcessPoolExecutor() as pool:
        totals = pool.map(fill, range(directories), chunksize=ceil(directories / 64))
        return Tree(path, ceil(files / directories) * directories, sum(totals))


def _fill(path: Path, files: int, sizes: Sizes, number: int) -> int:
    """Make directory `number`; the bytes in it."""
    random = Random(number)
    # Contents overlap from file to file: nothing here looks for duplicates.
    contents = memoryview(random.randbytes(2 * MIB))
    directory = path / f"d{number:04d}"
    directory.mkdir()
    total = 0
    for index in range(files):
        size = sizes(random)
        start = random.randrange(MIB)
        with open(directory / f"file{index:06d}.dat", "wb", buffering=0) as file:
            file.write(contents[start : start + size])
        total += size
    return total


def texts(path: Path, files: int, directories: int) -> Tree:
    """`files` texts of about 20 KiB, of words of which a few are frequent."""
    path.mkdir()
    fill = partial(_write, path, ceil(files / directories))
    with ProcessPoolExecutor() as pool:
        totals = pool.map(fill, range(directories))
        return Tree(path, ceil(files / directories) * directories, sum(totals))


def _write(path: Path, files: int, number: int) -> int:
    """Make directory `number` of texts; the bytes in it."""
    random = Random(number)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(random.choices(letters, k=random.randrange(2, 10))) for _ in range(2000)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    directory = path / f"d{number:04d}"
    directory.mkdir()
    total = 0
    for index in range(files):
        text = " ".join(random.choices(words, weights, k=random.randrange(1000, 6000)))
        (directory / f"text{index:06d}.txt").write_text(text)
        total += len(text)
    return total


def commit(tree: Tree, repository: Path, listed: Path) -> None:
    """Make a packed `repository` with one commit of `tree`; `listed` gets its objects' ids."""
    environment = os.environ | {
        "GIT_DIR": str(repository),
        "GIT_WORK_TREE": str(tree.path),
    }

    def git(*arguments: str) -> bytes:
        command = ("git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments)
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        return done.stdout

    subprocess.run(("git", "init", "-q", "--bare", str(repository)), check=True)
    git("add", "-A")
    git("commit", "-q", "-m", "all of it")
    git("repack", "-a", "-d", "-q")
    ids = (line.split(b" ")[0] for line in git("rev-list", "--objects", "HEAD").splitlines())
    listed.write_bytes(b"".join(oid + b"\n" for oid in ids))


def random_file(path: Path, size: int) -> Tree:
    """One file of `size` random bytes."""
    path.mkdir()
    random = Random(size)
    with open(path / "video.bin", "wb", buffering=0) as file:
        for offset in range(0, size, CHUNK):
            file.write(random.randbytes(min(CHUNK, size - offset)))
    return Tree(path, 1, size)


def sparse_file(path: Path, size: int) -> Tree:
    """One file of `size` bytes that is a single hole."""
    path.mkdir()
    with open(path / "video.bin", "wb") as file:
        os.truncate(file.fileno(), size)
    return Tree(path, 1, size)
