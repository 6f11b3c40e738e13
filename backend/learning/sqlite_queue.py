"""The embedded queue: a SQLite file in the data folder, for several processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import UsageError
from backend.learning.queue import MOST_PROJECTS, Check, Taken

LEASE_SECONDS = 120.0
"""What was taken comes back after so long, unless it is held again meanwhile."""
_BUSY_SECONDS = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checks (
    project INTEGER PRIMARY KEY,
    asked INTEGER NOT NULL,
    events INTEGER NOT NULL,
    since REAL NOT NULL,
    free_from REAL NOT NULL,
    ticket INTEGER NOT NULL DEFAULT 0,
    came_meanwhile INTEGER NOT NULL DEFAULT 0,
    asked_meanwhile INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0
)
"""

_PUT = """
INSERT INTO checks (project, asked, events, since, free_from) VALUES (:project, :asked, :events, :now, 0)
ON CONFLICT (project) DO UPDATE SET
    asked = CASE WHEN ticket = 0 THEN max(asked, excluded.asked) ELSE asked END,
    asked_meanwhile = CASE WHEN ticket = 0 THEN asked_meanwhile ELSE max(asked_meanwhile, excluded.asked) END,
    events = CASE WHEN ticket = 0 THEN events + excluded.events ELSE events END,
    came_meanwhile = CASE WHEN ticket = 0 THEN came_meanwhile ELSE came_meanwhile + excluded.events END
"""


class SqliteQueue:
    """See `queue.Queue`. A row is a project; `ticket` is 0 while it waits, else the number of the taking; `free_from` ends its lease.

    clock: seconds, the same for all processes. Every thread of every process keeps a connection of its own: closing the last one of a
    file writes its log back, which takes longer than all else here.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._own = threading.local()

    def put(self, check: Check) -> None:
        """As in `Queue`; a new project is not added where MOST_PROJECTS wait."""
        row = {"project": check.project, "asked": int(check.asked), "events": check.events, "now": self._clock()}
        with self._writing() as connection:
            known = connection.execute("SELECT 1 FROM checks WHERE project = ?", (check.project,)).fetchone()
            if known is None and connection.execute("SELECT count(*) FROM checks").fetchone()[0] >= MOST_PROJECTS:
                return
            connection.execute(_PUT, row)

    def take(self) -> Taken | None:
        """As in `Queue`."""
        if not self._path.exists():
            return None
        now = self._clock()
        with self._writing() as connection:
            row = connection.execute(
                "SELECT project, asked, events, ticket, tries FROM checks WHERE free_from <= ? ORDER BY since LIMIT 1", (now,)
            ).fetchone()
            if row is None:
                return None
            project, asked, events, before, tries = row
            tries += int(before != 0)  # whoever had it was killed
            ticket = int.from_bytes(os.urandom(6)) + 1
            connection.execute(
                "UPDATE checks SET ticket = ?, free_from = ?, tries = ? WHERE project = ?", (ticket, now + LEASE_SECONDS, tries, project)
            )
        return Taken(Check(project, bool(asked), events), ticket, tries)

    def hold(self, taken: Taken) -> None:
        """As in `Queue`."""
        with self._writing() as connection:
            connection.execute("UPDATE checks SET free_from = ? WHERE ticket = ?", (self._clock() + LEASE_SECONDS, taken.ticket))

    def done(self, taken: Taken) -> None:
        """As in `Queue`."""
        with self._writing() as connection:
            connection.execute("DELETE FROM checks WHERE ticket = ? AND came_meanwhile = 0", (taken.ticket,))
            connection.execute(
                "UPDATE checks SET ticket = 0, asked = asked_meanwhile, events = came_meanwhile, came_meanwhile = 0, "
                "asked_meanwhile = 0, since = ?, free_from = 0, tries = 0 WHERE ticket = ?",
                (self._clock(), taken.ticket),
            )

    def failed(self, taken: Taken, seconds: float | None) -> None:
        """As in `Queue`."""
        if seconds is None:
            self.done(taken)
            return
        with self._writing() as connection:
            connection.execute(
                "UPDATE checks SET ticket = 0, asked = max(asked, asked_meanwhile), events = events + came_meanwhile, came_meanwhile = 0, "
                "asked_meanwhile = 0, tries = tries + 1, free_from = ? WHERE ticket = ?",
                (self._clock() + seconds, taken.ticket),
            )

    def waiting(self) -> list[Check]:
        """All checks, taken or not, the oldest first."""
        if not self._path.exists():
            return []
        with self._writing() as connection:
            rows = connection.execute("SELECT project, asked, events + came_meanwhile FROM checks ORDER BY since").fetchall()
        return [Check(project, bool(asked), events) for project, asked, events in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction of its own, begun as one that writes, so that two processes never wait for each other in a ring."""
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            self._own.found = None
            raise UsageError(
                f"the queue {self._path} cannot be used ({error}); expected a file that may be written to; "
                "delete a damaged one: what waits in it is asked for again with the next annotation"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's own; another one after a fork, and where the file was deleted or replaced."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        found = getattr(self._own, "found", None)
        if found is not None and found[0] == (os.getpid(), self._inode()):
            return found[1]
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        # WAL: a writer does not wait for the disk with every commit; a power cut may lose the last events, never the file.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
        self._own.found = ((os.getpid(), self._inode()), connection)
        return connection

    def _inode(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None
