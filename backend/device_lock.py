"""The lock of a device: whoever waits for an answer gets it before whoever works ahead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class DeviceLock:
    """One forward pass at a time on a device, clicks first. Used as `threading.Lock` is (`with lock:`) where somebody waits for the answer.

    name: of the device, "cpu" or "cuda:0", on which what is read from disk is put.
    """

    def __init__(self, name: str = "cpu") -> None:
        self.name = name
        self._changed = Condition()
        self._held = False
        self._expected = 0

    def __enter__(self) -> None:
        with self.expecting(), self._changed:
            self._changed.wait_for(lambda: not self._held)
            self._held = True

    def __exit__(self, *_: object) -> None:
        self._release()

    @property
    def wanted(self) -> bool:
        """Whether somebody who waits for an answer needs the device now or in a moment."""
        return self._expected > 0

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Somebody waits for an answer and will need the device, once pixels are read for instance: nobody who works ahead gets it."""
        with self._changed:
            self._expected += 1
        try:
            yield
        finally:
            with self._changed:
                self._expected -= 1
                self._changed.notify_all()

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """The device for work that nobody waits for: as soon as it is free and not wanted. To be held for one piece of work at a time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held and not self._expected)
            self._held = True
        try:
            yield
        finally:
            self._release()

    def _release(self) -> None:
        with self._changed:
            self._held = False
            self._changed.notify_all()
