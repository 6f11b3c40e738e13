"""The queue between the server, which may only wait for milliseconds, and the worker, which trains for hours."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

MOST_PROJECTS = 10_000
"""Checks that may wait, one a project: event webhooks are not authenticated, and whoever sends them must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Check:
    """A wish that somebody looks whether a project has enough to learn from.

    asked: START_TRAINING was among the events: learn whatever the number of new objects. events: how many events it stands for.
    """

    project: int
    asked: bool = False
    events: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """A check in the hands of a worker. ticket: the queue's own mark. tries: how often it was taken before and not finished."""

    check: Check
    ticket: int
    tries: int = 0


class Queue(Protocol):
    """Checks that wait: one a project, however many events there were. Used by several processes at once.

    What was taken comes back when whoever took it neither finishes nor holds it for a while: its process was killed.
    """

    def put(self, check: Check) -> None:
        """Adds a check, or adds it to the one that waits for the same project. Takes milliseconds."""
        ...

    def take(self) -> Taken | None:
        """The check that waits longest, None where none waits."""
        ...

    def hold(self, taken: Taken) -> None:
        """Still at work: keeps others from taking it for another while."""
        ...

    def done(self, taken: Taken) -> None:
        """Finished; events that came meanwhile make it wait again."""
        ...

    def failed(self, taken: Taken, seconds: float | None) -> None:
        """Not finished: waits again after so many seconds; None gives it up."""
        ...


def queue_of(data_dir: Path, environ: Mapping[str, str] = os.environ) -> Queue:
    """The queue of a data folder: in Redis where REDIS_URL names one, else in a file of that folder."""
    address = environ.get("REDIS_URL")
    if address:
        from backend.learning.rq_queue import RqQueue  # noqa: PLC0415 - redis and rq take a third of a second to import

        return RqQueue(address)
    from backend.learning.sqlite_queue import SqliteQueue  # noqa: PLC0415 - it imports this file

    return SqliteQueue(queue_file(data_dir))


def queue_file(data_dir: Path) -> Path:
    """Where the embedded queue of a data folder lies."""
    return data_dir / "learning" / "queue.sqlite"
