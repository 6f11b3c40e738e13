"""A mask as polygons whose edges are the outer edges of its pixels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import rasterio.features
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely import Polygon


def polygons(mask: ArrayLike, *, tolerance: float = 0.0, corner: tuple[int, int] = (0, 0)) -> list[Polygon]:
    """The parts of a mask HxW (true or not zero: the object) as polygons (col, row) in px, edge-based, holes kept.

    One polygon per 4-connected part: pixels that touch at a corner only would make a ring that touches itself. Without a tolerance
    the polygons cover exactly the pixels of the mask: their vertices are the corners of its outline, whole numbers. With one, vertices
    are left out as long as no point of the outline moves by more than `tolerance` px (Douglas and Peucker), rings never crossing.
    The order of parts, rings and vertices depends on the mask alone: each ring begins at its first corner in reading order, holes and
    parts are sorted by theirs. Outer rings run clockwise on the screen, holes the other way round.
    corner: column and row of the mask's upper-left pixel, of a mask that is part of a larger one.
    """
    grid = (np.asarray(mask) != 0).astype(np.uint8)
    if grid.ndim != 2:
        raise ValueError(f"a mask of shape {grid.shape}; expected height x width")
    found = _traced(grid, corner)
    if tolerance > 0:
        found = [part for polygon in found for part in _parts(shapely.simplify(polygon, tolerance, preserve_topology=True))]
    return ordered(found)


def ordered(found: Iterable[Polygon]) -> list[Polygon]:
    """The polygons in the order of `polygons`: rings begin at their first corner in reading order, holes and parts are sorted by theirs."""
    return sorted((_ordered(polygon) for polygon in found), key=_first_corner)


def _traced(grid: NDArray[np.uint8], corner: tuple[int, int]) -> list[Polygon]:
    rows, cols = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    if not rows.size:
        return []
    # Most objects are small beside their chip: only their surroundings are traced.
    box = np.ascontiguousarray(grid[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])
    traced = rasterio.features.shapes(box, mask=box.astype(bool), connectivity=4)
    offset = np.array((cols[0], rows[0])) + corner
    rings = ([np.asarray(ring) + offset for ring in geometry["coordinates"]] for geometry, _ in traced)
    return [Polygon(shell, holes) for shell, *holes in rings]


def _parts(geometry: shapely.Geometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(geometry).tolist() if isinstance(part, Polygon) and not part.is_empty]


def _ordered(polygon: Polygon) -> Polygon:
    oriented = shapely.orient_polygons(polygon)  # counter-clockwise as numbers: clockwise on a screen, whose rows go down
    holes = sorted((_from_first_corner(hole.coords) for hole in oriented.interiors), key=lambda ring: (ring[0, 1], ring[0, 0]))
    return Polygon(_from_first_corner(oriented.exterior.coords), holes)


def _from_first_corner(coordinates: ArrayLike) -> np.ndarray:
    ring = np.asarray(coordinates)[:-1, :2]
    return np.roll(ring, -int(np.lexsort((ring[:, 0], ring[:, 1]))[0]), axis=0)


def _first_corner(polygon: Polygon) -> tuple[float, float]:
    col, row = polygon.exterior.coords[0]
    return row, col
