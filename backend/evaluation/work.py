"""What the engine of the benchmark carries out: visits, in this process, in several, or in Dask actors. The benchmark is one such work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

VisitT_contra = TypeVar("VisitT_contra", bound="Visit", contravariant=True)
GroupT_co = TypeVar("GroupT_co", covariant=True)


class Visit(Protocol):
    """What a worker takes at a time; a dataclass with these fields, fit to be sent to another process."""

    @property
    def groups(self) -> tuple[Any, ...]:
        """What is computed, reported and resumed as a whole each."""
        ...

    @property
    def what(self) -> str:
        """What it is about, for messages."""
        ...


class Worker(Protocol[VisitT_contra, GroupT_co]):
    """Lives in one process, with a model and data at hand."""

    def carry_out(self, visit: VisitT_contra) -> Iterator[GroupT_co]:
        """The results of a visit, group by group as they come."""
        ...


class Work(Protocol[VisitT_contra, GroupT_co]):
    """What every visit depends on: a frozen dataclass, fit to be sent to another process."""

    @property
    def device(self) -> str:
        """For networks; a worker that was started for another one replaces it."""
        ...

    def worker(self) -> Worker[VisitT_contra, GroupT_co]:
        """Whoever carries visits out in this process."""
        ...
