"""A long computation that nobody waits for breaks off when somebody does: a large encoder looks up between two of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted: ContextVar[Callable[[], bool] | None] = ContextVar("wanted", default=None)


class GaveWay(Exception):  # noqa: N818 - nothing went wrong
    """The computation broke off; what it had done is lost."""


@contextmanager
def giving_way(wanted: Callable[[], bool]) -> Iterator[None]:
    """What this thread computes inside raises GaveWay at the next opportunity after `wanted` became true."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def opportunity(*_: object) -> None:
    """A place at which to break off; arguments, such as those of a module's forward hook, do not matter."""
    wanted = _wanted.get()
    if wanted is not None and wanted():
        raise GaveWay
