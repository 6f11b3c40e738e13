"""The queue between the server, which may only wait for milliseconds, and the worker, which trains for hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Accepts(Protocol):
    """Where the server leaves checks: one a project waits, however many events there were. Used by several processes at once."""

    def put(self, check: Check) -> None:
        """Adds a check, or adds it to the one that waits for the same project. Takes milliseconds. Raises UsageError."""
        ...


class Queue(Accepts, Protocol):
    """Where a worker takes checks from.

    What was taken comes back when whoever took it neither finishes nor holds it for a while: its process was killed.
    """

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
