"""Percent, native px and map: there and back; the place of a chip on the earth."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Transformer

from converters.chips import Chip, PixelWindow
from converters.errors import ExportError
from converters.frames import Percent, Size, map_to_native, native_to_map, native_to_percent, percent_to_native
from converters.map_place import BEND, MapPlace

SHARE = st.floats(0, 100)
TERM = st.floats(-1000, 1000)


def a_chip(transform: Affine | None, crs: str | None) -> Chip:
    return Chip("a.png", "a.tif", PixelWindow(0, 0, 600, 400), transform, crs, ("R", "G", "B"), 1.0, None, Size(600, 400), None, None)


@given(SHARE, SHARE, st.integers(1, 20_000), st.integers(1, 20_000), TERM, TERM, TERM, TERM, st.floats(-1e7, 1e7), st.floats(-1e7, 1e7))
def test_percent_to_the_map_and_back_is_the_identity(
    x: float, y: float, width: int, height: int, a: float, b: float, d: float, e: float, c: float, f: float
) -> None:
    assume(abs(a * e - b * d) > 1e-3 * (abs(a) + abs(b)) * (abs(d) + abs(e)) and min(abs(a) + abs(b), abs(d) + abs(e)) > 0.01)
    size, transform = Size(width, height), Affine(a, b, c, d, e, f)
    native = percent_to_native(Percent(x, y), size)
    again = map_to_native(*native_to_map(native, transform), transform)
    assert (again.col, again.row) == pytest.approx((native.col, native.row), abs=1e-3)
    percent = native_to_percent(native, size)
    assert (percent.x, percent.y) == pytest.approx((x, y), abs=1e-9)


@pytest.mark.parametrize("angle", [0, 33, 90, 180])
def test_longitude_and_latitude_are_those_of_the_affine_and_the_projection(angle: float) -> None:
    transform = Affine(0.1, 0, 4e5, 0, -0.1, 5e6) @ Affine.rotation(angle)
    place = MapPlace.of(a_chip(transform, "EPSG:32633"))
    ring = np.array([(0, 0), (600, 0), (600, 400.5)])
    expected = [Transformer.from_crs(32633, 4326, always_xy=True).transform(*(transform @ corner)) for corner in ring]
    assert np.allclose(place.coordinates(ring), expected, rtol=0, atol=1e-12)


def test_short_edges_get_no_vertices_and_long_ones_as_many_as_they_need() -> None:
    near = MapPlace.of(a_chip(Affine(0.1, 0, 4e5, 0, -0.1, 5e6), "EPSG:32633"))
    far = MapPlace.of(a_chip(Affine(100, 0, 3e5, 0, -100, 6e6), "EPSG:32633"))
    square = np.array([(0, 0), (600, 0), (600, 400), (0, 400)])
    assert len(near.coordinates(square)) == 4
    dense = far.coordinates(square)
    assert 4 < len(dense) < 200
    # Between its vertices, too, the written outline is where the raster's edge is.
    lonlat = shapely.segmentize(shapely.LinearRing(dense), 0.001)
    back = far._to_native(np.asarray(lonlat.coords))
    assert max(shapely.distance(shapely.points(back), shapely.LinearRing(square))) < 1.5 * BEND


def test_an_area_of_a_wrong_projection_is_not_believed() -> None:
    assert MapPlace.of(a_chip(Affine(1, 0, 4e5, 0, -1, 5e6), "EPSG:32633")).planar_m2 == 1
    assert MapPlace.of(a_chip(Affine(1, 0, 1e6, 0, -1, 5e6), "EPSG:3857")).planar_m2 is None
    assert MapPlace.of(a_chip(Affine(1e-5, 0, 13, 0, -1e-5, 52), "EPSG:4326")).planar_m2 is None


def test_geodesic_and_planar_area_agree_where_both_are_true() -> None:
    parts = [shapely.box(10, 10, 110, 60)]
    place = MapPlace.of(a_chip(Affine(0.5, 0, 4e5, 0, -0.5, 5e6), "EPSG:32633"))
    geodesic = MapPlace(place.transform, place.to_lonlat, None)
    assert place.area(parts) == (1250, "planar")
    metres, method = geodesic.area(parts)
    assert method == "geodesic" and metres == pytest.approx(1250, rel=0.001)


@pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense", 'LOCAL_CS["site",UNIT["metre",1]]', "EPSG:5773"])
def test_a_crs_without_a_place_on_earth_is_refused(crs: str) -> None:
    with pytest.raises(ExportError, match=r"no place on earth; expected an EPSG code"):
        MapPlace.of(a_chip(Affine(1, 0, 0, 0, -1, 0), crs))
