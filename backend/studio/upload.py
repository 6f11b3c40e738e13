"""The tasks of an import into a project of a running Label Studio."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.errors import UsageError
from backend.studio.project import made_id, refusal
from backend.studio.project_tasks import import_missing, register_storage
from converters.importing.task_file import read_lines
from converters.label_config import parse
from converters.label_studio_access import LabelStudioAccess

_TITLE_LIMIT = 50  # of Label Studio
_SECONDS = 300.0  # for one request: a batch with pre-annotations is stored before it is answered


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """project: id of a project, or the title of one, which is created where there is none. label_config: the XML of a created one.

    tasks: the task file of `rsiseg import`. storage: folder of the pictures on Label Studio's machine, below its folder of local files;
    None where they are served from elsewhere.
    """

    project: str
    label_config: str
    tasks: Path
    storage: str | None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """url: of the project's tasks. created: whether the project was made now. imported, known: tasks that were new, or there already."""

    project: int
    url: str
    created: bool
    imported: int
    known: int


def upload(access: LabelStudioAccess, plan: UploadPlan, told: Callable[[int], object] = lambda count: None) -> Uploaded:
    """Brings tasks, project and storage to Label Studio; repeating it changes nothing. told: of tasks that were dealt with.

    Raises UsageError when Label Studio refuses or does not answer, and for a title that several projects have.
    """
    if not access.token:
        raise UsageError(
            f"no token for Label Studio at {access.origin}; expected one in LABEL_STUDIO_API_KEY; copy it from Account & Settings there"
        )
    total = 0

    def tasks() -> Iterator[dict[str, Any]]:
        nonlocal total
        for line in read_lines(plan.tasks):
            total += 1
            yield json.loads(line)

    # Proxies are for other machines; a login in ~/.netrc would replace the token here.
    with httpx.Client(timeout=_SECONDS, trust_env=not access.origin.loopback) as http, _explained(access):
        client = LabelStudio(base_url=access.base, api_key=access.token, httpx_client=http)
        project, created = _find_or_create(client, plan)
        if plan.storage is not None:
            register_storage(client, project, plan.storage)
        imported = import_missing(client, project, tasks(), told)
    return Uploaded(project, f"{access.base}/projects/{project}/data", created, imported, total - imported)


def _find_or_create(client: LabelStudio, plan: UploadPlan) -> tuple[int, bool]:
    if plan.project.isdigit():
        return made_id(client.projects.get(int(plan.project))), False
    if not 3 <= len(plan.project) <= _TITLE_LIMIT:
        raise UsageError(
            f"the project title {plan.project!r} has {len(plan.project)} characters; expected 3 to {_TITLE_LIMIT}; choose another --project"
        )
    found = [made_id(known) for known in client.projects.list(title=plan.project) if known.title == plan.project]
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} projects are called {plan.project!r} ({', '.join(map(str, found))}); expected one; give its number to --project"
        )
    if found:
        return found[0], False
    parse(plan.label_config)
    return made_id(client.projects.create(title=plan.project, label_config=plan.label_config)), True


@contextmanager
def _explained(access: LabelStudioAccess) -> Iterator[None]:
    """Label Studio's refusals as UsageError. What was imported before stays; the next run goes on after it."""
    try:
        yield
    except ApiError as error:
        if error.status_code in (401, 403):
            raise UsageError(
                f"Label Studio at {access.origin} refuses the token or what it may do (status {error.status_code}); expected one of a user "
                "who may change the project; copy it from Account & Settings there into LABEL_STUDIO_API_KEY"
            ) from None
        raise UsageError(refusal(error.status_code, error.body)) from None
    except httpx.HTTPError as error:
        raise UsageError(
            f"Label Studio at {access.origin} does not answer ({type(error).__name__}); expected it to run; check its address and run the "
            "same command again: tasks that are there are not uploaded twice"
        ) from None
