"""Finding blobs in packs while the walk that meets them goes on.

To look one up and read its size takes longer than to meet it. So where there are many, another
process does that: it is told of them through a pipe, and answers through another one, in order.
What it has found is used while it looks for the rest.

Flow control: never send more requests than the reply pipe can hold, or both sides deadlock.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ...errors import SourceError
from ...formats.git.index import IndexLookup, index_path
from ...formats.git.pack_format import BLOB, type_and_size
from ...workers.processors import Jobs, processors
from .blob_places import PLACE_BYTES, TOO_LARGE, Places
from .packs import Packs
from .pipes import widened

if TYPE_CHECKING:
    from ...workers.pool import Send, Worker

MANY = 2_000
"""Blobs for which another process is started; fewer are found before it has."""

BATCH = 1_000
"""Blobs that it is told of at once."""

_HEADER = 16
"""More bytes than the type and size of an object take."""


class Finder:
    """Finds blobs for a walk, in the order in which it meets them; a context manager.

    `jobs` processes may work at once. `places` has those that have been found by now.
    """

    def __init__(self, packs: Packs, jobs: Jobs) -> None:
        self.places = Places.unknown(0)
        self._packs = packs
        self._search = _Search(packs)
        self._alone = processors(jobs) < 2
        self._unsent: list[bytes] = []  # and nobody was told of them
        self._worker: Worker | None = None
        self._questions: int | None = None
        self._unanswered = 0  # blobs that the other process was told of
        self._room = 0  # blobs whose answers its pipe has room for

    def add(self, oid: bytes) -> None:
        """The walk has met the blob `oid`. Raises as `sizes` does."""
        self._unsent.append(oid)
        if self._worker is not None:
            if len(self._unsent) >= BATCH:
                self._tell()
        elif len(self._unsent) >= MANY and not self._alone:
            self._start()

    def sizes(self) -> Iterator[int]:
        """The size of each blob as soon as it is found, once all have been met.

        Raises `SourceError` if the other process is killed.
        """
        if self._worker is None:
            self.places.extend(self._search.find(self._unsent))
        else:
            self._tell()
            self._hang_up()
        told = 0
        while True:
            found = self.places.sizes[told:]
            yield from found
            told += len(found)
            if not self._unanswered:
                return
            self._hear()

    def all(self) -> Places:
        """Where all blobs are, once all have been met. Raises as `sizes` does."""
        for _ in self.sizes():
            pass
        return self.places

    def _tell(self) -> None:
        """Have the other process look for what has been met since."""
        assert self._questions is not None
        while self._unanswered and self._unanswered + len(self._unsent) > self._room:
            self._hear()
        view = memoryview(b"".join(self._unsent))
        with suppress(BrokenPipeError):  # it has come to an end; to hear it tells how
            while view:
                view = view[os.write(self._questions, view) :]
        self._unanswered += len(self._unsent)
        self._unsent = []

    def _hear(self) -> None:
        """Wait for an answer of the other process."""
        assert self._worker is not None
        answer = self._worker.receive()
        if answer is None:
            worker, self._worker = self._worker, None
            how = worker.finish() or "came to an end"
            path = self._packs.repository.path
            raise SourceError(path, f"a process that reads it {how}", "pack it again")
        assert isinstance(answer, bytes)
        self._unanswered -= self.places.add_bytes(answer)

    def _start(self) -> None:
        """Start another process, which begins with what has been met."""
        from ...workers.pool import Worker, signals_held

        try:
            questions, self._questions = os.pipe()
        except OSError:  # too few descriptors left
            self._alone = True
            return
        try:
            with signals_held():
                self._worker = Worker.start(
                    lambda send: self._answer(questions, send), [self._questions]
                )
        except OSError:  # too many processes, too little memory
            self._alone = True
            self._hang_up()
            return
        finally:
            os.close(questions)
        # Half of it, for a pipe's pages need not be full.
        self._room = widened(self._worker.results) // PLACE_BYTES // 2
        widened(self._questions)
        self._unanswered = len(self._unsent)
        self._unsent = []

    def _answer(self, questions: int, send: Send) -> None:
        """The work of the other process."""
        send(self._search.find(self._unsent).to_bytes())
        size = self._packs.repository.oid_size
        with open(questions, "rb") as told:
            while oids := told.read(BATCH * size):
                met = [oids[at : at + size] for at in range(0, len(oids), size)]
                send(self._search.find(met).to_bytes())

    def _hang_up(self) -> None:
        # Forgotten first, or an interrupt between the two would have it closed twice.
        questions, self._questions = self._questions, None
        if questions is not None:
            os.close(questions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._hang_up()


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
        pread = os.pread
        missing: Sequence[int] = range(len(oids))
        for pack, descriptor, index in self._packs:
            wanted, missing = missing, []
            offsets = index.offsets([oids[number] for number in wanted])
            for number, offset in zip(wanted, offsets, strict=True):
                if offset is not None:
                    try:
                        header = pread(descriptor, _HEADER, offset)
                    except OSError:  # whether it matters is for git to say
                        header = b""
                    kind, size, length = type_and_size(header) if header else (0, 0, 0)
                    if kind == BLOB and length and size < TOO_LARGE:
                        packs[number] = pack
                        starts[number] = offset + length
                        sizes[number] = size
                        continue
                missing.append(number)
        return places


def _mapped(path: str) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
