"""What was used last, up to a bound: the one cache of what takes its time to be had again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """An LRU cache: values by their keys, of which those that were not used for the longest are
    forgotten. They weigh at most `most` together, but one is always kept. `weigh` tells what one
    weighs, by default 1. Any number of threads may use it.
    """

    def __init__(self, most: int, weigh: Callable[[Value], int] = lambda value: 1) -> None:
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value, if it is kept."""
        if key not in self._values:
            return None
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            return found

    def keep(self, key: Key, value: Value) -> list[Value]:
        """Keep a value, unless its key has one; those that are forgotten for it."""
        forgotten = []
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._weight += self._weigh(value)
            self._values.move_to_end(key)
            while self._weight > self._most and len(self._values) > 1:
                _, oldest = self._values.popitem(last=False)
                self._weight -= self._weigh(oldest)
                forgotten.append(oldest)
        return forgotten

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def values(self) -> list[Value]:
        """All that are kept, the oldest first."""
        return list(self._values.values())
