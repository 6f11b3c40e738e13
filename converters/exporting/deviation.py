"""How far simplified outlines are from those that were drawn, on the ground."""

from __future__ import annotations

from collections.abc import Sequence

import shapely
from shapely import MultiPolygon, Polygon

from converters.exporting.ground import GroundAxes


def largest_deviation_m(drawn: Sequence[Sequence[Polygon]], simpler: Sequence[Sequence[Polygon]], axes: GroundAxes) -> float:
    """The largest distance in metres from a vertex of either outline of an object to its other outline; holes count as outlines.

    drawn, simpler: the polygons of each object, px of the raster. An object that lost all of its outline is not looked at.
    """
    largest = 0.0
    for before, after in zip(drawn, simpler, strict=True):
        if not after or before == after:
            continue
        one, other = (axes.to_ground(MultiPolygon(list(parts))) for parts in (before, after))
        largest = max(largest, _furthest_vertex(one, other), _furthest_vertex(other, one))
    return largest


def _furthest_vertex(shape: shapely.Geometry, other: shapely.Geometry) -> float:
    outline = shapely.boundary(other)
    shapely.prepare(outline)
    return float(shapely.distance(shapely.points(shapely.get_coordinates(shape)), outline).max())
