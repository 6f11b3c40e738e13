"""Simplified neighbours still share their edges: no gaps, no slivers, no overlaps; and what is drawn simpler stays near."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely import MultiPolygon
from test_seams import a_chip, brush, exported, shapes, task, windows

from converters.chips import Chip, PixelWindow
from converters.errors import ExportError
from converters.exporting.coverage import Parts, edge_matched, simplified
from converters.exporting.ground import GroundAxes
from converters.exporting.shaping import Shaping
from converters.frames import Size
from converters.vectorise import polygons

AXES = GroundAxes(0.05, 0, 0, -0.05)
CLASSES = st.integers(2, 26).flatmap(lambda side: arrays(np.uint8, (side, side + 3), elements=st.integers(0, 4)))


def objects_of(classes: np.ndarray) -> list[Parts]:
    return [tuple(polygons(classes == value)) for value in np.unique(classes).tolist() if value > 0]


def blobs(seed: int, side: int, count: int) -> np.ndarray:
    """Classes 1..count with ragged borders: the nearest of random points in a warped plane."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2)) * side
    rows, cols = np.indices((side, side)) + rng.normal(0, 0.4, (2, side, side))
    return np.argmin([(rows - row) ** 2 + (cols - col) ** 2 for row, col in points], axis=0).astype(np.uint8) + 1


def is_coverage(objects: list[Parts]) -> bool:
    return bool(shapely.coverage_is_valid([MultiPolygon(parts) for parts in objects]))


def area(objects: list[Parts]) -> float:
    return sum(part.area for parts in objects for part in parts)


@given(classes=CLASSES)
@settings(deadline=None, max_examples=60)
def test_edges_are_matched_without_moving_anything(classes: np.ndarray) -> None:
    objects = objects_of(classes)
    matched = edge_matched(objects)
    assert is_coverage(matched) or not objects
    for before, after in zip(objects, matched, strict=True):
        assert MultiPolygon(before).equals(MultiPolygon(after))
        assert shapely.get_num_coordinates(MultiPolygon(after)) >= shapely.get_num_coordinates(MultiPolygon(before))


@given(classes=CLASSES, tolerance=st.sampled_from([0.01, 0.06, 0.2, 1.0]))
@settings(deadline=None, max_examples=60)
def test_a_simplified_coverage_is_a_coverage(classes: np.ndarray, tolerance: float) -> None:
    objects = objects_of(classes)
    fewer = simplified(objects, tolerance, AXES)
    assert is_coverage(fewer) or not objects
    assert [bool(parts) for parts in fewer] == [bool(parts) for parts in objects]
    # On the map, in numbers that are rounded.
    on_map = [shapely.transform(MultiPolygon(parts), lambda xy: xy * (0.05, -0.05) + (366_000.3, 5_807_000.7)) for parts in fewer]
    assert all(shape.is_valid for shape in on_map) and (shapely.coverage_is_valid(on_map) or not objects)
    vertices = {tuple(point) for parts in objects for part in parts for point in shapely.get_coordinates(part)}
    assert all(tuple(point) in vertices for parts in fewer for part in parts for point in shapely.get_coordinates(part))


def test_a_full_layer_stays_full() -> None:
    classes = blobs(3, 200, 12)
    objects = objects_of(classes)
    fewer = simplified(objects, 0.2, AXES)
    assert is_coverage(fewer)
    before, after = (sum(len(shapely.get_coordinates(part)) for parts in layer for part in parts) for layer in (objects, fewer))
    assert after < before / 3
    # The raster's own frame may lose corners; within it there is no gap.
    whole = shapely.union_all([part for parts in fewer for part in parts])
    assert isinstance(whole, shapely.Polygon) and not whole.interiors
    assert whole.area == pytest.approx(area(fewer)) and whole.area > 0.99 * 200 * 200
    assert all(MultiPolygon(one).symmetric_difference(MultiPolygon(other)).area < 0.2 * MultiPolygon(one).area + 60
               for one, other in zip(objects, fewer, strict=True))  # fmt: skip


def test_outlines_drawn_by_hand_are_matched_on_a_fine_grid() -> None:
    left = shapely.Polygon([(0.3, 0.7), (10.1, 1.3), (9.7, 12.9), (1.1, 11.3)])
    right = shapely.Polygon([(10.1, 1.3), (20.2, 2.2), (18.8, 13.3), (9.7, 12.9)])
    across = shapely.box(4, 10, 15, 20).difference(shapely.union_all([left, right]))
    objects = [(left,), (right,), tuple(shapely.get_parts(across).tolist())]
    matched = edge_matched(objects)
    assert is_coverage(matched)
    assert all(MultiPolygon(one).hausdorff_distance(MultiPolygon(other)) < 0.002 for one, other in zip(objects, matched, strict=True))
    assert is_coverage(simplified(objects, 0.05, AXES))


def test_the_tolerance_is_in_metres_on_the_ground() -> None:
    frame = a_chip(PixelWindow(0, 0, 100, 100), Size(100, 100))
    axes = GroundAxes.of(frame, pixels=False)
    assert axes.px == pytest.approx(0.05, rel=1e-3) and axes.east_row == pytest.approx(0, abs=2e-3)
    turned = Chip(
        **{name: getattr(frame, name) for name in Chip.__slots__} | {"transform": Affine(1e-6, 0, 13.4, 0, -1e-6, 60.0), "crs": "EPSG:4326"}
    )
    axes = GroundAxes.of(turned, pixels=False)
    assert (axes.east_col, axes.north_row) == pytest.approx((0.0558, -0.1114), rel=5e-3)
    shape = shapely.box(3, 4, 50, 61.5)
    assert axes.to_pixels(axes.to_ground(shape)).normalize() == shape.normalize()
    with pytest.raises(ExportError, match=r"size of a pixel of .* is not known"):
        GroundAxes.of(Chip(**{name: getattr(frame, name) for name in Chip.__slots__} | {"gsd": None}), pixels=True)


def test_a_survey_of_chips_comes_out_without_gaps() -> None:
    classes = blobs(5, 120, 9)
    size = Size(120, 120)
    tasks = []
    for number, window in enumerate(windows(size, 50, 10)):
        seen = classes[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
        items = [brush(seen == value, f"c{value}", id=str(value)) for value in np.unique(seen).tolist()]
        tasks.append(task(number, a_chip(window, size), *items))
    found = shapes(exported(tasks, Shaping(overlaps="later", simplify_m=0.1)))
    assert shapely.coverage_is_valid(found) and len(found) == 9
    assert not any(one.overlaps(other) for one, other in itertools.combinations(found, 2))
    whole = shapely.union_all(found)
    assert isinstance(whole, shapely.Polygon) and not whole.interiors


def test_simplification_needs_a_rule_for_overlaps() -> None:
    with pytest.raises(ExportError, match="expected --overlaps later or priority beside"):
        Shaping(simplify_m=1)
    with pytest.raises(ExportError, match="expected --overlaps later or priority beside"):
        Shaping(right_angles=frozenset({"roof"}))
