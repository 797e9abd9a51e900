"""Reading a pack from its beginning to its end: what it holds, without an index.

Only by inflating an object is it known where the next one begins, and only by hashing it what its
id is. A delta may stand before its base, if that is named by its id; then it waits.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ...errors import ImageError
from ..reader import Report
from .objects import begin_id, object_id
from .pack_format import HEADER, KINDS
from .store import Inflating, ObjectHeader, PackStore


@frozen
class PackedObject:
    """An object as it was found: in the pack's bytes `offset` to `end`."""

    oid: bytes
    kind: int
    offset: int
    end: int


def objects(store: PackStore, count: int, report: Report) -> Iterator[PackedObject]:
    """The `count` objects of a pack, in its order but for deltas that had to wait; `store.offsets`
    gets to know them. What is damaged is reported, and so is all that follows if nothing tells its
    end.
    """
    waiting: dict[int | bytes, list[tuple[ObjectHeader, int]]] = {}  # by what they wait for
    unresolved: set[int] = set()
    at = HEADER.size
    for _ in range(count):
        begin = at
        try:
            header = store.header(begin)
            inflating = Inflating(store, header)
            oid = _id(inflating, store.object_format)
            at = inflating.end
        except ImageError as error:
            _tell(report, error)
            end = store.end_of_damaged(begin)
            if end is None:
                break
            at = end
            unresolved.add(begin)
            continue
        base = header.base
        if oid is not None:
            yield _noted(store, PackedObject(oid, header.kind, begin, at))
        elif base is not None and (
            base in unresolved if isinstance(base, int) else base not in store.offsets
        ):
            waiting.setdefault(base, []).append((header, at))
            unresolved.add(begin)
        elif found := _resolved(store, header, at, report):
            yield found
        else:
            unresolved.add(begin)
    ready: list[int | bytes] = [base for base in waiting if base in store.offsets]
    while ready:
        for header, end in waiting.pop(ready.pop(), ()):
            if found := _resolved(store, header, end, report):
                yield found
                ready += [base for base in (found.oid, found.offset) if base in waiting]
    if waiting:
        report(ImageError("", "there are deltas whose base is not in the pack"))


def _id(inflating: Inflating, object_format: str) -> bytes | None:
    """The id of an object, whatever its size; None for a delta, which is read all the same."""
    header = inflating.header
    if header.kind not in KINDS:
        for _ in inflating:
            pass
        return None
    digest = begin_id(header.kind, header.size, object_format)
    for piece in inflating:
        digest.update(piece)
    raw: bytes = digest.digest()
    return raw


def _resolved(
    store: PackStore, header: ObjectHeader, end: int, report: Report
) -> PackedObject | None:
    """The delta whose base is known; None if it is damaged."""
    try:
        kind, data = store.resolved(header)
    except ImageError as error:
        _tell(report, error)
        return None
    assert data is not None
    oid = object_id(kind, data, store.object_format)
    return _noted(store, PackedObject(oid, kind, header.offset, end))


def _tell(report: Report, error: ImageError) -> None:
    """Report an error without what led to it, which holds on to all the bytes that were read."""
    report(ImageError(error.path, error.rule, error.remedy))


def _noted(store: PackStore, found: PackedObject) -> PackedObject:
    store.offsets[found.oid] = found.offset
    return found
