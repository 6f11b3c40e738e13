"""Polygons cover the pixels of a mask, no more and no less."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from converters.vectorise import polygons

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def pixels_of(parts: list[shapely.Polygon], shape: tuple[int, int]) -> np.ndarray:
    if not parts:
        return np.zeros(shape, bool)
    return rasterio.features.rasterize(parts, shape, dtype=np.uint8).astype(bool)


@given(MASKS)
@settings(deadline=None)
def test_polygons_rasterise_back_to_the_mask(mask: np.ndarray) -> None:
    parts = polygons(mask)
    assert np.array_equal(pixels_of(parts, mask.shape), mask)
    assert sum(part.area for part in parts) == mask.sum()


@given(MASKS)
@settings(deadline=None)
def test_polygons_are_valid_apart_and_have_corners_only(mask: np.ndarray) -> None:
    parts = polygons(mask)
    assert all(part.is_valid for part in parts)
    assert shapely.area(shapely.union_all(parts)) == mask.sum()
    for part in parts:
        for ring in (part.exterior, *part.interiors):
            corners = np.asarray(ring.coords)
            assert np.array_equal(corners, np.rint(corners))
            steps = np.diff(np.vstack((corners, corners[1])), axis=0)
            assert (np.count_nonzero(steps, axis=1) == 1).all()  # along a row or a column
            assert ((steps[:-1] != 0) != (steps[1:] != 0)).all()  # and turning at each vertex


@given(MASKS)
@settings(deadline=None)
def test_rings_wind_and_begin_where_documented(mask: np.ndarray) -> None:
    parts = polygons(mask)
    starts = [part.exterior.coords[0][::-1] for part in parts]
    assert starts == sorted(starts)
    for part in parts:
        assert part.exterior.is_ccw and not any(hole.is_ccw for hole in part.interiors)
        assert part.exterior.coords[0][::-1] == min((row, col) for col, row in part.exterior.coords)


def test_a_hole_stays_a_hole_and_an_island_in_it_a_part() -> None:
    mask = np.ones((9, 9), bool)
    mask[2:7, 2:7] = False
    mask[4, 4] = True
    ring, island = polygons(mask)
    assert [list(hole.coords) for hole in ring.interiors] == [[(2, 2), (2, 7), (7, 7), (7, 2), (2, 2)]]
    assert list(island.exterior.coords) == [(4, 4), (5, 4), (5, 5), (4, 5), (4, 4)]


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    assert [part.bounds for part in polygons(np.eye(2))] == [(0, 0, 1, 1), (1, 1, 2, 2)]


@given(MASKS, st.floats(0.1, 4))
@settings(deadline=None)
def test_simplification_stays_within_its_tolerance(mask: np.ndarray, tolerance: float) -> None:
    exact, simple = polygons(mask), polygons(mask, tolerance=tolerance)
    assert all(part.is_valid for part in simple)
    for before in exact:
        (after,) = [part for part in simple if part.exterior.coords[0] in before.exterior.coords[:] and before.distance(part) == 0][:1]
        assert before.exterior.hausdorff_distance(after.exterior) <= tolerance + 1e-9


def test_simplification_leaves_vertices_out() -> None:
    rows, cols = np.mgrid[:200, :200]
    disc = (rows - 100) ** 2 + (cols - 100) ** 2 < 80**2
    (exact,), (simple,) = polygons(disc), polygons(disc, tolerance=1.0)
    assert len(simple.exterior.coords) < len(exact.exterior.coords) / 5
    assert simple.intersection(exact).area / simple.union(exact).area > 0.98


def test_an_array_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="expected height x width"):
        polygons(np.zeros((2, 2, 4)))
