"""A labelling interface (Label Studio's XML) for a user's own classes, laid out as those in `label_config/`.

Only key points ask the backend: M never reaches a second smart tool on an image. docs/label_studio.md says what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from converters.class_colours import distinct
from converters.errors import TaskError
from converters.label_config import parse

SHAPES = {"brush": ("BrushLabels", "mask", "By brush"), "polygon": ("PolygonLabels", "outline", "By polygon")}
"""Shape of an accepted object -> its tag, the tag's name, and its heading."""
VIEWS = (("image", "$image", ""), ("infrared", "$image_cir", "Infrared, "))
"""Name of the Image tag, what it shows, and the start of its headings. `rsiseg import --view true --view cir` makes both pictures."""
_STYLES = {"BrushLabels": {"opacity": "0.5"}, "PolygonLabels": {"opacity": "0.35", "strokeWidth": "2"}}
_SWITCH_COLOUR = "#5b6b8c"
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class LabelClass:
    """name: of the class, as results name it. colour: "#rrggbb"."""

    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Interface:
    """What an interface offers.

    shapes: keys of SHAPES, in the order of the tags; clicks are answered in the first. model: registry name that answers, None for the
    project's or the server's. switches: registry names that the annotator may choose while annotating. two_views: true colour and
    infrared side by side, each with clicks and shapes of its own.
    """

    classes: tuple[LabelClass, ...]
    shapes: tuple[str, ...] = ("brush",)
    model: str | None = None
    switches: tuple[str, ...] = ()
    two_views: bool = False


def parse_classes(texts: Sequence[str]) -> tuple[LabelClass, ...]:
    """Classes of NAME or NAME=#rrggbb; names without a colour get one that is far from the others and from what fills imagery.

    Raises TaskError for no class, a class twice, an empty name, a line break in one, or a colour that is none.
    """
    given: dict[str, str | None] = {}
    for text in texts:
        name, equals, colour = (part.strip() for part in text.rpartition("=")) if "=#" in text.replace(" ", "") else (text.strip(), "", "")
        if not name or _CONTROL.search(name):
            raise TaskError(f"{text!r} names no class; expected NAME or NAME=#rrggbb, without line breaks")
        if name in given:
            raise TaskError(f"the class {name!r} is named twice; expected each once; leave one out")
        if equals and not _COLOUR.fullmatch(colour.lower()):
            raise TaskError(f"{colour!r} is no colour of the class {name!r}; expected #rrggbb, such as #ff0044")
        given[name] = colour.lower() or None
    if not given:
        raise TaskError("no class is named; expected at least one, as in building,tree=#ff8000")
    taken = [colour for colour in given.values() if colour is not None]
    if len(set(taken)) < len(taken):
        raise TaskError("two classes have the same colour; expected one for each; change it, or leave it out")
    fresh = iter(distinct(sum(colour is None for colour in given.values()), taken))
    return tuple(LabelClass(name, colour or next(fresh)) for name, colour in given.items())


def interface_xml(interface: Interface) -> str:
    """The interface as XML, indented, with a final line break. Raises TaskError where Label Studio would not take it."""
    root = Element("View", style="display: flex; gap: 12px")
    views = VIEWS if interface.two_views else VIEWS[:1]
    side = SubElement(root, "View", style="flex: 0 0 150px")
    for image, _, heading in views:
        _controls(side, interface, image, heading, first=image == VIEWS[0][0])
    for image, value, _ in views:
        column = SubElement(root, "View", style=f"flex: 1 1 {'0' if interface.two_views else 'auto'}; min-width: 0")
        shown = {"zoom": "true", "zoomControl": "true", "brightnessControl": "true", "contrastControl": "true"}
        SubElement(column, "Image", {"name": image, "value": value, **shown})
    indent(root)
    text = tostring(root, encoding="unicode") + "\n"
    _check_names(text)
    return text


def _controls(side: Element, interface: Interface, image: str, heading: str, *, first: bool) -> None:
    """The tags of one image: clicks, the switches between models, shapes."""
    ending = "" if first else f"_{image}"
    # M takes up the tool of the last image only.
    _header(side, heading, "By click" if interface.two_views else "By click (M)")
    smart = {"toName": image, "smart": "true", "smartOnly": "true", "showInline": "false"}
    clicks = SubElement(side, "KeyPointLabels", {"name": f"click{ending}", **smart, "opacity": "0.9"})
    if interface.model is not None:
        # `model_name` may stand once only: Label Studio takes every name="..." in it for the name of a tag.
        clicks.set("model" if ending else "model_name", interface.model)
    _labels(clicks, interface.classes)
    if interface.switches:
        _header(side, heading, "Model" if interface.two_views else "Model, then M")
    for number, model in enumerate(interface.switches, 1):
        switch = SubElement(side, "KeyPointLabels", {"name": f"model{number}{ending}", **smart, "model": model})
        SubElement(switch, "Label", value=model, background=_SWITCH_COLOUR)
    for shape in interface.shapes:
        tag, name, title = SHAPES[shape]
        _header(side, heading, title)
        area = {"name": f"{name}{ending}", "toName": image, "smart": "false", "showInline": "false", **_STYLES[tag]}
        _labels(SubElement(side, tag, area), interface.classes)


def _header(side: Element, start: str, text: str) -> None:
    SubElement(side, "Header", size="6", value=f"{start}{text[0].lower()}{text[1:]}" if start else text)


def _labels(tag: Element, classes: Sequence[LabelClass]) -> None:
    for one in classes:
        SubElement(tag, "Label", value=one.name, background=one.colour)


def _check_names(text: str) -> None:
    """Label Studio asks that every name="..." of the text is there once; a class or a model must not be called as a tag is."""
    config = parse(text)
    names = [*(tag.name for tag in config.controls), *(tag.name for tag in config.objects)]
    models = {tag.attributes.get("model_name") for tag in config.controls}
    clash = next((name for name in names if name in models), None)
    if clash is not None:
        raise TaskError(f"the model {clash!r} is called as a tag of the interface is; Label Studio refuses that; choose another model")
