"""What the checks of one examination know, and what one of them learns for those that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from backend.settings import ServerSettings
from backend.studio.checks.finding import Verdict

Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be examined.

    settings: as `rsiseg serve` would be started here, with the folders that exist. missing: folders that were named and do not.
    backend_url: the backend's address as this machine reaches it. project: a number; None: the only project. tasks: how many to look at.
    """

    settings: ServerSettings
    backend_url: str
    missing: tuple[Path, ...] = ()
    project: int | None = None
    tasks: int = 5


class UnknownError(Exception):
    """A check needs a fact that no earlier one learned. kind: the fact's type."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind.__name__)
        self.kind = kind


class Notes:
    """Facts by their type, one of each."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._facts: dict[type, object] = {}

    def learn(self, fact: object) -> None:
        """Keeps a fact for the checks that follow."""
        self._facts[type(fact)] = fact

    def known(self, kind: type[Fact]) -> Fact | None:
        """The fact of that type, None when nobody learned it."""
        found = self._facts.get(kind)
        return found if isinstance(found, kind) else None

    def need(self, kind: type[Fact]) -> Fact:
        """The fact of that type. Raises UnknownError, for which the check is skipped."""
        found = self.known(kind)
        if found is None:
            raise UnknownError(kind)
        return found


@dataclass(frozen=True, slots=True)
class Check:
    """name: of its line. run: looks, and tells the notes. gives: the types of the facts that it may learn."""

    name: str
    run: Callable[[Notes], Verdict]
    gives: tuple[type, ...] = ()
