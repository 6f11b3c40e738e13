"""What a labelling interface says, and that a dangerous or broken one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converters.errors import TaskError
from converters.label_config import parse

CONFIG = """
<View>
  <Header value="Click a roof"/>
  <Image name="img" value="$image" zoom="true"/>
  <View className="row">
    <BrushLabels name="brush" toName="img"><View><Label value="Building" background="#00F"/></View>
      <Label value="Low vegetation" alias="low" background="rgb(0, 255, 255)"/><Label value="Tree"/></BrushLabels>
    <PolygonLabels name="poly" toName="img"><Label value="Building" background="red"/>
      <Label value="Odd" background="chartreuse-ish"/></PolygonLabels>
  </View>
  <KeyPointLabels name="click" toName="img" smart="true" model_name="ritm" model_output="polygon"><Label value="Building"/></KeyPointLabels>
  <Choices name="quality" toName="img"><Choice value="good"/></Choices>
</View>
"""


def test_control_tags_keep_their_order_type_and_attributes() -> None:
    config = parse(CONFIG)
    assert [(tag.type, tag.name, tag.to_name, tag.smart) for tag in config.controls] == [
        ("BrushLabels", "brush", "img", False), ("PolygonLabels", "poly", "img", False),
        ("KeyPointLabels", "click", "img", True), ("Choices", "quality", "img", False),
    ]  # fmt: skip
    assert config.controls[2].attributes["model_output"] == "polygon"


def test_labels_are_named_as_results_name_them_and_colours_are_hexadecimal() -> None:
    brush, polygon, _, quality = parse(CONFIG).controls
    assert dict(brush.labels) == {"Building": "#0000ff", "low": "#00ffff", "Tree": None}
    assert dict(polygon.labels) == {"Building": "#ff0000", "Odd": None}
    assert dict(quality.labels) == {"good": None}


def test_the_first_tag_that_colours_a_label_wins() -> None:
    assert parse(CONFIG).colours() == {"Building": "#0000ff", "low": "#00ffff"}


def test_images_are_object_tags() -> None:
    (image,) = parse(CONFIG).objects
    assert (image.type, image.name, image.attributes["value"]) == ("Image", "img", "$image")


@pytest.mark.parametrize(
    "xml",
    [
        "", "<View>", "not xml", "<View></View><View/>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><View>&a;</View>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><View/>',
    ],
)  # fmt: skip
def test_xml_that_is_broken_or_declares_entities_is_refused(xml: str) -> None:
    with pytest.raises(TaskError, match=r"label config is no usable XML.*expected"):
        parse(xml)


def test_the_recorded_label_config_is_understood(shared: Path) -> None:
    recorded = json.loads((shared / "label_studio" / "wire" / "setup.json").read_text())
    config = parse(recorded["json"]["schema"])
    assert {tag.type for tag in config.controls} >= {"BrushLabels", "KeyPointLabels"}
    assert all(list(tag.labels) == ["Road", "Building"] for tag in config.controls)
