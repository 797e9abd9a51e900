"""Second users: work that is done by another user of this machine, in a process of its own."""

from __future__ import annotations

import codecs
import os
import pickle
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

for _name in ("ascii", "utf-16-le"):
    codecs.lookup(_name)  # codecs are imported late, and not from where that user may not read

ALICE, MALLORY = 41001, 41002
"""Users that own nothing here but what a test makes for them."""

Result = TypeVar("Result")


def as_user(uid: int, work: Callable[[], Result], *, umask: int = 0o022) -> Result:
    """What `work` returns if the user `uid` does it; what it raises is raised here.

    It is done by a fork, so what is imported is there, also where that user may not read.
    """
    if os.geteuid():
        pytest.skip("to become another user takes root")
    read, write = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.close(read)
            outcome: tuple[object, BaseException | None]
            try:
                os.umask(umask)
                if uid:
                    os.setgroups([])
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                outcome = work(), None
            except BaseException as error:
                traceback.print_exc()
                outcome = None, error
            with open(write, "wb") as pipe:
                pickle.dump(outcome, pipe)
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(process, 0)
    result, raised = pickle.loads(data)
    if raised is not None:
        raise raised
    return result  # type: ignore[no-any-return]


@contextmanager
def public_directory(*, mode: int = 0o755) -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are their owner's alone."""
    place = Path(tempfile.mkdtemp(prefix="blockpack-public-"))
    place.chmod(mode)
    try:
        yield place
    finally:
        shutil.rmtree(place)


PLANTS = "link", "dangling link", "hard link", "FIFO", "directory", "file"
"""What somebody can put where a file is expected."""


def plant(kind: str, at: Path, target: Path) -> None:
    """Put something of that kind at a path; links lead to the file `target`."""
    at.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        at.symlink_to(target)
    elif kind == "dangling link":
        at.symlink_to(target.with_name("nothing"))
    elif kind == "hard link":
        at.hardlink_to(target)
    elif kind == "FIFO":
        os.mkfifo(at, 0o666)
    elif kind == "directory":
        at.mkdir()
        (at / "inside").write_bytes(b"planted")
    else:
        at.write_bytes(b"planted")
        at.chmod(0o666)
