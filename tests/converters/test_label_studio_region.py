"""Region items are what Label Studio's own models accept, and hold the mask or ring exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.converter import brush
from label_studio_sdk.label_interface import LabelInterface

from converters.errors import TaskError
from converters.frames import Percent, Size, percent_to_native
from converters.label_studio import brush_region, polygon_region

CONFIG = """<View><Image name="img" value="$image"/>
  <BrushLabels name="brush" toName="img"><Label value="Roof"/></BrushLabels>
  <PolygonLabels name="poly" toName="img"><Label value="Roof"/></PolygonLabels></View>"""
META = {"rsiseg": {"model": "default", "version": "v1", "clicks": 3, "cfr": "off"}}


def a_mask() -> np.ndarray:
    mask = np.zeros((30, 40), bool)
    mask[5:20, 10:33] = True
    mask[8:11, 15:20] = False
    return mask


def test_a_brush_region_holds_the_mask() -> None:
    region = brush_region(a_mask(), id="a", label="Roof", from_name="brush", to_name="img", score=0.5, meta=META)
    assert (region["type"], region["from_name"], region["to_name"], region["image_rotation"]) == ("brushlabels", "brush", "img", 0)
    assert (region["original_width"], region["original_height"], region["score"], region["meta"]) == (40, 30, 0.5, META)
    assert region["value"]["format"] == "rle" and region["value"]["brushlabels"] == ["Roof"]
    alpha = brush.decode_rle(region["value"]["rle"]).reshape(30, 40, 4)[:, :, 3]
    assert np.array_equal(alpha, a_mask() * 255)


def test_a_polygon_region_holds_the_ring_in_percent() -> None:
    region = polygon_region([[0, 0], [20, 0], [20, 15], [0, 0]], Size(40, 30), id="a", label="Roof", from_name="poly", to_name="img")
    assert region["value"] == {"points": [[0, 0], [50, 0], [50, 50]], "closed": True, "polygonlabels": ["Roof"]}
    assert (region["original_width"], region["original_height"]) == (40, 30)
    assert "score" not in region and "meta" not in region


def test_a_polygon_region_names_the_size_of_the_picture_where_that_is_another() -> None:
    ring = [[0, 0], [20, 0], [20, 15]]
    region = polygon_region(ring, Size(40, 30), id="a", label="Roof", from_name="poly", to_name="img", display=Size(20, 15))
    assert region["value"]["points"] == [[0, 0], [50, 0], [50, 50]]
    assert (region["original_width"], region["original_height"]) == (20, 15)


@given(st.integers(1, 6000), st.integers(1, 6000), st.data())
def test_the_ring_comes_back_to_the_same_pixels(width: int, height: int, data: st.DataObject) -> None:
    ring = data.draw(st.lists(st.tuples(st.integers(0, width), st.integers(0, height)), min_size=3, max_size=9))
    ring.append((ring[0][0], (ring[0][1] + 1) % (height + 1)))  # not closed
    region = polygon_region(ring, Size(width, height), id="a", label="Roof", from_name="poly", to_name="img")
    back = [percent_to_native(Percent(x, y), Size(width, height)) for x, y in region["value"]["points"]]
    assert np.allclose([(point.col, point.row) for point in back], ring, rtol=0, atol=1e-9)


def test_label_studio_itself_accepts_both_regions() -> None:
    interface = LabelInterface(CONFIG)
    regions = [
        brush_region(a_mask(), id="a", label="Roof", from_name="brush", to_name="img", score=0.5, meta=META),
        polygon_region([[0, 0], [20, 0], [20, 15]], Size(40, 30), id="b", label="Roof", from_name="poly", to_name="img", meta=META),
    ]
    for region in json.loads(json.dumps(regions)):
        assert interface.validate_region(region)
        assert not interface.validate_region(region | {"from_name": "unknown"})


@pytest.mark.parametrize("ring", [[], [[0, 0], [1, 1]], [[0, 0], [1, 1], [0, 0]], [[0, 0, 0]] * 4, [[0, 0], [1, np.nan], [2, 2]]])
def test_a_ring_without_three_vertices_is_refused(ring: list) -> None:
    with pytest.raises(TaskError, match="at least three finite vertices"):
        polygon_region(ring, Size(40, 30), id="a", label="Roof", from_name="poly", to_name="img")


def test_an_array_that_is_no_mask_is_refused() -> None:
    with pytest.raises(TaskError, match="expected height x width"):
        brush_region(np.zeros((2, 2, 4)), id="a", label="Roof", from_name="brush", to_name="img")
