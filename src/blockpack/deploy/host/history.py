"""The history of a root, ``activations.jsonl``: a line a switch, and a line for what came of it.

Rule 1: a line is on the disk before what it tells of is done. So whatever is interrupted, and
whenever, the next run knows what may have happened.
Rule 2: which generations passed, which failed and why, what was rolled back from, and whether the
host has still to be told of a switch all follow from the lines, and are noted nowhere else.
Rule 3: room for the next lines is set aside, so that a full disk keeps nobody from going back.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

from attrs import evolve, field, frozen

from ...reading.lifetime import held
from ...writing.place import Place

HISTORY = "activations.jsonl"

Why = Literal["deploy", "rollback", "undone"]
"""Why there was a switch."""

_ROOM = 16 << 10
"""Bytes that are set aside for lines to come; each takes some 200."""

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE (fallocate(2))


@frozen
class Pending:
    """A switch that the host has not been told of to the end, and what was live before it."""

    generation: int
    before: int | None


@frozen
class Outcomes:
    """What follows from a history; generations are numbers.

    Those that `failed` have the reason with them. A rollback passes over all newer ones, until they
    are switched to again. `held` are the commits that were rolled back from, until another one was
    deployed.
    """

    passed: frozenset[int] = frozenset()
    failed: Mapping[int, str] = field(factory=dict)
    passed_over: frozenset[int] = frozenset()
    held: frozenset[object] = frozenset()
    pending: Pending | None = None

    def with_outcome(self, number: int, failure: str | None = None) -> Outcomes:
        """These, and that a generation passed, or why it failed."""
        failed = {each: reason for each, reason in self.failed.items() if each != number}
        if failure is None:
            return evolve(self, passed=self.passed | {number}, failed=failed)
        return evolve(self, passed=self.passed - {number}, failed={**failed, number: failure})


def outcomes(events: Iterable[Mapping[str, Any]], numbers: frozenset[int]) -> Outcomes:
    """What follows from `events`, of the generations `numbers`: those that are there."""
    now = before_switch = Outcomes()
    for event in events:
        number, before = _number(event, "generation"), _number(event, "before")
        why = event.get("why")
        if "outcome" in event:
            if now.pending is not None and now.pending.generation == number:
                now = evolve(now, pending=None)
            if number in numbers:
                is_passed = event["outcome"] == "passed"
                failure = None if is_passed else str(event.get("reason") or "failed")
                now = now.with_outcome(number, failure)
        elif why == "undone":
            # As it was before; of what it is undone from, it is known why.
            now, reason = before_switch, event.get("reason")
            if isinstance(reason, str) and before in numbers:
                now = now.with_outcome(before, reason)
            is_told = number is None or not event.get("command")
            now = evolve(now, pending=None if is_told else Pending(number or 0, number))
        else:
            before_switch = now
            now = _switched(now, event, number, before, numbers)
    return now


def _switched(
    now: Outcomes,
    event: Mapping[str, Any],
    number: int | None,
    before: int | None,
    numbers: frozenset[int],
) -> Outcomes:
    held: frozenset[object] = frozenset()
    over = now.passed_over - {number}
    if event.get("why") == "rollback":
        held = now.held - {event.get("commit")} | {event.get("commit_before")}
        over |= {each for each in numbers if (number or 0) < each <= (before or 0)}
    pending = None
    if event.get("command"):
        pending = Pending(number or 0, before)
    elif number in numbers:  # there is no command that could fail
        now = now.with_outcome(number)
    return evolve(now, held=held, passed_over=over, pending=pending)


def _number(event: Mapping[str, Any], key: str) -> int | None:
    value = event.get(key)
    return value if type(value) is int else None


# Reading and writing -----------------------------------------------------------------------------


def read(root: Place) -> Iterator[dict[str, Any]]:
    """Every line of the history in `root`; what a crash has torn is passed over. Raises `OSError`,
    and `TargetError` if the file is another user's.
    """
    try:
        descriptor = root.open_file(HISTORY)
    except FileNotFoundError:
        return
    with open(descriptor, "rb") as file:
        for line in file:
            with suppress(ValueError, RecursionError):
                values = json.loads(line)
                if isinstance(values, dict) and not any(
                    isinstance(value, dict | list) for value in values.values()
                ):
                    yield values


def append(root: Place, values: Mapping[str, Any]) -> None:
    """Add a line to the history in `root`; it is on the disk then. Raises as `read` does."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"time": now, **values}).encode("ascii") + b"\n"
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with held(root.open_file(HISTORY, flags, 0o644)) as descriptor:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a crash tore the last line
            line = b"\n" + line
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):  # what it tells of is not done
                os.ftruncate(descriptor, size)
            raise
        _set_aside(descriptor)
    if not size:
        root.flush()


def _set_aside(descriptor: int) -> None:
    """Give a file room to grow, as far as the file system can do that."""
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        library = ctypes.CDLL(None)
        allocate = getattr(library, "fallocate64", None) or library.fallocate
        end = ctypes.c_longlong(os.fstat(descriptor).st_size)
        allocate(descriptor, _KEEP_SIZE, end, ctypes.c_longlong(_ROOM))
