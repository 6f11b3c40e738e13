"""Which tasks Label Studio will ask for one by one, since their batch did not fit in its time: shared by all processes of a server."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from converters.whole_file import write_whole

logger = logging.getLogger(__name__)

LASTS = 6 * 3600.0
"""Seconds after which a batch that was to be asked for one by one has ended in any case."""
_MOST = 100_000


class BatchNotes:
    """A file a project below the data folder. now: seconds since 1970."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder / "proposals"
        self._now = now

    def put(self, project: str, tasks: Sequence[object]) -> None:
        """These will come again, each alone. A folder that cannot be written to is logged: then they are taken for opened tasks."""
        numbers = [task for task in tasks if isinstance(task, int)][:_MOST]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(project), json.dumps({"at": self._now(), "tasks": numbers}))
        except OSError as error:
            logger.error("the tasks of a batch of project %s cannot be noted (%s); free the data folder", project, error)

    def expected(self, project: str, task: object) -> bool:
        """Whether a task that comes alone belongs to a batch."""
        try:
            kept = json.loads(self._path(project).read_text(encoding="utf-8"))
            return self._now() - float(kept["at"]) < LASTS and task in kept["tasks"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _path(self, project: str) -> Path:
        name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in project)[:64] or "none"
        return self._folder / f"batch-{name}.json"
