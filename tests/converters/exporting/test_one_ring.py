"""Holes cut along a bridge: one ring encloses exactly the polygon's pixels."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely import Point, Polygon

from converters.exporting.one_ring import one_ring
from converters.vectorise import polygons

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def signed_area(ring: np.ndarray) -> float:
    col, row = ring.T
    return float(np.sum(col * np.roll(row, -1) - np.roll(col, -1) * row) / 2)


def filled(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre a ring encloses, by counting the edges that a ray to the left crosses (even-odd)."""
    centres_col, centres_row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    inside = np.zeros(shape, bool)
    for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        spans = (start[1] > centres_row) != (end[1] > centres_row)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = start[0] + (centres_row - start[1]) / (end[1] - start[1]) * (end[0] - start[0])
        inside ^= spans & (crossing < centres_col)
    return inside


@given(mask=MASKS)
@settings(max_examples=300)
def test_the_ring_encloses_exactly_the_pixels_of_the_polygon(mask: np.ndarray) -> None:
    for part in polygons(mask):
        ring = one_ring(part)
        own = rasterio.features.rasterize([part], mask.shape, dtype=np.uint8).astype(bool)
        assert np.array_equal(filled(ring, mask.shape), own)
        assert signed_area(ring) == part.area


@given(mask=MASKS)
@settings(max_examples=200)
def test_gdal_fills_the_ring_as_it_fills_the_polygon(mask: np.ndarray) -> None:
    for part in polygons(mask):
        ring = one_ring(part)
        closed = {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]}
        own, cut = (rasterio.features.rasterize([shape], mask.shape, dtype=np.uint8) for shape in (part, closed))
        assert np.array_equal(own, cut)


@given(mask=MASKS)
def test_bridges_lie_inside_the_polygon(mask: np.ndarray) -> None:
    for part in polygons(mask):
        ring = one_ring(part)
        edges = shapely.linestrings(np.stack((ring, np.roll(ring, -1, axis=0)), axis=1))
        assert shapely.covers(part, edges).all()
        assert not (ring == np.roll(ring, 1, axis=0)).all(axis=1).any()


def test_outlines_that_are_not_on_the_grid_are_bridged_too() -> None:
    holes = [Point(x, y).buffer(r).exterior.coords for x, y, r in ((10, 12, 3), (20, 11, 2.5), (20, 22, 4), (29, 20, 1))]
    polygon = Polygon(Point(20, 17).buffer(16).exterior.coords, holes)
    ring = one_ring(polygon)
    assert abs(signed_area(ring)) == pytest.approx(polygon.area)
    own = rasterio.features.rasterize([polygon], (40, 40), dtype=np.uint8).astype(bool)
    assert np.array_equal(filled(ring, (40, 40)), own)


def test_a_polygon_without_holes_stays_as_it_is() -> None:
    ring = [(0.0, 0.0), (0.0, 4.0), (3.0, 4.0)]
    assert sorted(map(tuple, one_ring(Polygon(ring)).tolist())) == sorted(ring)
