"""Interfaces for a user's own classes: what they hold, what is refused, and that the shipped ones are what the command makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from converters.class_colours import VISIBLE, apart, distinct, from_imagery, lab, rgb
from converters.errors import TaskError
from converters.interface import Interface, LabelClass, interface_xml, parse_classes
from converters.label_config import parse

LABEL_CONFIG = Path(__file__).resolve().parents[2] / "label_config"
NASTY = "a \"b\" <c> & 'd' é"
SHIPPED = {
    "buildings.xml": Interface(parse_classes(["building=#ff0044"])),
    "tree_crowns.xml": Interface(parse_classes(["tree crown=#ff8000", "dead crown=#00e5ff", "group of crowns=#ff00ff"])),
    "change_review.xml": Interface(parse_classes(["new=#ff00ff", "gone=#00e5ff", "changed=#ffe000", "unsure=#0000ff"]), two_views=True),
}


def elements(text: str) -> list[tuple[str, dict[str, str]]]:
    return [(one.tag, dict(one.attrib)) for one in ElementTree.fromstring(text).iter()]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_interface_is_what_the_command_makes(name: str) -> None:
    assert elements((LABEL_CONFIG / name).read_text()) == elements(interface_xml(SHIPPED[name]))


def test_clicks_are_smart_and_shapes_are_not() -> None:
    config = parse(interface_xml(Interface(parse_classes(["roof", "tree"]), ("brush", "polygon"), "default", ("sam_vit_b",))))
    assert [(tag.type, tag.name, tag.smart) for tag in config.controls] == [
        ("KeyPointLabels", "click", True),
        ("KeyPointLabels", "model1", True),
        ("BrushLabels", "mask", False),
        ("PolygonLabels", "outline", False),
    ]
    assert config.controls[0].attributes["model_name"] == "default"
    assert config.controls[1].attributes["model"] == "sam_vit_b"
    assert list(config.controls[0].labels) == list(config.controls[2].labels) == ["roof", "tree"]


def test_two_views_have_tags_of_their_own_and_no_name_is_there_twice() -> None:
    text = interface_xml(Interface(parse_classes(["roof"]), ("brush", "polygon"), "default", ("sam_vit_b",), two_views=True))
    config = parse(text)
    names = [one.name for one in (*config.controls, *config.objects)]
    assert len(set(names)) == len(names)
    assert [one.attributes["value"] for one in config.objects] == ["$image", "$image_cir"]
    assert text.count('model_name="') == 1  # a second one would be refused as the name of a tag


def test_names_need_no_escaping_by_the_user() -> None:
    config = parse(interface_xml(Interface((LabelClass(NASTY, "#ff0044"),))))
    assert [list(tag.labels) for tag in config.controls] == [[NASTY], [NASTY]]


def test_given_colours_stay_and_the_others_are_far_from_them() -> None:
    classes = parse_classes(["roof=#ff0044", "road", " tree = #FF8000 ", "a=b"])
    assert [one.name for one in classes] == ["roof", "road", "tree", "a=b"]
    assert (classes[0].colour, classes[2].colour) == ("#ff0044", "#ff8000")
    distances = apart(rgb([one.colour for one in classes]), rgb([one.colour for one in classes]))
    assert min(distances[at, other] for at in range(4) for other in range(at)) > 25


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no class is named"),
        (["roof", "roof"], "named twice"),
        (["roof", " "], "names no class"),
        (["ro\nof"], "names no class"),
        (["roof=#ff00"], "is no colour"),
        (["roof=#gg0044"], "is no colour"),
        (["=#ff0044"], "names no class"),
        (["a=#ff0044", "b=#FF0044"], "same colour"),
    ],
)
def test_what_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(TaskError, match=said):
        parse_classes(texts)


def test_a_model_called_as_a_tag_is_refused() -> None:
    with pytest.raises(TaskError, match="refuses that"):
        interface_xml(Interface(parse_classes(["roof"]), model="mask"))


def test_colours_can_be_seen_and_told_apart_and_more_begin_with_fewer() -> None:
    many = distinct(10)
    assert many[:4] == distinct(4)
    assert (from_imagery(rgb(many)) >= VISIBLE).all()
    pairs: Any = apart(rgb(many), rgb(many))
    assert min(pairs[at, other] for at in range(10) for other in range(at)) > 15
    with pytest.raises(TaskError, match="colours of your own"):
        distinct(500)


def test_the_shipped_colours_can_be_seen_on_real_imagery(shared: Path) -> None:
    """Of the pixels of real chips, hardly any is near a colour of the interfaces."""
    import numpy as np
    from PIL import Image

    colours = sorted({colour for path in LABEL_CONFIG.glob("*.xml") for colour in parse(path.read_text()).colours().values()} - {"#5b6b8c"})
    pictures = [path for path in sorted((shared / "data").glob("*/images/*")) if path.suffix in (".png", ".jpg")][::7][:40]
    assert len(pictures) > 10
    pixels = np.concatenate(
        [np.asarray(Image.open(path).convert("RGB").resize((24, 24), Image.Resampling.NEAREST)).reshape(-1, 3) for path in pictures]
    )
    near = (np.linalg.norm(lab(pixels)[:, None] - lab(rgb(colours))[None], axis=-1) < VISIBLE / 2).mean(axis=0)
    assert (near < 0.01).all(), dict(zip(colours, near.round(3).tolist(), strict=True))
