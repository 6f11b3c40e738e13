"""A project's tasks from the server into files, page by page: what an earlier, interrupted or finished run fetched is not fetched again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from backend.errors import UsageError
from backend.studio.api import Api, MissingError, PassingError
from converters.errors import TaskError
from converters.label_studio_export import AnnotatedTask, read_task
from converters.task_stream import ExportFile, elements

LISTED = 1000  # tasks in one request for numbers alone
PAGE = 32  # numbers of tasks that one file covers
_ROUNDS = 5  # that a project may change while it is listed or downloaded


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks of one file. tasks: number and time of the last change of each, sorted; the file's name says both, so it is never stale."""

    project: int
    tasks: tuple[tuple[int, str], ...]

    @property
    def name(self) -> str:
        """Of its file."""
        digest = hashlib.sha256(json.dumps(self.tasks).encode()).hexdigest()
        return f"{_prefix(self.project)}{self.tasks[0][0]}-{digest[:32]}.json"


@dataclass(frozen=True, slots=True)
class DownloadedProject:
    """All tasks of a project in files of Label Studio's JSON export; each call is a fresh pass over them, by number."""

    files: tuple[Path, ...]

    def __call__(self) -> Iterator[AnnotatedTask]:
        """A pass; raises TaskError as `ExportFile` does."""
        for file in self.files:
            yield from ExportFile(file)()


def label_config(api: Api, project: int) -> str:
    """The project's labelling interface (XML). Raises UsageError when there is no such project."""
    return str(api.json(f"/api/projects/{project}").get("label_config") or "")


def download(api: Api, project: int, folder: Path, told: Callable[[int, int], object] = lambda done, total: None) -> DownloadedProject:
    """Fetches what `folder` does not have as it now stands on the server; files of tasks that changed or went are removed.

    A file appears when all of it is there, so an interruption at any moment leaves a folder to go on from.
    told: of tasks that are there, and all. Raises UsageError when the server refuses or stops answering, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(_ROUNDS):
            pages = _pages(project, _listed(api, project))
            if _fetch(api, pages, folder, told):
                break
        else:
            raise UsageError(
                f"project {project} lost tasks at each of {_ROUNDS} tries to download it; expected it at rest; try again later"
            )
        kept = {page.name for page in pages}
        for file in folder.glob(f"{_prefix(project)}*"):
            if file.name not in kept:
                file.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"the tasks of project {project} cannot be kept in {folder} ({error.strerror or error}); expected a folder that you may write, "
            "with room for the project's JSON export; make room, or choose another"
        ) from error
    return DownloadedProject(tuple(folder / page.name for page in pages))


def _prefix(project: int) -> str:
    return f"project-{project}-from-"


def _listed(api: Api, project: int) -> list[tuple[int, str]]:
    """Number and time of the last change of every task, sorted. Listed anew when the project changes meanwhile."""
    for _ in range(_ROUNDS):
        found: dict[int, str] = {}
        answer = _task_list(api, project, 1)
        total, page = answer["total"], 1
        while answer["tasks"] and answer["total"] == total:
            found |= {task["id"]: str(task.get("updated_at")) for task in answer["tasks"]}
            if len(found) >= total:
                break
            page += 1
            try:
                answer = _task_list(api, project, page)
            except MissingError:  # so many tasks were deleted meanwhile
                break
        if len(found) == total:
            return sorted(found.items())
    raise UsageError(f"project {project} changed at each of {_ROUNDS} tries to list its tasks; expected it at rest; try again later")


def _task_list(api: Api, project: int, page: int) -> dict[str, Any]:
    """One page of the list: `tasks` with `id` and `updated_at`, and `total`."""
    fields = (("fields", "task_only"), ("include", "id,updated_at"), ("resolve_uri", "false"))
    answer = api.json("/api/tasks", (("project", project), *fields, ("page_size", LISTED), ("page", page)))
    tasks = answer.get("tasks") if isinstance(answer, dict) else None
    if (
        not isinstance(tasks, list)
        or not isinstance(answer.get("total"), int)
        or not all(isinstance(task.get("id"), int) for task in tasks)
    ):
        raise UsageError(
            f"Label Studio at {api.access.origin} answered something else than a list of tasks; expected Label Studio 1.10 or later; "
            "check the address"
        )
    return answer


def _pages(project: int, listed: Sequence[tuple[int, str]]) -> list[Page]:
    """By ranges of numbers, so that a task that comes or goes changes one page only."""
    return [Page(project, tuple(tasks)) for _, tasks in groupby(listed, key=lambda task: task[0] // PAGE)]


def _fetch(api: Api, pages: Sequence[Page], folder: Path, told: Callable[[int, int], object]) -> bool:
    """Whether every page is in the folder now; not so when tasks were gone that had been listed."""
    total, done = sum(len(page.tasks) for page in pages), 0
    for page in pages:
        if not (folder / page.name).exists() and not api.patiently(lambda page=page: _fetched(api, page, folder)):
            return False
        done += len(page.tasks)
        told(done, total)
    return True


def _fetched(api: Api, page: Page, folder: Path) -> bool:
    """Whether the page's file was made, in one step; not so when the server does not have all of its tasks."""
    ids = [number for number, _ in page.tasks]
    options = (("exportType", "JSON"), ("download_all_tasks", "true"), ("download_resources", "false"))
    partial = folder / f"{page.name}.{os.getpid()}.partial"
    try:
        with partial.open("wb") as file:
            api.save(f"/api/projects/{page.project}/export", (*options, *(("ids[]", number) for number in ids)), file.write)
            file.flush()
            os.fsync(file.fileno())
        if sorted(_ids(partial)) != ids:
            return False
        partial.replace(folder / page.name)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _ids(path: Path) -> Iterator[int]:
    """The numbers of the tasks in a file that was just downloaded. Raises PassingError when it is damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for position, element in enumerate(elements(file)):
                number = read_task(element, position).id
                if isinstance(number, int):
                    yield number
    except (TaskError, ValueError) as error:
        raise PassingError(f"it sent a damaged export: {str(error)[:200]}") from None
