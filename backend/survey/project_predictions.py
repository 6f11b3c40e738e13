"""A project's tasks and their predictions, through Label Studio's API: what is there, and what is added, never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.errors import UsageError
from backend.studio.api import Api
from backend.studio.project import refusal
from converters.label_studio_access import LabelStudioAccess

PAGE = 100
_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ProjectTasks:
    """name: of the project as /predict has it, "3.1795327615". label_config: its XML. waiting: tasks without a prediction of the version.

    known: how many have one.
    """

    name: str
    label_config: str
    waiting: tuple[Mapping[str, Any], ...]
    known: int


def project_of(api: Api, project: int) -> tuple[str, str]:
    """The name of a project as Label Studio gives it to a backend, and its labelling interface. Raises UsageError."""
    said = api.json(f"/api/projects/{project}")
    try:
        made = int(datetime.fromisoformat(str(said["created_at"]).replace("Z", "+00:00")).timestamp())
        return f"{project}.{made}", str(said["label_config"] or "")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the project {project} is described otherwise than expected ({error!r}); use Label Studio 1.23") from None


def tasks_of(api: Api, project: int, version: str, told: Callable[[int, int], object] = lambda done, total: None) -> ProjectTasks:
    """All tasks of a project, and which of them have a prediction of this `version`. told: of tasks listed, and all."""
    name, config = project_of(api, project)
    waiting: list[Mapping[str, Any]] = []
    known = page = listed = 0
    while True:
        page += 1
        params = [("project", project), ("page", page), ("page_size", PAGE), ("include", "id,data,predictions_model_versions")]
        answer = api.json("/api/tasks", [*params, ("fields", "all")])
        try:
            tasks, total = answer["tasks"], int(answer["total"])
            for task in tasks:
                if version in _versions(task):
                    known += 1
                else:
                    waiting.append({"id": task["id"], "data": task["data"], "project": project})
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"the tasks of project {project} are listed otherwise than expected ({error!r}); use Label Studio 1.23"
            ) from None
        listed += len(tasks)
        told(listed, total)
        if not tasks or listed >= total:
            return ProjectTasks(name, config, tuple(waiting), known)


def _versions(task: Mapping[str, Any]) -> set[str]:
    found = task.get("predictions_model_versions")
    return set(found.split(",")) if isinstance(found, str) else {str(one) for one in found or ()}


class Uploads:
    """Predictions into a project, a batch at a time. Used as a context manager."""

    def __init__(self, access: LabelStudioAccess, project: int) -> None:
        self._access, self._project = access, project

    @contextmanager
    def opened(self) -> Iterator[Uploads]:
        """Connected; Label Studio's refusals are UsageErrors."""
        # Proxies are for other machines; a login in ~/.netrc would replace the token here.
        with httpx.Client(timeout=_SECONDS, trust_env=not self._access.origin.loopback) as http:
            self._client = LabelStudio(base_url=self._access.base, api_key=self._access.token, httpx_client=http)
            try:
                yield self
            except ApiError as error:
                raise UsageError(refusal(error.status_code, error.body)) from None
            except httpx.HTTPError as error:
                raise UsageError(
                    f"Label Studio at {self._access.origin} does not answer ({type(error).__name__}); expected it to run; run the same "
                    "command again: it goes on where it stopped"
                ) from None

    def add(self, predictions: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """(task, entry) of each: all of them are stored when this returns."""
        from label_studio_sdk.types import PredictionRequest  # noqa: PLC0415 - a large module

        request = [
            PredictionRequest(task=task, result=list(entry["result"]), score=entry["score"], model_version=entry["model_version"])
            for task, entry in predictions
        ]
        # A request that failed half way may have stored some: it is never repeated blindly, the next run asks what is there.
        self._client.projects.import_predictions(self._project, request=request, request_options={"max_retries": 0})
