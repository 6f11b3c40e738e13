"""The labelling interface (XML) of a Label Studio project: which control tags there are, on which image, with which labels and colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from PIL import ImageColor

from converters.errors import TaskError

# Tags that are one choice of the control tag around them.
_CHOICES = ("Label", "Choice")


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A tag that makes results, such as BrushLabels.

    type: the tag as written, "BrushLabels". name: the `from_name` of its results. to_name: the object tag it belongs to.
    attributes: all attributes as written, `model_*` and `smart` among them.
    labels: name in results (the alias where there is one) -> "#rrggbb", None without a colour; in the order of the XML.
    """

    type: str
    name: str
    to_name: str
    attributes: Mapping[str, str]
    labels: Mapping[str, str | None]

    @property
    def smart(self) -> bool:
        """Whether a click with this tag asks the ML backend."""
        return self.attributes.get("smart", "").lower() == "true"


@dataclass(frozen=True, slots=True)
class ObjectTag:
    """A tag that shows data, such as Image. attributes: as written; `value` is "$field" of the task's data."""

    type: str
    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """Control tags and object tags in the order of the XML."""

    controls: tuple[ControlTag, ...]
    objects: tuple[ObjectTag, ...]

    def colours(self) -> dict[str, str]:
        """Label -> "#rrggbb" over all control tags; the first tag that colours a label wins."""
        found: dict[str, str] = {}
        for control in self.controls:
            for label, colour in control.labels.items():
                if colour is not None:
                    found.setdefault(label, colour)
        return found


def parse(xml: str) -> LabelConfig:
    """The tags of a labelling interface. Raises TaskError for XML that is broken, empty, or declares entities or a document type."""
    try:
        root = ElementTree.fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise TaskError(
            f"the label config is no usable XML ({error}); expected Label Studio's <View>...</View>; "
            "copy it from the project's Settings, Labeling Interface, Code"
        ) from error
    controls = [_control(tag) for tag in root.iter() if "name" in tag.attrib and "toName" in tag.attrib]
    objects = [
        ObjectTag(tag.tag, tag.attrib["name"], MappingProxyType(dict(tag.attrib)))
        for tag in root.iter()
        if "name" in tag.attrib and "toName" not in tag.attrib and tag.attrib.get("value", "").startswith("$")
    ]
    return LabelConfig(tuple(controls), tuple(objects))


def _control(tag: Element) -> ControlTag:
    labels = {
        choice.attrib.get("alias") or choice.attrib["value"]: _hex(choice.attrib.get("background"))
        for choice in tag.iter()
        if choice.tag in _CHOICES and choice.attrib.get("value")
    }
    return ControlTag(
        type=tag.tag,
        name=tag.attrib["name"],
        to_name=tag.attrib["toName"],
        attributes=MappingProxyType(dict(tag.attrib)),
        labels=MappingProxyType(labels),
    )


def _hex(colour: str | None) -> str | None:
    """ "#rrggbb" of a CSS colour; None for what cannot be read, which Label Studio shows in a colour of its own."""
    if not colour:
        return None
    try:
        red, green, blue = ImageColor.getrgb(colour)[:3]
    except ValueError:
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"
