"""Encodings in files that all workers of a server share, at most so many bytes of them.

A file is named by a hash of everything that its encoding depends on to the last bit: the pixels (file, size, time, window, bands, stretch,
nodata), the segmenter's version (weights, settings, precision), the device and the release of torch. It begins with a digest of its
content, which is checked whenever it is read, so a damaged file is a miss. Nothing is ever changed in place.

A cache may lose anything at any time. What goes wrong with the disk costs an encoding, never a click, and is logged once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version as installed_version
from pathlib import Path
from queue import Full, Queue
from typing import Any

from backend.encoding_store import EncodingKey
from backend.ready import kept
from backend.ready.file_lock import FileLock, Unlockable
from converters.whole_file import write_whole

logger = logging.getLogger(__name__)

SUFFIX = ".encoding"
_DIGEST = hashlib.sha256().digest_size
# Encodings that wait to be written, at most: each is megabytes of memory.
_WAITING = 8
# How long a click waits for an encoding that another process makes; after that it makes its own.
PATIENCE = 60.0


def _forgotten(outcome: str) -> None:
    """Counts nothing."""


class DiskCache:
    """An `EncodingStore` in a folder. Safe to share between threads and processes.

    capacity: bytes that the files may take together; the one that was not read for longest goes first.
    count: told "hit", "miss", "written" or "damaged", whenever one is.
    """

    def __init__(self, folder: Path, capacity: int, *, count: Callable[[str], None] = _forgotten, patience: float = PATIENCE) -> None:
        self._folder = folder
        self._locks = folder / "locks"
        self._capacity = capacity
        self._count = count
        self._patience = patience
        self._waiting: Queue[tuple[EncodingKey, Any, Callable[[], object]]] = Queue(_WAITING)
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()
        self._complained: set[str] = set()

    def get(self, key: EncodingKey, *, again: bool = False) -> Any:
        """The encoding, or None. What is damaged is removed. again: not counted as a miss a second time."""
        text = identity(key)
        path = self._path(text)
        try:
            content = path.read_bytes()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._complain("read", f"encodings on disk cannot be read ({error}); they are computed again; check {self._folder}")
            if not again:
                self._count("miss")
            return None
        try:
            encoding = kept.unpacked(_checked(content), key=text, device=key.device)
        except ValueError as error:
            logger.warning("the encoding %s on disk is damaged: %s; it is removed and computed again", path.name, error)
            self._count("damaged")
            self._count("miss")
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        self._count("hit")
        return encoding

    def put(self, key: EncodingKey, encoding: Any) -> None:
        """Keep it now; a file that is there already stays. A disk that is full or read-only is named once, and nothing is kept."""
        text = identity(key)
        path = self._path(text)
        try:
            if path.exists():
                return
            content = kept.packed(encoding, key=text)
            if content is None or len(content) + _DIGEST > self._capacity:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            self._locks.mkdir(exist_ok=True)
            with FileLock(self._locks / "room").held():
                self._make_room(len(content) + _DIGEST)
                write_whole(path, hashlib.sha256(content).digest() + content)
            self._count("written")
        except (OSError, Unlockable) as error:
            self._cannot_keep(error)

    def put_later(self, key: EncodingKey, encoding: Any, then: Callable[[], object]) -> None:
        """Keep it in the background, then call `then`; forgotten where too much waits already."""
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="rsiseg-disk-cache", daemon=True)
                self._writer.start()
        try:
            self._waiting.put_nowait((key, encoding, then))
        except Full:
            then()

    def flush(self) -> None:
        """Wait until what was given to `put_later` is on disk."""
        self._waiting.join()

    @contextmanager
    def turn(self, key: EncodingKey) -> Iterator[bool]:
        """Waits while another process makes this encoding, at most `patience` seconds. Yields whether the turn was had."""
        with self._lock_of(key, self._patience) as had:
            yield had

    @contextmanager
    def try_turn(self, key: EncodingKey) -> Iterator[bool]:
        """Whether no other process makes this encoding."""
        with self._lock_of(key, 0) as had:
            yield had

    @property
    def nbytes(self) -> int:
        """Bytes that the files of all workers take now."""
        return sum(size for _, size, _ in self._files())

    @contextmanager
    def _lock_of(self, key: EncodingKey, seconds: float) -> Iterator[bool]:
        """One of 256 files to lock: two encodings that share one wait for each other, which is rare and does no harm."""
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._locks / hashlib.sha256(identity(key).encode()).hexdigest()[:2])
            held = lock.acquire(seconds)
        except (OSError, Unlockable) as error:
            self._cannot_keep(error)
            yield True
            return
        try:
            yield held
        finally:
            lock.release()

    def _write(self) -> None:
        while True:
            key, encoding, then = self._waiting.get()
            try:
                self.put(key, encoding)
            except Exception:  # a bug of ours must not end the thread
                logger.exception("an encoding could not be kept on disk: a bug in this server, please report it")
            finally:
                then()
                del encoding, then
                self._waiting.task_done()

    def _make_room(self, wanted: int) -> None:
        """Remove what was not read for longest until `wanted` bytes fit. The folder is locked: parts of files are leftovers."""
        for leftover in self._folder.glob(f".*{SUFFIX}.*.part"):
            with suppress(OSError):
                leftover.unlink()
        files = sorted(self._files())
        excess = sum(size for _, size, _ in files) + wanted - self._capacity
        for _, size, path in files:
            if excess <= 0:
                return
            with suppress(FileNotFoundError):
                path.unlink()
            excess -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """(time of last use in ns, bytes, path) of each file."""
        found: list[tuple[int, int, Path]] = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(OSError):  # removed by another worker meanwhile
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        return found

    def _path(self, text: str) -> Path:
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}{SUFFIX}"

    def _cannot_keep(self, error: Exception) -> None:
        self._complain("write", f"encodings cannot be kept on disk ({error}); clicks go on without them; free or open {self._folder}")

    def _complain(self, about: str, text: str) -> None:
        if about not in self._complained:
            self._complained.add(about)
            logger.warning("%s", text)


def identity(key: EncodingKey) -> str:
    """All that an encoding depends on, as text that is the same in every process."""
    return json.dumps({**asdict(key), "torch": _torch_version()}, sort_keys=True)


def _torch_version() -> str:
    try:
        return installed_version("torch")
    except ModuleNotFoundError:
        return "none"


def _checked(content: bytes) -> bytes:
    """What follows the digest. Raises ValueError where it does not agree with it."""
    digest, rest = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(rest).digest() != digest:
        raise ValueError("its content does not agree with its digest")
    return rest
