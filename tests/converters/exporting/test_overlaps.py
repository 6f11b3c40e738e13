"""Where regions of one chip overlap, the rule decides who has the px, and exactly the px of the masks are shared out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely
from exported import Export, export
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_seams import a_chip, brush, shapes, task

from converters.chips import PixelWindow
from converters.errors import ExportError
from converters.exporting.shaping import Shaping
from converters.frames import Size
from converters.label_studio import polygon_region
from converters.label_studio_export import read_export
from converters.vectorise import polygons

SIZE = Size(12, 12)
CHIP = a_chip(PixelWindow(0, 0, 12, 12), SIZE)


def exported(*items: dict[str, Any], **shaping: Any) -> Export:
    return export(read_export(json.loads(json.dumps([task(1, CHIP, *items)]))), shaping=Shaping(**shaping), pixels=True)


@given(masks=st.lists(arrays(np.bool_, (12, 12)).filter(np.any), min_size=1, max_size=4), data=st.data())
@settings(deadline=None, max_examples=60)
def test_each_pixel_goes_to_the_strongest_region_that_claims_it(masks: list[np.ndarray], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=len(masks), max_size=len(masks)))
    priority = tuple(data.draw(st.permutations("ab")))
    rule = data.draw(st.sampled_from(["later", "priority"]))
    rank = {name: 2 - position for position, name in enumerate(priority)} if rule == "priority" else {}
    winner = np.full((12, 12), -1)
    for index in sorted(range(len(masks)), key=lambda index: (rank.get(names[index], 0), index)):
        winner[masks[index]] = index
    done = exported(
        *(brush(mask, name, id=str(k)) for k, (mask, name) in enumerate(zip(masks, names, strict=True))),
        overlaps=rule, priority=priority if rule == "priority" else (),
    )  # fmt: skip
    found = {int(feature["properties"]["region"]): shape for feature, shape in zip(done.features, shapes(done), strict=True)}
    for index in range(len(masks)):
        expected = polygons(winner == index)
        parts = shapely.get_parts(found[index]).tolist() if index in found else []
        assert [part.normalize().wkb for part in parts] == [part.normalize().wkb for part in expected]
    gone = {int(remark.region or -1) for remark in done.left_out}
    assert gone == {index for index in range(len(masks)) if not (winner == index).any()}


def test_all_overlaps_are_kept_unless_asked_otherwise() -> None:
    full = np.ones((12, 12), bool)
    assert [shape.area for shape in shapes(exported(brush(full), brush(full, "tree", id="t")))] == [144, 144]


def test_outlines_drawn_by_hand_give_way_too() -> None:
    mask = np.zeros((12, 12), bool)
    mask[:, 6:] = True
    triangle = polygon_region([(1.25, 1.5), (9.5, 2.5), (2.5, 10.75)], SIZE, id="p", label="roof", from_name="p", to_name="img")
    roof, road = shapes(exported(triangle, brush(mask), overlaps="later"))
    assert roof.intersection(road).area == 0 and roof.bounds[2] == 6 and road.area == 72


def test_who_keeps_nothing_is_named() -> None:
    full = np.ones((12, 12), bool)
    done = exported(brush(full, id="under"), brush(full, "tree", id="over"), overlaps="later")
    (remark,) = done.left_out
    assert remark.region == "under" and "such as over of task 1" in remark.reason


@pytest.mark.parametrize("wrong", [{"overlaps": "first"}, {"overlaps": "priority"}, {"priority": ("a",)}, {"seams": "glue"}])
def test_settings_that_do_not_fit_together_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExportError, match="expected"):
        Shaping(**wrong)
