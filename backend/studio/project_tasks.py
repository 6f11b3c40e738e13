"""The tasks of a Label Studio project and the storage their pictures come from: what is there already is not made twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from label_studio_sdk import LabelStudio
from label_studio_sdk.types import ImportApiRequest

from converters.label_studio import task_id

# Of one request: Label Studio answers when all tasks of it are stored.
_BATCH_TASKS = 200
_BATCH_BYTES = 8 << 20
_PAGE = 500


def register_storage(client: LabelStudio, project: int, folder: str) -> None:
    """Makes Label Studio serve the pictures below a folder of its machine to this project.

    Only registered, never synced: syncing would make a second, bare task of each chip.
    """
    if not any(storage.path == folder for storage in client.import_storage.local.list(project=project)):
        client.import_storage.local.create(project=project, path=folder, title="chips", use_blob_urls=True, regex_filter=".*png")


def import_missing(
    client: LabelStudio, project: int, tasks: Iterable[Mapping[str, Any]], told: Callable[[int], object] = lambda count: None
) -> int:
    """Imports the tasks that the project has not, by the id that `rsiseg import` gave them or by their picture; returns their number.

    tasks: as `rsiseg import` writes them, with or without predictions; read once, a batch at a time. told: of tasks that were dealt with.
    """
    known = _known(client, project)
    imported = 0
    for batch in _batches(tasks, told, known):
        # A request that failed half way may have made its tasks; it is never repeated blindly.
        client.projects.import_tasks(project, request=batch, request_options={"max_retries": 0})
        imported += len(batch)
        told(len(batch))
    return imported


def _known(client: LabelStudio, project: int) -> set[str]:
    """Ids and pictures of the tasks in a project."""
    known: set[str] = set()
    for task in client.tasks.list(project=project, fields="task_only", page_size=_PAGE):
        data = task.data or {}
        known.add(str(data.get("image")))
        if (identity := task_id({"data": data})) is not None:
            known.add(identity)
    return known


def _batches(tasks: Iterable[Mapping[str, Any]], told: Callable[[int], object], known: set[str]) -> Iterator[list[ImportApiRequest]]:
    batch: list[ImportApiRequest] = []
    size = 0
    for task in tasks:
        if task["data"]["image"] in known or task_id(task) in known:
            told(1)
            continue
        length = len(json.dumps(task))
        if batch and (len(batch) == _BATCH_TASKS or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        # The SDK's type asks predictions for the number of a task that does not exist yet; the server does not.
        batch.append(ImportApiRequest.model_construct(**task))
        size += length
    if batch:
        yield batch
