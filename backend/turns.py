"""Of several threads that are to make the same thing, one makes it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """A lock for each key, made when it is needed. Safe to share between threads."""

    def __init__(self) -> None:
        self._taken: set[K] = set()
        self._changed = Condition()

    @contextmanager
    def turn(self, key: K) -> Iterator[None]:
        """Waits until nobody else has the turn."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._taken)
            self._taken.add(key)
        try:
            yield
        finally:
            self._give_back(key)

    @contextmanager
    def try_turn(self, key: K) -> Iterator[bool]:
        """Whether the turn could be had at once."""
        with self._changed:
            free = key not in self._taken
            if free:
                self._taken.add(key)
        try:
            yield free
        finally:
            if free:
                self._give_back(key)

    def _give_back(self, key: K) -> None:
        with self._changed:
            self._taken.discard(key)
            self._changed.notify_all()
