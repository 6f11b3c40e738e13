"""`rsiseg worker` beside a server: started with it, started again when it ends by itself, ended with it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from backend.settings import ServerSettings

logger = logging.getLogger(__name__)

RESTART_SECONDS = 10.0
_GRACE_SECONDS = 30.0


@contextmanager
def worker_beside(settings: ServerSettings, *, command: Sequence[str] = (), pause: float = RESTART_SECONDS) -> Iterator[None]:
    """A worker for the server's data folder while the block runs. What it prints goes where the server's words go.

    command: another program instead, for tests. At the end it is asked to stop, which keeps what it has learned so far.
    """
    words = list(command) or [sys.executable, "-m", "backend.cli", "worker"]
    ended = threading.Event()
    first = _start(words, settings)
    running = [first]
    supervisor = threading.Thread(target=_watch, args=(words, settings, running, ended, pause), name="rsiseg-worker", daemon=True)
    supervisor.start()
    owner = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == owner:  # forked workers of the server leave through the same lines
            ended.set()
            supervisor.join(_GRACE_SECONDS)
            _stop(running[-1])


def _watch(
    words: Sequence[str], settings: ServerSettings, running: list[subprocess.Popen[bytes]], ended: threading.Event, pause: float
) -> None:
    """Starts it again. Its exit status says nothing: the server's own parent process may have collected it."""
    while not ended.wait(0.5):
        if running[-1].poll() is None:
            continue
        logger.warning("the worker that learns has ended; it starts again in %.0f s", pause)
        if ended.wait(pause):
            return
        running.append(_start(words, settings))


def _start(words: Sequence[str], settings: ServerSettings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, env=worker_environ(settings), stdin=subprocess.DEVNULL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def worker_environ(settings: ServerSettings) -> dict[str, str]:
    """The environment of a worker that shares the server's settings, as the table in settings.py names them."""
    chosen = {
        "RSISEG_DATA_DIR": str(settings.data_dir),
        "RSISEG_MODEL": settings.model,
        "RSISEG_DEVICE": settings.device,
        "RSISEG_ROOT": os.pathsep.join(map(str, settings.roots)),
        "RSISEG_DOCUMENT_ROOT": None if settings.document_root is None else str(settings.document_root),
        "RSISEG_LABEL_STUDIO_URL": settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": settings.api_key,
    }
    return {**os.environ, **{name: value for name, value in chosen.items() if value}}
