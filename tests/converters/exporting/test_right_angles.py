"""Buildings get right angles, whatever their direction; what is no building shape stays, and neighbours follow."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from shapely import MultiPolygon, Polygon
from shapely.affinity import rotate, translate

from converters.exporting.coverage import simplified
from converters.exporting.ground import GroundAxes
from converters.exporting.regular import with_right_angles
from converters.exporting.right_angles import squared
from converters.vectorise import polygons

AXES = GroundAxes(1, 0, 0, -1)
L_SHAPE = Polygon([(0, 0), (40, 0), (40, 15), (18, 15), (18, 50), (0, 50)])


def seen(shape: Polygon, side: int = 120) -> Polygon:
    """The shape as a mask shows it."""
    return max(polygons(rasterize([shape], (side, side), dtype=np.uint8)), key=lambda part: part.area)


def corners(shape: Polygon) -> np.ndarray:
    """Degrees between neighbouring edges, 0..90."""
    steps = np.diff(np.asarray(shape.exterior.coords), axis=0)
    angles = np.degrees(np.arctan2(steps[:, 1], steps[:, 0]))
    return np.abs((angles - np.roll(angles, 1)) % 180)


@given(angle=st.floats(0, 90))
@settings(deadline=None, max_examples=60)
def test_a_building_in_any_direction_gets_its_right_angles_back(angle: float) -> None:
    true = translate(rotate(L_SHAPE, angle, "centroid"), 40, 35)
    found = squared(seen(true), 1.5)
    assert len(found.exterior.coords) == 7
    assert corners(found) == pytest.approx(90, abs=1e-6)
    assert found.intersection(true).area / found.union(true).area > 0.92
    assert found.area == pytest.approx(true.area, rel=0.06)


def test_a_court_stays_open() -> None:
    ring = Polygon(shapely.box(10, 10, 80, 70).exterior, [shapely.box(30, 30, 60, 50).exterior])
    found = squared(seen(rotate(ring, 20, "centroid")), 1.5)
    assert len(found.interiors) == 1 and found.area == pytest.approx(ring.area, rel=0.03)


@pytest.mark.parametrize("shape", [shapely.Point(50, 50).buffer(30), Polygon([(10, 10), (90, 20), (30, 80)])])
def test_what_is_no_building_shape_stays_as_it_was(shape: Polygon) -> None:
    part = seen(shape)
    found = squared(part, 1.5)
    assert found.equals(part) or found.intersection(part).area / found.union(part).area >= 0.85


def test_a_triangle_is_not_made_a_box() -> None:
    part = seen(Polygon([(10, 10), (90, 20), (30, 80)]))
    assert squared(part, 1.5) == part


@pytest.mark.parametrize("angle", [0, 17, 45])
def test_neighbours_follow_without_gaps_or_overlaps(angle: float) -> None:
    building = seen(translate(rotate(L_SHAPE, angle, "centroid"), 40, 35))
    yard = shapely.box(5, 5, 115, 115).difference(building)
    objects = [(building,), tuple(shapely.get_parts(yard).tolist())]
    found = with_right_angles(objects, ["building", "yard"], {"building"}, 0, AXES)
    assert shapely.coverage_is_valid([MultiPolygon(parts) for parts in found])
    assert MultiPolygon(found[0]).union(MultiPolygon(found[1])).equals(shapely.box(5, 5, 115, 115))
    turns = corners(shapely.simplify(found[0][0], 0.01))
    assert turns == pytest.approx(90, abs=0.2) and len(turns) == 6
    # The neighbour has no stairs where the building has none.
    assert shapely.get_num_coordinates(shapely.simplify(found[1][0], 0.01)) < 16


@pytest.mark.parametrize("seed", range(4))
def test_a_full_layer_with_squared_buildings_has_no_gaps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((25, 2)) * 120
    rows, cols = np.indices((120, 120)) + rng.normal(0, 0.3, (2, 120, 120))
    nearest = np.argmin([(rows - row) ** 2 + (cols - col) ** 2 for row, col in points], axis=0)
    objects = simplified([tuple(polygons(nearest == index)) for index in range(25)], 1.0, AXES)
    classes = ["building" if index % 2 else "yard" for index in range(25)]
    found = with_right_angles(objects, classes, {"building"}, 1.0, AXES)
    assert sum(one != other for one, other in zip(found, objects, strict=True)) > 5
    assert shapely.coverage_is_valid([MultiPolygon(parts) for parts in found])
    whole = shapely.union_all([part for parts in found for part in parts])
    assert isinstance(whole, Polygon) and not [(Polygon(hole).area, hole.length) for hole in whole.interiors]


def test_other_classes_keep_every_vertex() -> None:
    tree = (seen(shapely.Point(50, 50).buffer(20)),)
    assert with_right_angles([tree], ["tree"], {"building"}, 0, AXES) == [tree]


def test_an_object_is_never_lost_to_a_straighter_neighbour() -> None:
    building = shapely.box(10, 10, 60, 60).difference(shapely.box(30, 59, 31, 60))
    chimney = (shapely.box(30, 59, 31, 60),)
    found = with_right_angles([(building,), chimney], ["building", "chimney"], {"building"}, 0, AXES)
    assert all(found)
