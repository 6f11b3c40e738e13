"""A polygon with holes as one ring, for formats that know no holes: the ring walks to each hole along a bridge, round it, and back.

A bridge is walked both ways, so it encloses nothing: a reader that fills the ring (even-odd or non-zero) gets the polygon itself. Every
bridge runs from a hole straight to the left until it meets the ring made so far, and so lies inside the polygon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, orient_polygons


def one_ring(polygon: Polygon) -> NDArray[np.float64]:
    """The ring Nx2 (col, row), its last vertex joined to its first, that encloses what a valid polygon does."""
    polygon = orient_polygons(polygon)
    ring = np.asarray(polygon.exterior.coords)[:-1, :2]
    holes = [_from_leftmost(np.asarray(hole.coords)[:-1, :2]) for hole in polygon.interiors]
    # From left to right: what a bridge can meet on its way is part of the ring already.
    for hole in sorted(holes, key=lambda one: (one[0, 0], one[0, 1])):
        ring = _joined(ring, hole)
    return ring


def _from_leftmost(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.roll(ring, -int(np.lexsort((ring[:, 1], ring[:, 0]))[0]), axis=0)


def _joined(ring: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring with a bridge to the first vertex of the hole, of no length where the hole touches the ring there."""
    edge, col = _first_to_the_left(ring, hole[0])
    foot = np.array([[col, hole[0, 1]]])
    joined = np.insert(ring, edge + 1, np.concatenate((foot, hole, hole[:1], foot)), axis=0)
    return joined[(joined != np.roll(joined, 1, axis=0)).any(axis=1)]


def _first_to_the_left(ring: NDArray[np.float64], point: NDArray[np.float64]) -> tuple[int, float]:
    """(number of the edge, column) where a ray from the point to the left first meets the ring; the point may lie on it."""
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], ends[:, 1]), np.maximum(ring[:, 1], ends[:, 1])
    met = np.flatnonzero((low <= point[1]) & (point[1] <= high) & (np.minimum(ring[:, 0], ends[:, 0]) <= point[0]))
    start, end = ring[met], ends[met]
    rise = end[:, 1] - start[:, 1]
    level = rise == 0
    share = np.divide(point[1] - start[:, 1], rise, out=np.zeros_like(rise), where=~level)
    # A level edge is met at its end on the right, or at the point itself where the edge passes it.
    cols = np.where(level, np.minimum(np.maximum(start[:, 0], end[:, 0]), point[0]), start[:, 0] + share * (end[:, 0] - start[:, 0]))
    cols[cols > point[0]] = -np.inf
    nearest = int(np.argmax(cols))
    return int(met[nearest]), float(cols[nearest])
