"""Finding blobs in packs while the walk that meets them goes on.

To look one up and read its size takes longer than to meet it. So where there are many, another
process does that, and is told of them through a pipe; it answers when it has been told of all.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ...errors import SourceError
from ...git.index import IndexLookup
from ...git.pack import BLOB, type_and_size
from ...processors import processors
from .cat_file import widen
from .packs import Packs, index_path
from .places import TOO_LARGE, Places

if TYPE_CHECKING:
    from ...processes import Send, Worker

BATCH = 4_000
"""Blobs that another process is told of at once; fewer are found before it has started."""


_HEADER = 16
"""More bytes than the type and size of an object take."""


class Finder:
    """Finds blobs for a walk, in the order in which it meets them; a context manager.

    `jobs` processes may work at once (1: only this one; None: one a processor).
    """

    def __init__(self, packs: Packs, jobs: int | None) -> None:
        self._packs = packs
        self._search = _Search(packs)
        self._alone = processors(jobs) < 2
        self._met: list[bytes] = []  # and nobody was told of them
        self._worker: Worker | None = None
        self._questions: int | None = None

    def add(self, oid: bytes) -> None:
        """The walk has met the blob `oid`."""
        self._met.append(oid)
        if len(self._met) >= BATCH and not self._alone:
            self._tell()

    def places(self) -> Places:
        """Where all of them are. Raises `SourceError` if the other process is killed."""
        if self._worker is None:
            return self._search.find(self._met)
        self._tell()
        self._hang_up()
        answers = [*iter(self._worker.receive, None)]
        worker, self._worker = self._worker, None
        if how := worker.finish():
            path = self._packs.repository.path
            raise SourceError(path, f"a process that reads it {how}", "pack it again")
        places = Places.unknown(0)
        for numbers, answer in zip(places.arrays, answers, strict=True):
            assert isinstance(answer, bytes)
            numbers.frombytes(answer)
        return places

    def _tell(self) -> None:
        """Have another process look for what has been met since, if there can be one."""
        if self._questions is None:
            self._start()
            return
        view = memoryview(b"".join(self._met))
        with suppress(BrokenPipeError):  # it has come to an end; to hear it tells how
            while view:
                view = view[os.write(self._questions, view) :]
        self._met = []

    def _start(self) -> None:
        """Start another process, which begins with what has been met."""
        from ...processes import Worker, signals_held

        try:
            questions, self._questions = os.pipe()
        except OSError:  # too few descriptors left
            self._alone = True
            return
        widen(questions)
        try:
            with signals_held():
                self._worker = Worker.start(
                    lambda send: self._answer(questions, send), [self._questions]
                )
            self._met = []
        except OSError:  # too many processes, too little memory
            self._alone = True
        finally:
            os.close(questions)

    def _answer(self, questions: int, send: Send) -> None:
        """The work of the other process."""
        places = self._search.find(self._met)
        size = self._packs.repository.oid_size
        with open(questions, "rb") as told:
            while oids := told.read(BATCH * size):
                met = [oids[at : at + size] for at in range(0, len(oids), size)]
                places.extend(self._search.find(met))
        for numbers in places.arrays:
            send(numbers.tobytes())

    def _hang_up(self) -> None:
        if self._questions is not None:
            os.close(self._questions)
            self._questions = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


class _Search:
    """Packs to look blobs up in, and their indexes, which go when all are found."""

    def __init__(self, packs: Packs) -> None:
        self._packs: list[tuple[int, int, IndexLookup]] = []  # number, descriptor, index
        for number, descriptor in enumerate(packs.descriptors):
            with suppress(OSError, ValueError):  # git knows what is wrong with it
                index = IndexLookup(
                    _mapped(index_path(packs.paths[number])), packs.repository.oid_size
                )
                self._packs.append((number, descriptor, index))

    def find(self, oids: Sequence[bytes]) -> Places:
        """Where each of the blobs `oids` is."""
        places = Places.unknown(len(oids))
        packs, starts, sizes = places.arrays
        missing: Sequence[int] = range(len(oids))
        for pack, descriptor, index in self._packs:
            wanted, missing = missing, []
            offsets = index.offsets([oids[number] for number in wanted])
            for number, offset in zip(wanted, offsets, strict=True):
                if offset is not None:
                    kind, size, length = _header(descriptor, offset)
                    if kind == BLOB and length and size < TOO_LARGE:
                        packs[number] = pack
                        starts[number] = offset + length
                        sizes[number] = size
                        continue
                missing.append(number)
        return places


def _header(descriptor: int, offset: int) -> tuple[int, int, int]:
    """The type and size of the object there, and how long its header is; 0 if there is none."""
    try:
        header = os.pread(descriptor, _HEADER, offset)
    except OSError:  # whether it matters is for git to say
        return 0, 0, 0
    return type_and_size(header) if header else (0, 0, 0)


def _mapped(path: str) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
