"""Outlines in px: which are exact, how their overlays are computed, and the one way in which they are written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from converters.vectorise import ordered

# Outlines that are not exact are overlaid on a grid of this many px, so that cuts and seams meet to the last bit. A power of two:
# whole px lie on it.
GRID = 2.0**-10


def is_exact(parts: Iterable[Polygon]) -> bool:
    """Whether all vertices are corners of pixels: overlays of such outlines along pixel edges are computed without rounding."""
    points = shapely.get_coordinates(list(parts))
    return bool(np.array_equal(points, np.round(points)))


def overlay_grid(*groups: Sequence[Polygon]) -> float | None:
    """`grid_size` of an overlay of these outlines: None when they are exact."""
    return None if all(map(is_exact, groups)) else GRID


def polygons_of(geometry: BaseGeometry) -> tuple[Polygon, ...]:
    """The polygons of an overlay's result, lines and points left away; exact ones as `vectorise.polygons` would draw them.

    That is: no vertex in the middle of a straight line, rings that begin at their first corner in reading order, parts sorted by it.
    """
    found = [part for part in shapely.get_parts(geometry).tolist() if isinstance(part, Polygon) and part.area > 0]
    if not is_exact(found):
        return tuple(found)
    return tuple(ordered(Polygon(_corners(part.exterior), [_corners(hole) for hole in part.interiors]) for part in found))


def _corners(ring: shapely.LinearRing) -> np.ndarray:
    points = np.asarray(ring.coords)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
