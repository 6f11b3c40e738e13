"""The JSON of /predict: requests to prompts, masks to answers. Measured against Label Studio 1.23.2.

The keys of requests and answers stand here, those of regions and tasks in `converters/label_studio.py`, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from backend.errors import ContractError
from converters.frames import Box, Click, Percent, Size, percent_to_native
from converters.label_config import ControlTag, LabelConfig

POINTS = "keypointlabels"
BOX = "rectanglelabels"
# JSON's whole numbers have no limit, arithmetic has; nothing that is meant is larger.
_FAR = 10**12
TARGET_TYPES = {"brush": "BrushLabels", "polygon": "PolygonLabels"}


@dataclass(frozen=True, slots=True)
class PredictBody:
    """What the body of /predict says. context: None for a batch or an opened task; {"result": [...]} for a click."""

    tasks: tuple[Any, ...]
    project: str
    label_config: str
    context: Any

    @property
    def interactive(self) -> bool:
        """Whether someone waits for a mask: such a request is always answered with one entry a task."""
        return self.context is not None


def read_body(body: object) -> PredictBody:
    """The body of POST /predict. Raises ContractError when it is none; what is inside the tasks and the context is judged later."""
    if not isinstance(body, Mapping) or not isinstance(body.get("tasks"), list):
        raise ContractError('the body is not that of /predict; expected a JSON object with "tasks", "project", "label_config" and "params"')
    params = body.get("params")
    return PredictBody(
        tasks=tuple(body["tasks"]),
        project=str(body.get("project") or ""),
        label_config=_text(body.get("label_config")),
        context=params.get("context") if isinstance(params, Mapping) else None,
    )


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """A click in percent of the displayed image; positive adds."""

    at: Percent
    positive: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request asks: all points of its group, in click order, or a rectangle, and where the answer goes.

    label: of the prompt, copied to the answer. tags: the smart tag of the last point, then the switches that were on with it.
    image: name of the Image tag. display: the size of the picture in the browser; None when the request does not say.
    box: two opposite corners of the rectangle that was drawn, upright, in percent; there are no points then.
    """

    points: tuple[PromptPoint, ...]
    label: str
    tags: tuple[ControlTag, ...]
    image: str
    display: Size | None
    box: tuple[Percent, Percent] | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """The `model_*` attributes of all `tags`; a switch says more than what was before it, and a blank says nothing.

        `model` is read as `model_name`: Label Studio takes every `name="..."` in a config for the name of a tag, inside model_name="..."
        too, and refuses a config that has one twice.
        """
        found = [(name, text) for tag in self.tags for name, text in tag.attributes.items() if text]
        return {"model_name" if name == "model" else name: text for name, text in found if name == "model" or name.startswith("model_")}


def read_prompt(context: object, config: LabelConfig) -> Prompt | None:
    """The prompt of a click; None when there is nothing to answer: no context, or no points left in it.

    Label Studio groups prompts by type and label, so the last point speaks for all: its `from_name` decides which smart tag answers.
    A point that was made with labels of several tags chosen is sent once for each of them, under one id: it is one click. Then the last of
    the tags whose label is a class (a label of a brush or polygon tag) answers, with the attributes of the tags whose label is none.
    Raises ContractError for a context that is none, and for a prompt that cannot be understood.
    """
    if context is None:
        return None
    if not isinstance(context, Mapping) or not isinstance(context.get("result", []), list):
        raise ContractError('the context of the click is not an object with a list "result"; expected what Label Studio 1.23 sends')
    items = _without_echoes([_mapping(item) for item in context.get("result", [])])
    if not items:
        return None
    last = items[-1]
    kind = last.get("type")
    if kind not in (POINTS, BOX):
        raise ContractError(
            f'the prompt is of type {_shown(kind)}; expected KeyPointLabels or RectangleLabels; set smart="false" on other tags'
        )
    if last.get("image_rotation") not in (None, 0):
        raise ContractError(
            f"the image is rotated by {_shown(last['image_rotation'])} degrees in the editor; rotate it back to 0 and click again"
        )
    display = _display_size(last)
    group = [item for item in items if item.get("type") == kind]
    points = _points(group) if kind == POINTS else ()
    box = _upright_box(last, display) if kind == BOX else None
    label, tags = _class_and_tags([item for item in group if item is last or _same_id(item, last)], kind, config)
    return Prompt(points, label, tags, str(last.get("to_name") or tags[0].to_name), display, box)


def _without_echoes(items: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A point that was made while the label of a brush was chosen too, as after a click that selected a mask, comes again as a brush."""
    prompts = [item for item in items if item.get("type") in (POINTS, BOX)]
    return [item for item in items if item in prompts or not any(_same_id(item, prompt) for prompt in prompts)]


def checked_task(task: object) -> Mapping[str, Any]:
    """The task as an object. Raises ContractError when it is none."""
    if not isinstance(task, Mapping):
        raise ContractError('the request holds no task; expected one object in "tasks"; open the task again')
    return task


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ContractError(f"an item of the click's context is a {type(value).__name__}; expected a JSON object")
    return value


def _shown(value: object) -> str:
    """A value of the request fit for a log: not endless."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(item: Mapping[str, Any], name: str) -> float:
    value = _mapping(item.get("value")).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _FAR:  # NaN is not
        raise ContractError(f"the prompt's {name} is {_shown(value)}; expected a number in percent of the image")
    return float(value)


def _point(item: Mapping[str, Any]) -> PromptPoint:
    """`is_positive` is false only for Alt-clicks; a point without it is a positive one. Percent outside 0..100 is clamped later."""
    return PromptPoint(Percent(_number(item, "x"), _number(item, "y")), positive=item.get("is_positive") is not False)


def _points(items: Sequence[Mapping[str, Any]]) -> tuple[PromptPoint, ...]:
    """Each point once, in the order of the clicks. Two clicks on one spot have two ids."""
    read = [(item.get("id"), number, _point(item)) for number, item in enumerate(items)]
    return tuple({(number if name is None else str(name), point): point for name, number, point in read}.values())


def _same_id(item: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return item.get("id") is not None and item.get("id") == other.get("id")


def _class_and_tags(items: Sequence[Mapping[str, Any]], kind: str, config: LabelConfig) -> tuple[str, tuple[ControlTag, ...]]:
    """The class that the last point is of; the tag that said so, then those that say more. items: of the last point, one for each tag."""
    classes = {label for tag in config.controls if tag.type in TARGET_TYPES.values() for label in tag.labels}
    said = [(_label(item, kind), _smart_tag(item, config)) for item in items]
    label, tag = next((one for one in reversed(said) if one[0] in classes), said[-1])
    return label, (tag, *(other for text, other in said if text not in classes and other is not tag))


def _upright_box(item: Mapping[str, Any], display: Size | None) -> tuple[Percent, Percent]:
    """Upper-left and lower-right corner of the upright rectangle round the drawn one, which may be turned.

    x, y is the corner that it was rotated about, clockwise in display px; rotation in degrees.
    """
    x, y, width, height = (_number(item, name) for name in ("x", "y", "width", "height"))
    angle = math.radians(_number(item, "rotation") if "rotation" in item["value"] else 0.0)
    aspect = display.width / display.height if display else 1.0
    corners = [(across, down) for across in (0.0, width) for down in (0.0, height)]
    xs = [x + across * math.cos(angle) - down * math.sin(angle) / aspect for across, down in corners]
    ys = [y + across * math.sin(angle) * aspect + down * math.cos(angle) for across, down in corners]
    return Percent(min(xs), min(ys)), Percent(max(xs), max(ys))


def _display_size(item: Mapping[str, Any]) -> Size | None:
    width, height = item.get("original_width"), item.get("original_height")
    if width is None and height is None:
        return None
    if not _is_side(width) or not _is_side(height):
        raise ContractError(
            f"the displayed image is {_shown(width)} x {_shown(height)} px; expected two whole numbers above 0; reload the task"
        )
    return Size(width, height)


def _is_side(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _FAR


def _label(item: Mapping[str, Any], kind: str) -> str:
    value = _mapping(item.get("value"))
    labels = value.get(kind) or value.get("labels")
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise ContractError(f"the prompt's labels are {_shown(labels)}; expected exactly one; choose a label before the click")
    return labels[0]


def _smart_tag(item: Mapping[str, Any], config: LabelConfig) -> ControlTag:
    name = item.get("from_name")
    tag = next((tag for tag in config.controls if tag.name == name), None)
    if tag is None:
        known = ", ".join(tag.name for tag in config.controls) or "none"
        raise ContractError(f"the prompt comes from the tag {_shown(name)}; the label config has {known}; reload the page")
    return tag


def target_tag(config: LabelConfig, prompt: Prompt, output: str | None) -> ControlTag:
    """The tag that the answer belongs to: on the same Image, with the prompt's label; brush before polygon unless `output` says which.

    Raises ContractError when there is none, naming where the label was looked for.
    """
    wanted = [TARGET_TYPES[output]] if output else list(TARGET_TYPES.values())
    on_image = [tag for tag in config.controls if tag.type in wanted and prompt.image in tag.to_name.split(",")]
    for kind in wanted:
        for tag in on_image:
            if tag.type == kind and prompt.label in tag.labels:
                return tag
    looked_at = ", ".join(tag.name for tag in on_image) or "no such tag"
    raise ContractError(
        f"the label {_shown(prompt.label)} is in no {' or '.join(wanted)} of the image {_shown(prompt.image)} ({looked_at}); "
        "add a Label of that value to one of them in the label config"
    )


def shape_of(tag: ControlTag) -> str:
    """ "brush" or "polygon", of a `target_tag`."""
    return next(shape for shape, kind in TARGET_TYPES.items() if kind == tag.type)


def image_field(config: LabelConfig, prompt: Prompt) -> str:
    """The key of the task's data that the prompt's Image tag shows. Raises ContractError when the config has no such tag."""
    for tag in config.objects:
        if tag.name == prompt.image:
            return tag.attributes["value"].removeprefix("$")
    raise ContractError(f"the prompt is on the image {_shown(prompt.image)}, which the label config does not have; reload the page")


def native_clicks(prompt: Prompt, native: Size, display: Size) -> tuple[Click, ...]:
    """The prompt's points as clicks in native px of the window; none when it is a box.

    native: of the window. display: of the picture as it was recorded. Raises as `native_box`.
    """
    _check_display(prompt, display)
    places = [(percent_to_native(point.at, native), point.positive) for point in prompt.points]
    return tuple(Click(row=at.row, col=at.col, positive=positive) for at, positive in places)


def native_box(prompt: Prompt, native: Size, display: Size) -> Box | None:
    """The prompt's rectangle in native px of the window, clamped to it; None when it is points. Arguments as of `native_clicks`.

    Raises ContractError when the browser shows another size: a mask of the wrong size would be drawn garbled, silently.
    """
    _check_display(prompt, display)
    if prompt.box is None:
        return None
    first, last = (percent_to_native(corner, native) for corner in prompt.box)
    return Box(row_min=first.row, row_max=last.row, col_min=first.col, col_max=last.col)


def _check_display(prompt: Prompt, display: Size) -> None:
    if prompt.display is not None and prompt.display != display:
        raise ContractError(
            f"Label Studio shows a picture of {prompt.display}, recorded were {display}; "
            "the picture was replaced after the import; import the raster again with `rsiseg import`"
        )


def entry(regions: Sequence[Mapping[str, Any]], *, score: float, model_version: str) -> dict[str, Any]:
    """The answer for one task: `regions` may be empty, which Label Studio takes for "nothing found"."""
    return {"result": list(regions), "score": score, "model_version": model_version}


def body(entries: Sequence[Mapping[str, Any]], *, model_version: str) -> dict[str, Any]:
    """The body of the answer. No entries: nothing to propose; Label Studio logs that and stores nothing."""
    return {"results": list(entries), "model_version": model_version}
