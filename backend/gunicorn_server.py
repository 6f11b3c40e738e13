"""gunicorn, started from Python: worker processes that each make their own app, so that no model is loaded before they are born."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn.app.base import BaseApplication

from backend.errors import UsageError
from backend.settings import ServerSettings
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

# A worker is killed when it has not answered its parent for so long; a thread that computes does not count, only a process that hangs.
_HANGS_AFTER = 120


class Server(BaseApplication):
    """Serves `make_app()` of every worker on a socket that is bound already; `run` returns when the server was told to stop."""

    def __init__(self, settings: ServerSettings, listening: socket.socket, make_app: Callable[[], Any]) -> None:
        self._server_settings = settings
        self._listening = listening
        self._make_app = make_app
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings. No preloading: a forked CUDA context is broken, and a worker that loads late starts at once."""
        chosen = {
            "bind": f"fd://{self._listening.fileno()}",
            "workers": self._server_settings.workers,
            "threads": self._server_settings.threads,
            "worker_class": "gthread",
            "preload_app": False,
            "timeout": _HANGS_AFTER,
            "graceful_timeout": 30,
            "control_socket_disable": True,
            "proc_name": "rsiseg",
            "child_exit": _forget_worker,
        }
        for name, value in chosen.items():
            if name in self.cfg.settings:  # the control socket came with gunicorn 25
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The app of this worker; called in the worker."""
        return self._make_app()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises UsageError when that is not possible, a port already taken above all."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise UsageError(
            f"the host {host!r} is not known here ({error.strerror}); expected 127.0.0.1, 0.0.0.0 or a name of this machine"
        ) from None
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is already taken; stop the program that listens there, or choose another with --port"
            ) from None
        raise UsageError(f"port {port} of {host} cannot be used ({error.strerror}); choose another with --host and --port") from None
    return listening


@contextmanager
def shared_metrics(settings: ServerSettings) -> Iterator[None]:
    """A folder through which several workers add up their counters; to be entered before anything imports prometheus_client.

    Removed when the server has stopped: by the process that made it, since forked workers leave through the same lines.
    """
    if settings.workers == 1:
        yield
        return
    folder = tempfile.mkdtemp(prefix="rsiseg-metrics-")
    owner = os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


def warm(load: Callable[[], object]) -> None:
    """Load a model in the background of a worker: the first click then waits less, and /health does not wait at all."""

    def run() -> None:
        try:
            load()
        except RSISegError as error:
            logger.error("the model cannot be loaded: %s", error)

    threading.Thread(target=run, name="rsiseg-warm", daemon=True).start()


def _forget_worker(_arbiter: Any, worker: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess  # noqa: PLC0415 - only after `shared_metrics`

        multiprocess.mark_process_dead(worker.pid)
