"""Labelling interfaces for a user's own classes: the XML that `label_config/` has for the classes of ISPRS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from converters.class_colours import distinct
from converters.errors import TaskError
from converters.label_config import parse

SHAPES = {"brush": ("BrushLabels",), "polygon": ("PolygonLabels",), "both": ("BrushLabels", "PolygonLabels")}
# A brush covers its whole object, a polygon is seen by its line.
_LOOKS = {"BrushLabels": {"opacity": "0.5"}, "PolygonLabels": {"opacity": "0.35", "strokeWidth": "2"}}
_NAMES = {"BrushLabels": "mask", "PolygonLabels": "outline"}
_TITLES = {"BrushLabels": "By brush", "PolygonLabels": "By polygon"}
_SWITCH_COLOUR = "#5b6b8c"
# Label Studio numbers the labels itself too, but over all tags; the classes of the clicks come first either way.
_HOTKEYS = "123456789"
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class View:
    """A picture of the task: name of its Image tag, the key of the task's data, the heading, and the bands that the model is given.

    bands: letters such as "IRRG"; None for the model's own choice.
    """

    name: str
    field: str
    title: str
    bands: str | None = None

    def tag(self, name: str) -> str:
        """`name` for the first view, with the view's name behind it for any other: Label Studio wants each name once."""
        return name if self.name == "image" else f"{name}_{self.name}"


ONE_VIEW = (View("image", "image", ""),)
# What `rsiseg import --view true --view cir` writes into the tasks.
TWO_VIEWS = (View("image", "image", "True colour"), View("infrared", "image_cir", "Infrared", "IRRG"))


@dataclass(frozen=True, slots=True)
class LabelClass:
    """A class and its colour, "#rrggbb"."""

    name: str
    colour: str


def read_classes(text: str) -> list[LabelClass]:
    """`building,tree=#00ff00,road`: names by commas, a colour behind = where the user wants his own.

    The others get colours that keep away from those. Raises TaskError for what is no class, no colour, or there twice.
    """
    pairs = [_split(part) for part in text.split(",")]
    return with_colours(pairs)


def with_colours(pairs: Sequence[tuple[str, str | None]]) -> list[LabelClass]:
    """Classes of (name, "#rrggbb" or None); raises TaskError as `read_classes`."""
    names = [_checked_name(name, "class") for name, _ in pairs]
    _refuse_twice(names, "class")
    own = [_checked_colour(colour, name) for name, (_, colour) in zip(names, pairs, strict=True) if colour is not None]
    _refuse_twice(own, "colour")
    more = iter(distinct(len(names) - len(own), own))
    given = iter(own)
    return [LabelClass(name, next(given if colour is not None else more)) for name, (_, colour) in zip(names, pairs, strict=True)]


def write_interface(
    classes: Sequence[LabelClass],
    *,
    shape: str = "brush",
    model: str | None = None,
    choose: Sequence[str] = (),
    views: Sequence[View] = ONE_VIEW,
) -> str:
    """The XML of an interface, which `converters.label_config.parse` reads back as it was asked for.

    shape: a key of SHAPES; with both the brush answers clicks, and polygons are drawn by hand. model: the registry name that answers; None
    for the project's or the server's. choose: models that the annotator switches to while annotating. views: pictures side by side, each
    with its own tags.
    Raises TaskError for classes and models that Label Studio or the backend would not tell apart.
    """
    if not classes:
        raise TaskError("no classes were given; expected at least one, such as building or building=#ff0044")
    choices = [_checked_name(name, "model") for name in choose]
    _refuse_twice([*(one.name for one in classes), *choices], "label")
    root = Element("View", style="display: flex; gap: 12px")
    column = SubElement(root, "View", style="flex: 0 0 150px")
    for number, view in enumerate(views):
        if view.title:
            SubElement(column, "Header", size="5", value=view.title)
        SubElement(column, "Header", size="6", value="By click (M)" if number == len(views) - 1 else "By click (tool at the picture)")
        click = _tag(column, "KeyPointLabels", view.tag("click"), view, smart="true", smartOnly="true", opacity="0.9")
        if model:
            click.set("model", _checked_name(model, "model"))
        if view.bands:
            click.set("model_bands", view.bands)
        _labels(click, classes, _HOTKEYS if number == 0 else "")
        if choices:
            SubElement(column, "Header", size="6", value="Model, then M")
        for index, choice in enumerate(choices, start=1):
            switch = _tag(column, "KeyPointLabels", view.tag(f"switch{index}"), view, smart="true", smartOnly="true", model=choice)
            SubElement(switch, "Label", value=choice, background=_SWITCH_COLOUR)
        for kind in SHAPES[shape]:
            SubElement(column, "Header", size="6", value=_TITLES[kind])
            _labels(_tag(column, kind, view.tag(_NAMES[kind]), view, smart="false", **_LOOKS[kind]), classes)
    for view in views:
        place = SubElement(root, "View", style="flex: 1 1 0; min-width: 0")
        controls = {"zoom": "true", "zoomControl": "true", "brightnessControl": "true", "contrastControl": "true"}
        SubElement(place, "Image", name=view.name, value=f"${view.field}", **controls)
    indent(root)
    xml = tostring(root, encoding="unicode") + "\n"
    _check(xml, classes, views)
    return xml


def _tag(parent: Element, kind: str, name: str, view: View, **attributes: str) -> Element:
    return SubElement(parent, kind, name=name, toName=view.name, **attributes, showInline="false")


def _labels(tag: Element, classes: Sequence[LabelClass], hotkeys: str = "") -> None:
    for number, one in enumerate(classes):
        label = SubElement(tag, "Label", value=one.name, background=one.colour)
        if number < len(hotkeys):
            label.set("hotkey", hotkeys[number])


def _check(xml: str, classes: Sequence[LabelClass], views: Sequence[View]) -> None:
    """Reads the interface back. Label Studio looks for names in the text of the XML, so that is what is looked at here."""
    names = re.findall(r'name="([^"]*)"', xml)
    if len(set(names)) != len(names):
        raise TaskError(f"the interface would have a name twice in {', '.join(names)}; expected each once; rename a class or model")
    config = parse(xml)
    wanted = {one.name: one.colour for one in classes}
    for view in views:
        tags = [tag for tag in config.controls if tag.to_name == view.name and not tag.name.startswith("switch")]
        if any(dict(tag.labels) != wanted for tag in tags):
            raise TaskError(f"the classes {', '.join(wanted)} do not come back out of the interface as they are; rename the odd one")


def _split(part: str) -> tuple[str, str | None]:
    name, equals, colour = part.partition("=")
    return name, colour if equals else None


def _checked_name(name: str, what: str) -> str:
    plain = name.strip()
    if not plain:
        raise TaskError(f"a {what} has no name; expected names with single commas between them, such as building,tree; add or remove it")
    if plain.startswith("$"):
        raise TaskError(f"the {what} {plain} starts with $, which Label Studio reads as a field of the task; expected a name; rename it")
    odd = next((letter for letter in plain if not letter.isprintable()), None)
    if odd is not None or len(plain) > _LONGEST:
        found = f"has the character {odd!a} in it" if odd is not None else f"is {len(plain)} characters long"
        raise TaskError(f"the {what} {plain[:_LONGEST]!r} {found}; expected up to {_LONGEST} characters that can be printed; rename it")
    return plain


def _checked_colour(colour: str, name: str) -> str:
    plain = colour.strip().lower()
    if re.fullmatch(r"#[0-9a-f]{3}", plain):
        plain = "#" + "".join(digit * 2 for digit in plain[1:])
    if not re.fullmatch(r"#[0-9a-f]{6}", plain):
        raise TaskError(f'the colour of {name} is "{colour}"; expected # and six hexadecimal digits, such as {name}=#ff0044')
    return plain


def _refuse_twice(names: Sequence[str], what: str) -> None:
    """Case does not tell two names apart: colours and exports do not look at it."""
    folded = [name.casefold() for name in names]
    for name, plain in zip(names, folded, strict=True):
        if folded.count(plain) > 1:
            raise TaskError(f"the {what} {name} is there twice; expected each once; remove or change one")
