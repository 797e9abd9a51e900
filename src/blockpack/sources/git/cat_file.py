"""``git cat-file``: objects from a long-lived process, one answer a request, in order.

While a repository is open (`Lookup`), who has no more to ask of git leaves it to whoever asks next.
Such a process belongs to the process that started it. A forked process lets go of the pipes at
once, so that none reads another's answers, and git ends with the one that it works for.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import IO, TYPE_CHECKING, cast

from ...errors import BlockpackError, SourceError, reason
from ...formats.git.origin import Facts
from ...reading.lifetime import on_failure
from .program import ended, start

if TYPE_CHECKING:
    from .repository import Repository

_BUFFER = 256 << 10
_CHUNK = 1 << 20
_PIPE = 1 << 20  # the most bytes that everybody may have a pipe hold; large blobs come faster so
_AT_ONCE = 60  # requests, which fit the smallest pipe; so do their answers
_PATIENCE = 5.0  # seconds, for git to answer, or to end once it has closed its output


class CatFile:
    """One process of ``git cat-file --batch``, asked for one object at a time; or, without
    `contents`, of ``--batch-check``, which tells kinds and sizes alone.

    It is closed when it answers otherwise than it should. It can be asked for more after an object
    that it did not find, or that was too large.

    Git tells the size that an object claims to have, and then what there is, which may be less: it
    waits for the next request, and who reads for the rest. So when nothing comes for a while, it
    gets no more requests. Then it answers what it was asked, if it was only slow, and ends; whoever
    asks for more starts another one.
    """

    def __init__(self, repository: Repository, *, contents: bool = True) -> None:
        self._repository = repository
        self._contents = contents
        self._is_idle = True
        self._start()

    @classmethod
    def of(cls, repository: Repository, *, contents: bool = True) -> CatFile:
        """One that nobody uses any more, or a new one. Raises `SourceError`."""
        left = _left.get(repository.git_dir, {}).get(contents, [])
        with suppress(IndexError):
            while not (reader := left.pop()).alive:  # any thread may take another one
                pass
            return reader
        return cls(repository, contents=contents)

    def _start(self) -> None:
        repository = self._repository
        command = repository.command("cat-file", "--batch" if self._contents else "--batch-check")
        try:
            self._errors = _nameless_file()
        except OSError as error:
            rule = f"there is no room for git's output: {reason(error)}"
            raise SourceError(repository.path, rule) from None
        with on_failure(self._errors.close):
            self._process = start(command, repository.git_dir, repository.path, self._errors)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests = self._process.stdin
        _widen(self._process.stdout)
        self._answers = io.BufferedReader(_Answers(self._process.stdout, self._requests), _BUFFER)
        self._end = weakref.finalize(
            self, _end, self._process, self._requests, self._answers, self._errors
        )
        _running.add(self)

    @property
    def alive(self) -> bool:
        """Whether it can be asked for more, by this process."""
        return not self._requests.closed

    def ask(self, oid: str, path: str) -> tuple[bytes, int]:
        """The kind of the object `oid`, that of `path`, and its size in bytes, which are to be read
        next. Raises `SourceError` if it is missing, or git failed.
        """
        if not self.alive:  # it was slow once, or is another process's
            self.close()
            self._start()
        self._request([oid])
        return self._told(oid, path)

    def facts(self, asked: Mapping[bytes, str]) -> Iterator[tuple[bytes, Facts | SourceError]]:
        """The id, raw, of each object that is `asked` for, with the path for messages; its kind and
        size, or what is wrong. Is one without contents. Raises `SourceError`.
        """
        left = [*asked.items()]
        while left:
            now, left = left[:_AT_ONCE], left[_AT_ONCE:]
            self._request([oid.hex() for oid, _ in now])
            for oid, path in now:
                told: Facts | SourceError
                try:
                    told = self._told(oid.hex(), path)
                except SourceError as error:
                    if not self.alive:
                        raise
                    told = error
                yield oid, told
            self._is_idle = True

    def _request(self, oids: Sequence[str]) -> None:
        self._is_idle = False
        with suppress(OSError):  # it has ended; reading tells how
            self._requests.write("".join(f"{oid}\n" for oid in oids).encode("ascii"))

    def _told(self, oid: str, path: str) -> Facts:
        """What git tells of the object `oid`. Raises as `ask` does."""
        self._oid, self._path = oid, path
        line = self._answers.readline()
        found, _, rest = line.rstrip(b"\n").partition(b" ")
        kind, _, size = rest.partition(b" ")
        if line.endswith(b"\n") and found == oid.encode("ascii"):
            if size.isdigit():
                return kind, int(size)
            if rest == b"missing":
                self._is_idle = self._contents
                raise missing(self._repository, oid, path, self._complaints())
        raise self._failed()

    def read(self, count: int) -> bytes:
        """The next `count` bytes of the object. Raises `SourceError` if git ends before."""
        data = self._answers.read(count)
        if len(data) != count:
            raise self._failed()
        return data

    def finish(self) -> None:
        """Read what is between two objects. Raises `SourceError`."""
        if self._answers.read(1) != b"\n":
            raise self._failed()
        self._is_idle = True

    def object(self, oid: str, path: str, most: int) -> tuple[bytes, bytes]:
        """The kind and the bytes of an object. Raises `SourceError` if there are more than `most`,
        or it is missing, or git failed.
        """
        kind, size = self.ask(oid, path)
        if size > most:
            for left in range(size, 0, -_CHUNK):
                self.read(min(left, _CHUNK))
            self.finish()
            rule = f"object {oid} has {size:,} bytes, and should have {most:,} at most"
            raise SourceError(path, rule, "find out who made it, or exclude it")
        data = self.read(size)
        self.finish()
        return kind, data

    def _failed(self) -> SourceError:
        """The error for an invalid answer: how git came to its end; closes."""
        oid, path = self._oid, self._path
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            how = "git gave another answer than was asked for"
        else:
            errors = self._complaints()
            short = "it is shorter than it claims to be"
            how = ended(code, errors) if code or errors else short
            # Before 2.45 git gives up for a missing object that it is not let fetch.
            if re.search(rb"could not fetch [0-9a-f]+ from promisor remote", errors):
                self.close()
                return missing(self._repository, oid, path)
        self.close()
        return SourceError(path, f"object {oid} cannot be read: {how}", self._repository.fsck)

    def _complaints(self) -> bytes:
        """What git complained of so far, which may go on: its place in the file is left alone."""
        return os.pread(self._errors.fileno(), _CHUNK, 0)

    def report(self, error: BlockpackError, problems: list[BlockpackError]) -> None:
        """Add an error to the problems, unless git has ended with it: then it is raised."""
        if not self.alive:
            raise error
        problems.append(error)

    def close(self) -> None:
        """Leave git to whoever asks next, or end it."""
        left = _left.get(self._repository.git_dir)
        if left is not None and self._is_idle and self.alive:
            left[self._contents].append(self)
            return
        self._end()

    def forget(self) -> None:
        """Let go of the pipes in a forked process, where git is not ours."""
        if self._end.detach() is not None:
            self._process.returncode = 0  # nothing to wait for
            _close(self._requests, self._answers, self._errors)


class _Answers(io.RawIOBase):
    """What git writes to a pipe; the one for `requests` is closed if nothing comes for a while."""

    def __init__(self, pipe: IO[bytes], requests: IO[bytes]) -> None:
        super().__init__()
        self._pipe = pipe
        self._requests = requests
        self._heard = DefaultSelector()
        self._heard.register(pipe, EVENT_READ)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._heard.select(_PATIENCE):
            with suppress(OSError):
                self._requests.close()
        return os.readv(self._pipe.fileno(), [buffer])

    def close(self) -> None:
        self._heard.close()
        self._pipe.close()
        super().close()


def keep(repository: Repository) -> None:
    """Keep what nobody uses until `end` is called."""
    _left.setdefault(repository.git_dir, {True: [], False: []})


def end(repository: Repository) -> None:
    """End what nobody uses."""
    for left in _left.pop(repository.git_dir, {}).values():
        for reader in left:
            reader.close()


def missing(repository: Repository, oid: str, path: str, errors: bytes = b"") -> SourceError:
    """The error for an object that git does not find, or by its complaints cannot read."""
    complaints = errors.splitlines()
    told = [line for line in complaints if oid.encode("ascii") in line]
    told += [line for line in complaints if b"/pack/pack-" in line]  # it may have been in there
    if told:
        rule = f"object {oid} cannot be read: {ended(0, told[0])}"
        return SourceError(path, rule, repository.fsck)
    rule = f"object {oid} is not in {repository.git_dir}"
    fetch = repository.told("fetch --refetch --no-filter")
    return SourceError(path, rule, f"a partial clone? Fetch all of it: {fetch}")


def _widen(pipe: IO[bytes]) -> None:
    with suppress(ImportError, OSError):  # only Linux has it, and it may be too much for a user
        from fcntl import F_SETPIPE_SZ, fcntl

        fcntl(pipe, F_SETPIPE_SZ, _PIPE)


def _nameless_file() -> IO[bytes]:
    """A new file without a name; in memory, where the system has such."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("git"), "w+b", buffering=0)
    import tempfile

    return cast(IO[bytes], tempfile.TemporaryFile())


def _end(process: subprocess.Popen[bytes], *files: IO[bytes]) -> None:
    """End a process that only reads: there is nothing that it could leave half done."""
    _close(*files)
    process.kill()
    process.wait()


def _close(*files: IO[bytes]) -> None:
    for file in files:
        with suppress(OSError):
            file.close()


_left: dict[str, dict[bool, list[CatFile]]] = {}
"""Those that nobody uses, of repositories that are open: by their git directories, and whether they
tell contents."""

_running: weakref.WeakSet[CatFile] = weakref.WeakSet()


def _forget_all() -> None:
    for reader in list(_running):
        reader.forget()
    _running.clear()
    _left.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
