"""The server's side of the queue: an answer to Label Studio never waits for a disk or for Redis."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Lock

from backend.learning.queue import Accepts, Check
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.02
"""What an answer waits at most for its check to be kept; where that takes longer, it is kept behind the answer's back."""
_MOST_WAITING = 1000


class Inbox:
    """Puts checks into the queue, in a thread of its own that is there from the first one on. Never raises for a queue that fails."""

    def __init__(self, queue: Accepts) -> None:
        self._queue = queue
        self._lock = Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._waiting = 0

    def put(self, check: Check) -> None:
        """Keeps a check. What cannot be kept is logged: the project's next event asks for the same."""
        with self._lock:
            if self._waiting >= _MOST_WAITING:
                return
            self._waiting += 1
            # Made now and not with the runtime: gunicorn forks after that.
            self._writer = self._writer or ThreadPoolExecutor(1, thread_name_prefix="rsiseg-inbox")
            kept: Future[None] = self._writer.submit(self._keep, check)
        try:
            kept.result(WAIT_SECONDS)
        except NotYet:
            return

    def _keep(self, check: Check) -> None:
        try:
            self._queue.put(check)
        except RSISegError as error:
            logger.error("an event of project %d is lost: %s", check.project, error)
        finally:
            with self._lock:
                self._waiting -= 1
