"""Reading a pack from its beginning to its end: what it holds, without an index.

Only by inflating an object is it known where the next one begins, and only by hashing it what its
id is. A delta may stand before its base, if that is named by its id; then it waits.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ...errors import ImageError
from .objects import begin_id, object_id
from .pack import HEADER, KINDS
from .store import Header, Inflating, PackStore


@frozen
class PackedObject:
    """An object as it was found: in the pack's bytes `offset` to `end`."""

    oid: bytes
    kind: int
    offset: int
    end: int


def objects(store: PackStore, count: int, object_format: str) -> Iterator[PackedObject]:
    """The `count` objects of a pack, in its order but for deltas that had to wait.

    `store.offsets` gets to know each of them. Raises `ImageError`.
    """
    waiting: dict[int | bytes, list[tuple[Header, int]]] = {}  # by what they wait for
    unresolved: set[int] = set()
    at = HEADER.size
    for _ in range(count):
        header = store.header(at)
        inflating = Inflating(store, header)
        oid = _id(inflating, object_format) if header.kind in KINDS else None
        if oid is None:
            for _ in inflating:
                pass
        begin, at = at, inflating.end
        base = header.base
        if oid is not None:
            yield _noted(store, PackedObject(oid, header.kind, begin, at))
        elif base is not None and (
            base in unresolved if isinstance(base, int) else base not in store.offsets
        ):
            waiting.setdefault(base, []).append((header, at))
            unresolved.add(begin)
        else:
            yield _noted(store, _resolved(store, header, at, object_format))
    ready: list[int | bytes] = [base for base in waiting if base in store.offsets]
    while ready:
        for header, end in waiting.pop(ready.pop(), ()):
            found = _noted(store, _resolved(store, header, end, object_format))
            yield found
            ready += [base for base in (found.oid, found.offset) if base in waiting]
    if waiting:
        raise ImageError("there are deltas whose base is not in the pack; damaged")


def _id(inflating: Inflating, object_format: str) -> bytes:
    """The id of an object that is no delta, whatever its size."""
    header = inflating.header
    digest = begin_id(KINDS[header.kind], header.size, object_format)
    for piece in inflating:
        digest.update(piece)
    raw: bytes = digest.digest()
    return raw


def _resolved(store: PackStore, header: Header, end: int, object_format: str) -> PackedObject:
    kind, data = store.resolved(header)
    assert data is not None
    return PackedObject(object_id(KINDS[kind], data, object_format), kind, header.offset, end)


def _noted(store: PackStore, found: PackedObject) -> PackedObject:
    store.offsets[found.oid] = found.offset
    return found
