"""A click in the middle of a task's picture, as the editor would send it: through Label Studio, and directly. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.contract import POINTS
from backend.studio.checks.asking import Reply
from backend.studio.checks.connection import Clickable, Reached
from backend.studio.checks.finding import Verdict, fail, ok, warn
from backend.studio.checks.interface import ClickPlace
from backend.studio.checks.label_studio import Project, SignedIn
from backend.studio.checks.notes import Notes
from backend.studio.checks.pictures import Found, Sampled, Shown
from backend.studio.checks.server import Open
from converters.errors import TaskError
from converters.label_studio_export import Annotation, BrushShape, Region, regions
from converters.rle import decode

PREDICT_SECONDS = 100.0  # ML_TIMEOUT_PREDICT, after which Label Studio gives a click up
_LONG = 10.0  # seconds that an annotator should not wait for a first click


@dataclass(frozen=True, slots=True)
class _Click:
    """A click on a task, as the body of a request to Label Studio."""

    task: int
    context: dict[str, Any]


def prediction(notes: Notes) -> Verdict:
    """The same click three times: through Label Studio, directly, and through Label Studio again, when the mask is known already."""
    api, backend = notes.need(SignedIn).api, notes.need(Reached).backend
    notes.need(Clickable)
    click = _click(notes)
    body = {"task": click.task, "context": click.context}
    path = f"/api/ml/{backend.id}/interactive-annotating"
    first = api.post(path, body, timeout=PREDICT_SECONDS + 5)
    told = first.json()
    if not first.ok or not isinstance(told, Mapping) or "data" not in told:
        said = told.get("errors") if isinstance(told, Mapping) and "errors" in told else first.said()
        return fail(f"Label Studio got no answer for a click on task {click.task}: {str(said)[:300]}", "see the backend's log")
    found, pixels = _mask(told["data"])
    if not pixels:
        return fail(
            f"the answer to a click in the middle of task {click.task} is empty, after {first.milliseconds}",
            f"the backend's log says why, in the line of task {click.task}",
        )
    task = api.get(f"/api/tasks/{click.task}").json()
    direct = _directly(notes, click, task)
    again = api.post(path, body, timeout=PREDICT_SECONDS + 5)
    times = f"{first.milliseconds} through Label Studio, {again.milliseconds} for the same click again"
    if direct is not None:
        times += f", {direct.milliseconds} directly"
        entries = direct.json()
        results = entries.get("results") if isinstance(entries, Mapping) else None
        same = isinstance(results, list) and len(results) == 1 and (_mask(results[0])[0] == found or _has_regions(task))
        if not direct.ok or not same:
            return fail(
                f"the backend asked directly gives another answer for task {click.task} than through Label Studio ({direct.said()})",
                "check that --backend-url is the backend that is connected, and that it is the only one",
            )
    said = f"{pixels} px of task {click.task}; {times}"
    if first.seconds > _LONG:
        return warn(said, "use a smaller model, a GPU, or smaller chips; a first click encodes the chip")
    return ok(said)


def _click(notes: Notes) -> _Click:
    """In the middle of the first task whose picture and raster were found, with the first class that has a tag for the answer."""
    place, sampled, found, shown = notes.need(ClickPlace), notes.need(Sampled), notes.need(Found), notes.known(Shown)
    task = next(task for task in sampled.tasks if task["id"] in found.images)
    size = found.images[task["id"]].display
    if shown is not None:  # the browser sends the size of the picture that it got
        size = shown.sizes.get((task["id"], str(task["data"].get(sampled.fields[0]))), size)
    value: dict[str, Any] = {"x": 50.0, "y": 50.0, "width": 0.2, place.kind: [place.label]}
    if place.kind == POINTS:
        value["labels"] = [place.label]
    else:
        value |= {"x": 40.0, "y": 40.0, "width": 20.0, "height": 20.0, "rotation": 0}
    item = {
        "id": "rsiseg-doctor",
        "type": place.kind,
        "from_name": place.tag.name,
        "to_name": place.image,
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "origin": "manual",
        "value": value,
    }
    if place.kind == POINTS:
        item["is_positive"] = True
    return _Click(task["id"], {"result": [item]})


def _has_regions(task: object) -> bool:
    """Whether a click on the task may refine a region: Label Studio sends drafts of its own choice, so two answers may differ."""
    return isinstance(task, Mapping) and any(task.get(name) for name in ("annotations", "drafts", "predictions"))


def _directly(notes: Notes, click: _Click, task: object) -> Reply | None:
    """The same request as Label Studio's; None where the backend cannot be asked from here."""
    server, project = notes.known(Open), notes.need(Project)
    if server is None or not isinstance(task, Mapping):
        return None
    params = {"login": None, "password": None, "context": click.context}
    body = {"tasks": [task], "project": project.name, "label_config": project.label_config, "params": params}
    return server.peer.post("/predict", body, timeout=PREDICT_SECONDS)


def _mask(entry: object) -> tuple[Any, int]:
    """The shapes of an entry, to be compared, and how many pixels (of a polygon: vertices) they have."""
    results = entry.get("result") if isinstance(entry, Mapping) else None
    items = tuple(item for item in results if isinstance(item, Mapping)) if isinstance(results, list) else ()
    shapes, pixels = [], 0
    for region in regions(Annotation(None, None, False, False, "", items)):
        if isinstance(region, Region):
            shapes.append(region.shape)
            pixels += _pixels(region)
    return shapes, pixels


def _pixels(region: Region) -> int:
    shape = region.shape
    if not isinstance(shape, BrushShape):
        return len(shape.points)
    try:
        return int(decode(shape.rle, shape.size).sum())
    except TaskError:
        return 0
