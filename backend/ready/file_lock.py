"""A lock between processes, and between threads of one: a file, given back when its holder dies, however that happens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

try:
    import fcntl as _fcntl
except ImportError:  # not a Unix: one process then
    _fcntl = None  # type: ignore[assignment]

fcntl: ModuleType | None = _fcntl
_POLL = 0.01  # seconds


class Unlockable(Exception):  # noqa: N818 - caught where it arises
    """The file system knows no locks, or the lock could not be had."""


class FileLock:
    """To be held once; another one on the same file excludes it, in this process too. The file is made at need and stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, seconds: float) -> bool:
        """Whether the lock was had within so many seconds; 0 asks once. Raises OSError."""
        if fcntl is None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        until = time.monotonic() + seconds
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() >= until:
                        return False
                    time.sleep(_POLL)
                else:
                    self._file, file = file, -1
                    return True
        finally:
            if file >= 0:
                os.close(file)

    def release(self) -> None:
        """Give it back, if it was had."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @contextmanager
    def held(self, seconds: float = 10.0) -> Iterator[None]:
        """Held inside. Raises Unlockable where it cannot be had in so many seconds, and OSError."""
        if not self.acquire(seconds):
            raise Unlockable(f"{self._path} stays locked")
        try:
            yield
        finally:
            self.release()
