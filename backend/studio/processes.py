"""Servers started beside this process: their log, waiting until they answer, and stopping them with everything they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import requests

from backend.errors import UsageError

_LAST_LINES = 12


class ChildProcess:
    """A server in a session of its own: Ctrl-C in the terminal reaches only us, and we stop it in order.

    name: what a message calls it. log: file that takes all it prints, begun anew at each start.
    """

    def __init__(self, name: str, command: Sequence[str], *, environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            self._process = subprocess.Popen(
                command,
                env=without_proxy_here(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, and the id of the group of everything it starts."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether it stopped by itself."""
        return self._process.poll() is not None

    def wait_until_answers(self, url: str, *, seconds: float, waiting: Callable[[float], None]) -> float:
        """Seconds until GET `url` gave a 2xx. `waiting` is called with the seconds so far, some four times a second.

        Raises UsageError with the log's last lines when it ends before that, or does not answer within `seconds`.
        """
        begin = time.monotonic()
        while (elapsed := time.monotonic() - begin) < seconds:
            if self.has_ended():
                raise UsageError(self.last_words(f"ended with status {self._process.returncode} before it answered at {url}"))
            if _answers(url):
                return elapsed
            waiting(elapsed)
            time.sleep(0.25)
        raise UsageError(self.last_words(f"did not answer at {url} within {seconds:.0f} s"))

    def last_words(self, what: str) -> str:
        """A sentence that names the log and shows its end."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        shown = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return f"{self.name} {what}; the log is {self.log}, its last lines:\n{shown}"

    def stop(self, *, grace: float = 10.0) -> None:
        """Asks the whole group to end, and kills what is left of it after `grace` seconds. Does nothing for one that has gone."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        # The leader may be gone and a worker of it not.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
            return


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=2, allow_redirects=False).ok
        except requests.RequestException:
            return False


def without_proxy_here(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables, with this machine added to what is not fetched through a proxy: the servers talk to each other directly."""
    hosts = [environ.get("NO_PROXY") or environ.get("no_proxy"), "127.0.0.1", "localhost"]
    direct = ",".join(host for host in hosts if host)
    return {**environ, "NO_PROXY": direct, "no_proxy": direct}


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(port: int, *, option: str, what: str, host: str = "127.0.0.1") -> None:
    """Raises UsageError when something else listens. Label Studio itself would silently take the next port, and all addresses be wrong."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"port {port} for {what} cannot be used ({error.strerror}); stop what listens on it, or choose another port with {option}"
            ) from None
