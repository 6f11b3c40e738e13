"""What was accepted in a project, fetched from Label Studio: a set that training reads. Events only say when."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import UsageError
from backend.settings import ServerSettings
from backend.studio.api import Api
from backend.studio.project_download import download
from converters.errors import TaskError
from converters.exporting.chosen import latest_annotation
from converters.label_studio_access import LabelStudioAccess
from converters.label_studio_export import Region, accepted_alone, read_task, regions
from converters.task_stream import elements
from converters.whole_file import replacing

EXPORT = "export.json"
_PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Collected:
    """export: Label Studio's JSON with accepted areas alone. regions: their identities. images: tasks that have some."""

    export: Path
    regions: frozenset[str]
    images: int


def api_of(settings: ServerSettings) -> Api:
    """Label Studio as the settings name it. Raises UsageError where they do not."""
    if settings.label_studio_url is None:
        raise UsageError(
            "annotations are fetched from Label Studio, whose address is not known; expected it in LABEL_STUDIO_URL, and a token in "
            "LABEL_STUDIO_API_KEY; set both for the worker"
        )
    return Api(LabelStudioAccess(settings.label_studio_url, settings.api_key or ""))


def collect(api: Api, project: int, folder: Path, told: Callable[[int, int], object] = lambda done, total: None) -> Collected:
    """Fetches what changed since the last time, and writes `folder`/export.json anew, whole or not at all.

    Key points, boxes, drafts, predictions and cancelled annotations stay behind. told: of tasks that are there, and all.
    Raises UsageError where Label Studio refuses or stops answering, or the folder cannot be written.
    """
    pages = download(api, project, folder / _PAGES, told)
    identities = set[str]()
    images, first = 0, True
    try:
        with replacing(folder / EXPORT) as aside, aside.open("w", encoding="utf-8") as out:
            out.write("[")
            for file in pages.files:
                with file.open(encoding="utf-8", newline="") as page:
                    for position, element in enumerate(elements(page)):
                        kept = accepted_alone(element, position)
                        if kept is None:
                            continue
                        found = _identities(kept, position)
                        images += bool(found)
                        identities |= found
                        out.write(("" if first else ",\n") + json.dumps(kept))
                        first = False
            out.write("]\n")
    except (OSError, ValueError, TaskError) as error:
        raise UsageError(
            f"the annotations of project {project} cannot be kept in {folder} ({error}); expected room there and whole files; delete "
            f"{folder / _PAGES} and try again"
        ) from error
    return Collected(folder / EXPORT, frozenset(identities), images)


def _identities(element: object, position: int) -> set[str]:
    """Of the regions of a task's latest annotation."""
    task = read_task(element, position)
    annotation = latest_annotation(task)
    if annotation is None:
        return set()
    found = [one for one in regions(annotation) if isinstance(one, Region)]
    return {f"{task.id}:{one.id or number}" for number, one in enumerate(found)}
