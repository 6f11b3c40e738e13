"""Objects of one raster as a coverage, whose neighbours share their vertices, and its simplification: no gaps, no slivers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from converters.exporting.ground import GroundAxes
from converters.exporting.outlines import GRID, is_exact

Parts = tuple[Polygon, ...]


def simplified(objects: Sequence[Parts], tolerance: float, axes: GroundAxes) -> list[Parts]:
    """The objects with fewer vertices, neighbours still sharing theirs; parts are polygons (col, row) in px of the raster.

    tolerance: metres. A vertex goes when the triangle that it forms with its neighbours is smaller than tolerance squared (Visvalingam and
    Whyatt; GEOS keeps rings from crossing). The objects must not overlap by more than `outlines.GRID` px.
    """
    matched = [axes.to_ground(MultiPolygon(parts)) for parts in edge_matched(objects)]
    fewer = shapely.coverage_simplify(matched, tolerance)
    # Where fewer vertices make an outline touch itself or another one, it gets a vertex there, so that it stays valid on the map.
    return _overlaid([_polygons(axes.to_pixels(shape)) for shape in fewer]) if any(objects) else list(objects)


def edge_matched(objects: Sequence[Parts]) -> list[Parts]:
    """The same areas with a vertex wherever another object's vertex lies on an edge, so that common edges are the same in both.

    Outlines along pixel edges stay exact; others are laid onto a grid of `outlines.GRID` px.
    """
    if not any(objects):
        return list(objects)
    if all(_along_pixels(parts) for parts in objects):
        return _with_vertices_between(objects)
    return _overlaid(objects)


def _overlaid(objects: Sequence[Parts]) -> list[Parts]:
    """All outlines laid over each other on the grid; each face of the drawing goes to the last of the objects that cover it.

    A face that none covers and that is no wider than the grid's step is what rounding left between two objects: one of them gets it.
    """
    shapes = [MultiPolygon(parts) for parts in objects]
    lines = shapely.union_all(shapely.boundary(shapes), grid_size=GRID)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    face, layer = shapely.STRtree(shapes).query(shapely.point_on_surface(faces), predicate="intersects")
    owner = np.full(len(faces), -1)
    np.maximum.at(owner, face, layer)
    slivers = np.flatnonzero((owner < 0) & (shapely.area(faces) < GRID * shapely.length(faces))).tolist()
    tree = shapely.STRtree(faces if slivers else [])
    for sliver in slivers:
        owner[sliver] = _longest_beside(sliver, faces, tree, owner)
    order = np.argsort(owner, kind="stable")
    mine = np.split(faces[order], np.searchsorted(owner[order], np.arange(len(objects))))[1:]
    return [_polygons(shapely.coverage_union_all(own)) if len(own) else () for own in mine]


def _longest_beside(sliver: int, faces: NDArray[np.object_], tree: shapely.STRtree, owner: NDArray[np.int64]) -> int:
    """The owner of the faces that have the longest border in common with this one; -1 where nobody's faces do."""
    outline = shapely.boundary(faces[sliver])
    lengths: dict[int, float] = {}
    for face in sorted(int(at) for at in tree.query(outline, predicate="intersects") if owner[at] >= 0):
        shared = shapely.intersection(outline, shapely.boundary(faces[face])).length
        lengths[int(owner[face])] = lengths.get(int(owner[face]), 0.0) + shared
    return max(lengths, key=lambda index: lengths[index], default=-1)


def _polygons(shape: shapely.Geometry) -> Parts:
    return tuple(part for part in shapely.get_parts(shape).tolist() if isinstance(part, Polygon) and part.area > 0)


# --- outlines along pixel edges


def _along_pixels(parts: Parts) -> bool:
    if not is_exact(parts):
        return False
    points, ring = shapely.get_coordinates(shapely.get_rings(list(parts)), return_index=True)
    steps = np.diff(points, axis=0)[np.diff(ring) == 0]
    return bool(((steps[:, 0] == 0) | (steps[:, 1] == 0)).all())


def _with_vertices_between(objects: Sequence[Parts]) -> list[Parts]:
    """`edge_matched` for outlines along pixel edges, exactly: an edge gets every vertex of the drawing that lies on it."""
    rings, part_of = shapely.get_rings(np.array([part for parts in objects for part in parts]), return_index=True)
    points, ring_of = shapely.get_coordinates(rings, return_index=True)
    points = points.astype(np.int64)
    edges = np.flatnonzero(np.diff(ring_of) == 0)
    starts, ends = points[edges], points[edges + 1]
    filled, edge_of = _between(starts, ends, np.unique(points, axis=0))
    closed = np.asarray(shapely.linearrings(filled, indices=ring_of[edges][edge_of]))
    drawn = np.asarray(shapely.polygons(closed, indices=part_of))
    several = np.cumsum([len(parts) for parts in objects])[:-1]
    return [tuple(parts.tolist()) for parts in np.split(drawn, several)]


def _between(
    starts: NDArray[np.int64], ends: NDArray[np.int64], vertices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The start of each edge and the vertices inside it, in its direction; and which edge each belongs to. Ends are left out."""
    first, last = np.zeros((2, len(starts)), np.int64)
    found = np.zeros((2, *vertices.shape), np.int64)
    far = int(vertices.max()) + 2
    for fixed in (0, 1):
        # Along a line of this axis, vertices are sorted by the other one.
        key = vertices[:, fixed] * far + vertices[:, 1 - fixed]
        found[fixed] = vertices[np.argsort(key)]
        key.sort()
        along = starts[:, fixed] == ends[:, fixed]
        line = starts[along, fixed] * far
        free = np.sort(np.stack((starts[along, 1 - fixed], ends[along, 1 - fixed])), axis=0)
        first[along] = np.searchsorted(key, line + free[0], "right")
        last[along] = np.searchsorted(key, line + free[1], "left")
    counts = 1 + last - first
    edge_of = np.repeat(np.arange(len(starts)), counts)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    backwards = np.asarray((starts > ends).any(axis=1))
    place = np.where(backwards[edge_of], last[edge_of] - step, first[edge_of] + step - 1)
    axis = np.where(starts[:, 0] == ends[:, 0], 0, 1)
    inside = found[axis[edge_of], np.clip(place, 0, len(vertices) - 1)]
    return np.where((step == 0)[:, None], starts[edge_of], inside), edge_of
