"""What one check says: how it stands, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from converters.errors import RSISegError

Status = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """status: "warn" is for what works, but less well than it could. found: one sentence. todo: the next step, or empty."""

    status: Status
    found: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: the verdict of the check called `name`."""

    name: str
    verdict: Verdict


def ok(found: str) -> Verdict:
    """As it should be."""
    return Verdict("ok", found)


def warn(found: str, todo: str) -> Verdict:
    """Works, but less than it could."""
    return Verdict("warn", found, todo)


def fail(found: str, todo: str) -> Verdict:
    """Clicks get no answer, or a wrong one, until something is done."""
    return Verdict("fail", found, todo)


def skipped(why: str) -> Verdict:
    """There was nothing to look at."""
    return Verdict("skipped", why)


def failure(error: RSISegError) -> Verdict:
    """The verdict of an error, whose sentence ends with what to do behind its last semicolon."""
    found, mark, todo = str(error).rpartition("; ")
    return fail(found, todo) if mark else fail(str(error), "")


def listed(items: list[str], most: int = 3) -> str:
    """A few of them, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
