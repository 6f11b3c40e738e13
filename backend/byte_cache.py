"""A least-recently-used cache that is capped by bytes, not by entries: one orthophoto window can weigh as much as a thousand chips."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Keeps values up to `capacity` bytes and forgets the one that was not asked for longest. Safe to share between threads.

    Values must not be changed after they were put: every reader gets the same object.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._nbytes = 0
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """The value under `key`, now the most recently used one; None when it is not, or no longer, there."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, nbytes: int) -> None:
        """Keep `value`, which costs `nbytes`. A value that alone exceeds the capacity is not kept, and displaces nothing."""
        with self._lock:
            self._drop(key)
            if nbytes > self.capacity:
                return
            self._entries[key] = (value, nbytes)
            self._nbytes += nbytes
            while self._nbytes > self.capacity:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes kept now; never more than `capacity`."""
        return self._nbytes

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._nbytes -= entry[1]
