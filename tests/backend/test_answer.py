"""The polygon of a mask keeps to its outline; the brush of a scaled chip has the size of the picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from shapely import Polygon

from backend import answer
from converters import rle, vectorise
from converters.frames import Size
from converters.label_config import ControlTag

BRUSH = ControlTag("BrushLabels", "brush", "img", {}, {"Road": None})
POLYGON = ControlTag("PolygonLabels", "poly", "img", {}, {"Road": None})


def filled(ring: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in the ring, found with four times as many pixels."""
    fine = np.zeros((shape[0] * 4, shape[1] * 4), np.uint8)
    cv2.fillPoly(fine, [np.round(ring * 4 * 16).astype(np.int32) - 8], 1, shift=4)
    return fine.reshape(shape[0], 4, shape[1], 4).mean(axis=(1, 3)) >= 0.5


def blob(seed: int, size: int = 160) -> NDArray[np.bool_]:
    """A hole-free object of at least 1000 px with a wavy outline."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size] + 0.5 - size / 2
    angle = np.arctan2(rows, cols)
    radius = rng.uniform(22, 60) * (1 + sum(rng.uniform(0, 0.12) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(2, 7)))
    return np.hypot(rows, cols) < radius


def rectangle(seed: int) -> NDArray[np.bool_]:
    """A roof: a turned rectangle of at least 1000 px."""
    rng = np.random.default_rng(seed)
    corners = cv2.boxPoints(((80, 80), (rng.uniform(25, 90), rng.uniform(41, 90)), rng.uniform(0, 90)))
    mask = np.zeros((160, 160), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask > 0


@pytest.mark.parametrize("make", [blob, rectangle])
def test_the_ring_of_hole_free_objects_covers_them_to_99_percent_as_area_and_as_pixels(make: Callable[[int], NDArray[np.bool_]]) -> None:
    for seed in range(25):
        mask = make(seed)
        assert mask.sum() >= 1000
        ring = answer.outer_ring(mask)
        (exact,) = vectorise.polygons(mask)
        assert exact.intersection(Polygon(ring)).area / exact.union(Polygon(ring)).area >= 0.99
        again = filled(ring, mask.shape)
        assert (again & mask).sum() / (again | mask).sum() >= 0.99


def test_a_large_object_is_drawn_with_few_vertices_within_the_stated_tolerance() -> None:
    rows, cols = np.mgrid[:800, :800]
    mask = np.hypot(rows - 400, cols - 400) < 300
    ring, (exact,) = answer.outer_ring(mask), vectorise.polygons(mask)
    assert len(ring) < len(exact.exterior.coords) / 8
    corners = shapely.points(np.asarray(exact.exterior.coords))
    assert shapely.distance(corners, Polygon(ring).exterior).max() <= max(answer.POLYGON_TOLERANCES)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(lambda mask: mask.any()))
@settings(deadline=None)
def test_the_ring_is_that_of_the_largest_part_and_valid(mask: NDArray[np.bool_]) -> None:
    ring = answer.outer_ring(mask)
    assert len(ring) >= 3
    assert Polygon(ring).is_valid
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    largest = statistics[1:, cv2.CC_STAT_AREA].max()
    box = statistics[1:][statistics[1:, cv2.CC_STAT_AREA] == largest]
    left, top, right, bottom = Polygon(ring).bounds
    assert any(
        x - 0.5 <= left and y - 0.5 <= top and right <= x + width + 0.5 and bottom <= y + height + 0.5 for x, y, width, height, _ in box
    )


@pytest.mark.parametrize(("display", "factor"), [(Size(30, 20), 1), (Size(60, 40), 2), (Size(90, 60), 3)])
def test_a_mask_is_brought_to_the_size_of_the_picture_pixel_by_pixel(display: Size, factor: int) -> None:
    probability = np.random.default_rng(3).random((20, 30), dtype=np.float32)
    region = answer.region(probability, 0.49, target=BRUSH, image="img", label="Road", display=display, meta={})
    assert region is not None
    assert (region["original_width"], region["original_height"]) == (display.width, display.height)
    expected = np.kron(probability > 0.49, np.ones((factor, factor), bool))
    np.testing.assert_array_equal(rle.decode(region["value"]["rle"], display), expected)


def test_a_polygons_percent_do_not_depend_on_the_scale_of_the_picture() -> None:
    probability = np.zeros((20, 30), np.float32)
    probability[5:15, 6:24] = 0.8
    said = {"target": POLYGON, "image": "img", "label": "Road", "meta": {}}
    region = answer.region(probability, 0.49, display=Size(60, 40), **said)  # type: ignore[arg-type]
    assert region is not None
    assert (region["original_width"], region["original_height"]) == (60, 40)
    assert {tuple(vertex) for vertex in region["value"]["points"]} == {(20, 25), (80, 25), (80, 75), (20, 75)}
    assert region["score"] == pytest.approx(0.8)


def test_a_pixel_exactly_at_the_threshold_is_outside() -> None:
    probability = np.full((4, 4), 0.5, np.float32)
    assert answer.region(probability, 0.5, target=BRUSH, image="img", label="Road", display=Size(4, 4), meta={}) is None
