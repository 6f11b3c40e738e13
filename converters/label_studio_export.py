"""Label Studio's JSON export, read: tasks, annotations, and every result item as a region or with the reason why it is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converters.errors import TaskError
from converters.frames import Percent, Size
from converters.json_values import is_list_of_objects, is_number, shown


@dataclass(frozen=True, slots=True)
class BrushShape:
    """A mask as RLE (`rle.decode`), in display px of `size`, the picture that it was drawn on."""

    rle: Sequence[int]
    size: Size


@dataclass(frozen=True, slots=True)
class RingShape:
    """One ring in percent of the picture; size: of the picture that it was drawn on, None when not recorded."""

    points: tuple[Percent, ...]
    size: Size | None


@dataclass(frozen=True, slots=True)
class Region:
    """A brush or polygon of an annotation.

    labels: at least one. score: 0..1, None without one. made_by: what the backend wrote into `meta.rsiseg`, empty for one drawn by hand.
    origin: "manual", "prediction" for a pre-annotation as it came, "prediction-changed" for one that was changed by hand; "" when not said.
    """

    id: str | None
    type: str
    shape: BrushShape | RingShape
    labels: tuple[str, ...]
    score: float | None
    made_by: Mapping[str, Any]
    origin: str = ""


@dataclass(frozen=True, slots=True)
class NoRegion:
    """A result item that is no object to export, and why."""

    id: str | None
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's answer to a task.

    annotator: e-mail where the export has it, else the user's number. changed: when, as Label Studio's ISO text, "" when not said.
    results: the result items as they stand; `regions` reads them.
    """

    id: int | str | None
    annotator: int | str | None
    cancelled: bool
    ground_truth: bool
    changed: str
    results: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class AnnotatedTask:
    """A task of an export. data: its `data`, see `has_chip`. drafts, predictions: how many there are beside the annotations."""

    id: int | str | None
    data: Mapping[str, Any]
    annotations: tuple[Annotation, ...]
    drafts: int
    predictions: int


EXPECTED = 'expected Label Studio\'s JSON export, a list of tasks with "data" and "annotations"; export again and choose JSON'


def read_export(document: object) -> tuple[AnnotatedTask, ...]:
    """The tasks of Label Studio's JSON export, in its order; `task_stream.ExportFile` reads a file of any size.

    Raises TaskError for anything else, such as JSON_MIN, COCO or import files.
    """
    if not isinstance(document, list):
        raise TaskError(f"the file holds {shown(document)}; {EXPECTED}")
    return tuple(read_task(element, position) for position, element in enumerate(document))


def read_task(element: object, position: int) -> AnnotatedTask:
    """The task that is element number `position`, from 0, of an export. Raises TaskError for something else."""
    if not isinstance(element, Mapping):
        raise TaskError(f"element {position} of the file is {shown(element)}; {EXPECTED}")
    if not isinstance(element.get("data"), Mapping) or not is_list_of_objects(element.get("annotations")):
        kind = "JSON_MIN" if "annotation_id" in element else "a task without them" if "data" in element else "something else"
        raise TaskError(f"element {position} of the file is {kind} ({shown(sorted(map(str, element)))}); {EXPECTED}")
    return AnnotatedTask(
        id=_identity(element.get("id")),
        data=element["data"],
        annotations=tuple(_annotation(annotation) for annotation in element["annotations"]),
        drafts=_count(element.get("drafts")),
        predictions=_count(element.get("predictions")),
    )


def _annotation(annotation: Mapping[str, Any]) -> Annotation:
    results = annotation.get("result")
    if not is_list_of_objects(results):
        raise TaskError(
            f"the result of annotation {annotation.get('id')} is {shown(results)}; expected a list of objects; export again as JSON"
        )
    author = annotation.get("completed_by")
    if isinstance(author, Mapping):
        author = author.get("email") or author.get("id")
    return Annotation(
        id=_identity(annotation.get("id")),
        annotator=_identity(author),
        cancelled=bool(annotation.get("was_cancelled")),
        ground_truth=bool(annotation.get("ground_truth")),
        changed=str(annotation.get("updated_at") or annotation.get("created_at") or ""),
        results=tuple(results),
    )


def accepted_alone(element: object, position: int) -> dict[str, Any] | None:
    """The task that is element number `position` of an export with nothing but its data and its accepted areas, as an element again.

    Key points, boxes, drafts, predictions and cancelled annotations are left out. None where no annotation is left. TaskError as above.
    """
    task = read_task(element, position)
    annotations: list[dict[str, Any]] = []
    for annotation in task.annotations:
        if annotation.cancelled:
            continue
        areas = [item for item in annotation.results if item.get("type") in _BRUSH + _POLYGON]
        shaped = {_text_or_none(item.get("id")) for item in areas} - {None}
        named = [item for item in annotation.results if item.get("type") == "labels" and _text_or_none(item.get("id")) in shaped]
        annotations.append({"id": annotation.id, "updated_at": annotation.changed, "was_cancelled": False, "result": [*areas, *named]})
    return {"id": task.id, "data": dict(task.data), "annotations": annotations} if annotations else None


# Result types that hold an area, and those that some people take for one.
_BRUSH = ("brushlabels", "brush")
_POLYGON = ("polygonlabels", "polygon")
_PROMPTS = {
    "keypointlabels": "a key point left in the annotation is a prompt, not an object; accept the suggestion before submitting",
    "rectanglelabels": "a box left in the annotation is a prompt, not an object; accept the suggestion before submitting",
}
# What <Labels> beside a tag without labels makes: the shape under its own type, and again as "labels".
_BARE = ("brush", "polygon", "keypoint", "rectangle", "ellipse", "vector", "bitmask")
_PROMPTS |= {"keypoint": _PROMPTS["keypointlabels"], "rectangle": _PROMPTS["rectanglelabels"]}


def regions(annotation: Annotation) -> Iterator[Region | NoRegion]:
    """Every result item of an annotation, read: nothing disappears.

    Label Studio writes some regions twice under one id, and they come out once: with <Labels> beside <Brush> or <Polygon>, once for each
    tag; and an accepted mask again as a key point, when the label of the smart tag stayed selected (measured with 1.23.2).
    """
    areas = {_text_or_none(item.get("id")) for item in annotation.results if item.get("type") in _BRUSH + _POLYGON} - {None}
    labelled = {key: item for item in annotation.results if item.get("type") == "labels" and (key := _text_or_none(item.get("id")))}
    shaped = {_text_or_none(item.get("id")) for item in annotation.results if item.get("type") in _BARE}
    for item in annotation.results:
        key, bare = _text_or_none(item.get("id")), item.get("type") in _BARE
        if item.get("type") == "labels" and key in labelled and key in shaped:
            continue
        if str(item.get("type")) in _PROMPTS and key in areas:
            continue
        try:
            yield _read_region(item, labelled.get(key, item) if bare and key else item)
        except TaskError as error:
            yield NoRegion(key, str(item.get("type")), str(error))


def _read_region(item: Mapping[str, Any], labelled: Mapping[str, Any]) -> Region:
    type, value = str(item.get("type")), item.get("value")
    if type in _PROMPTS:
        raise TaskError(_PROMPTS[type])
    if type not in _BRUSH + _POLYGON:
        raise TaskError(f"a result of type {type!r} is no area; expected brushlabels or polygonlabels; draw it with one of these tags")
    if not isinstance(value, Mapping):
        raise TaskError(f"its value is {shown(value)}; expected an object; export again as JSON")
    if item.get("image_rotation") not in (None, 0):
        raise TaskError(f"it was drawn on an image rotated by {item['image_rotation']} degrees; expected 0; rotate back and draw it again")
    meta = item.get("meta")
    made_by = meta.get("rsiseg") if isinstance(meta, Mapping) else None
    return Region(
        id=_text_or_none(item.get("id")),
        type=type,
        shape=_brush_shape(item, value) if type in _BRUSH else _ring_shape(item, value),
        labels=_labels(labelled),
        score=float(item["score"]) if is_number(item.get("score")) else None,
        made_by=made_by if isinstance(made_by, Mapping) else {},
        origin=str(item.get("origin") or ""),
    )


def _brush_shape(item: Mapping[str, Any], value: Mapping[str, Any]) -> BrushShape:
    size = _display_size(item)
    if size is None:
        raise TaskError(
            "its original_width and original_height are missing; expected the size of the picture it was drawn on; export again as JSON"
        )
    if not isinstance(value.get("rle"), list):
        raise TaskError(f"its mask is {shown(value.get('rle'))}; expected Label Studio's RLE; export again as JSON")
    return BrushShape(value["rle"], size)


def _ring_shape(item: Mapping[str, Any], value: Mapping[str, Any]) -> RingShape:
    points = value.get("points")
    if not isinstance(points, list) or len(points) < 3 or not all(map(_is_pair, points)):
        raise TaskError(f"its points are {shown(points)}; expected at least three [x, y] in percent; draw it again")
    if value.get("closed") is False:
        raise TaskError("the polygon is not closed; expected a closed ring; click its first point to close it, and submit again")
    return RingShape(tuple(Percent(float(x), float(y)) for x, y in points), _display_size(item))


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _display_size(item: Mapping[str, Any]) -> Size | None:
    width, height = item.get("original_width"), item.get("original_height")
    if not (is_number(width) and is_number(height) and min(width, height) >= 1):
        return None
    return Size(int(width), int(height))


def _labels(item: Mapping[str, Any]) -> tuple[str, ...]:
    value = item.get("value")
    labels = value.get(str(item.get("type"))) if isinstance(value, Mapping) else None
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise TaskError(f"its label is {shown(labels)}; expected a class; give the region a label and submit again")
    return tuple(labels)


def _identity(value: object) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else 0
