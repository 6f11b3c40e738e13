"""The labelling interface: what can be clicked asks the backend, what it answers has a tag to go to, and nothing else asks."""

from __future__ import annotations

from dataclasses import dataclass

from backend.contract import BOX, POINTS, TARGET_TYPES, Prompt, target_tag
from backend.errors import ContractError
from backend.project_store import read_extra_params
from backend.studio.checks.connection import Backend
from backend.studio.checks.finding import Verdict, fail, listed, ok, warn
from backend.studio.checks.label_studio import Project
from backend.studio.checks.notes import Notes
from backend.tag_settings import PredictionSettings, prediction_settings
from converters.errors import RSISegError
from converters.label_config import ControlTag, LabelConfig, parse

_PROMPTS = {"KeyPointLabels": POINTS, "RectangleLabels": BOX}
# Tags of an Image for which the editor has a smart tool unless they say smart="false".
_SMART = (*_PROMPTS, *TARGET_TYPES.values(), "EllipseLabels", "KeyPoint", "Rectangle", "Ellipse", "Brush", "Polygon")


@dataclass(frozen=True, slots=True)
class Interface:
    """The project's labelling interface, read."""

    config: LabelConfig


@dataclass(frozen=True, slots=True)
class Prompts:
    """asking: smart tags of key points and rectangles with classes, key points first. switches: those whose labels are no classes."""

    asking: tuple[ControlTag, ...]
    switches: tuple[ControlTag, ...]

    @property
    def tags(self) -> tuple[ControlTag, ...]:
        """All of them."""
        return self.asking + self.switches


@dataclass(frozen=True, slots=True)
class TagSettings:
    """How clicks of each smart tag with classes are answered, by the tag's name; and with each switch on, by the switch's."""

    by_tag: dict[str, PredictionSettings]


@dataclass(frozen=True, slots=True)
class ClickPlace:
    """Where a click can be made that has an answer. kind: of the result, "keypointlabels" or "rectanglelabels"."""

    tag: ControlTag
    kind: str
    label: str
    image: str


def label_config(notes: Notes) -> Verdict:
    """It is XML, and shows a picture."""
    try:
        config = parse(notes.need(Project).label_config)
    except RSISegError as error:
        return fail(str(error).split("; ", 1)[0], "choose one of label_config/ under Settings, Labeling Interface, Code")
    images = [tag.name for tag in config.objects if tag.type == "Image"]
    if not images:
        return fail("no Image tag shows a picture of the task", 'add <Image name="image" value="$image"/>')
    notes.learn(Interface(config))
    return ok(f"{len(config.controls)} control tags on {', '.join(images)}")


def smart_tag(notes: Notes) -> Verdict:
    """Something to click with: a smart KeyPointLabels or RectangleLabels that has classes."""
    config = notes.need(Interface).config
    classes = {label for tag in config.controls if tag.type in TARGET_TYPES.values() for label in tag.labels}
    smart = sorted(
        (tag for tag in config.controls if tag.type in _PROMPTS and _is_smart(tag)), key=lambda tag: tag.type != "KeyPointLabels"
    )
    asking = tuple(tag for tag in smart if classes & set(tag.labels))
    if not smart:
        off = [f"{tag.type} {tag.name!r}" for tag in config.controls if tag.type in _PROMPTS]
        return fail(
            f'no smart tag: {", ".join(off)} is smart="false"'
            if off
            else "no smart tag: there is neither KeyPointLabels nor RectangleLabels",
            'add KeyPointLabels with smart="true" and the classes, as in label_config/aerial.xml',
        )
    if not asking:
        return fail(
            f"the labels of {', '.join(tag.name for tag in smart)} are no labels of a BrushLabels or PolygonLabels tag",
            "give a smart tag the classes of the brush or polygon tag, in the same spelling",
        )
    switches = tuple(tag for tag in smart if tag not in asking)
    notes.learn(Prompts(asking, switches))
    also = f"; switches: {', '.join(tag.name for tag in switches)}" if switches else ""
    return ok(f"{', '.join(f'{tag.type} {tag.name!r}' for tag in asking)}{also}")


def _is_smart(tag: ControlTag) -> bool:
    """As the editor takes it: on, unless the tag says otherwise (CONTRACT.md 4)."""
    return tag.attributes.get("smart", "true").lower() != "false"


def tag_settings(notes: Notes) -> Verdict:
    """`model_*` attributes and the project's extra parameters mean something."""
    prompts, backend = notes.need(Prompts), notes.known(Backend)
    try:
        project = read_extra_params(backend.extra_params if backend else None)
    except RSISegError as error:
        return fail(
            str(error).rpartition("; ")[0], 'write an object such as {"model": "default"} under Settings, Model, Edit, Extra params'
        )
    found: dict[str, PredictionSettings] = {}
    for tag in prompts.tags:
        prompt = Prompt((), "", (tag,), "", None)
        try:
            found[tag.name] = prediction_settings(prompt.attributes, project)
        except RSISegError as error:
            return fail(f"the tag {tag.name!r}: {str(error).rpartition('; ')[0]}", "correct the tag in the interface, or the extra params")
    notes.learn(TagSettings(found))
    said = sorted(
        {name for tag in prompts.tags for name in tag.attributes if name.startswith("model")} | {f"model_{name}" for name in project}
    )
    return ok(f"{', '.join(said)} can be used" if said else "none: the server's own settings decide")


def targets(notes: Notes) -> Verdict:
    """Every class that can be clicked has a brush or polygon tag on the same picture."""
    config, prompts, settings = notes.need(Interface).config, notes.need(Prompts), notes.need(TagSettings).by_tag
    places: list[ClickPlace] = []
    goes_to: set[str] = set()
    lost: list[str] = []
    for tag in prompts.asking:
        for label in tag.labels:
            for image in tag.to_name.split(","):
                try:
                    target = target_tag(config, Prompt((), label, (tag,), image, None), settings[tag.name].output)
                except ContractError:
                    lost.append(f"{label!r} of {tag.name!r} on {image!r}")
                else:
                    places.append(ClickPlace(tag, _PROMPTS[tag.type], label, image))
                    goes_to.add(f"{target.type} {target.name!r}")
    if places:
        notes.learn(places[0])
    if lost:
        kinds = " or ".join(TARGET_TYPES.values())
        return fail(f"clicks with {listed(lost)} have no tag for their answer", f"add these labels to a {kinds} of that picture")
    return ok(f"{len(places)} classes, answered in {', '.join(sorted(goes_to))}")


def other_tags(notes: Notes) -> Verdict:
    """Other tags do not ask: the editor offers a smart tool for every tag that does not say smart="false"."""
    config, asking = notes.need(Interface).config, notes.need(Prompts).tags
    loud = [f"{tag.type} {tag.name!r}" for tag in config.controls if tag.type in _SMART and tag not in asking and _is_smart(tag)]
    if loud:
        return warn(f"the editor offers {listed(loud)} as smart tools, which no model answers", 'set smart="false" on them')
    return ok("no other tag is smart")
