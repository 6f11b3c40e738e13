"""Right angles for named classes within a layer: buildings are squared, and their neighbours follow, without gaps or overlaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from converters.exporting.coverage import Parts, edge_matched
from converters.exporting.ground import GroundAxes
from converters.exporting.outlines import GRID
from converters.exporting.right_angles import squared

# Stairs along pixels at an angle are up to this many px deep.
STAIRS = 1.5
# Shapes this close, in px, have their border in common: what is cut on the grid is moved by up to a part of its step.
RIM = 8 * GRID


def with_right_angles(
    objects: Sequence[Parts], classes: Sequence[str], squared_classes: Collection[str], tolerance: float, axes: GroundAxes
) -> list[Parts]:
    """The objects (polygons in px of the raster) with right angles where their class is to have them.

    classes: of each object. tolerance: metres that an outline may be straightened by; at least `STAIRS` px.
    A squared object takes what it needs from its neighbours; what it gives up goes to the neighbour with the longest common border, and
    to nobody where there is none. Where an object would lose everything, its neighbours stay as they were.
    """
    limit = max(tolerance, STAIRS * axes.px)
    new = {index: _squared(parts, limit, axes) for index, parts in enumerate(objects) if classes[index] in squared_classes}
    new = {index: parts for index, parts in new.items() if parts and parts != objects[index]}
    while new:
        found = edge_matched(_given_way(objects, new))
        lost = [MultiPolygon(objects[index]) for index, parts in enumerate(found) if not parts and objects[index]]
        if not lost:
            return found
        taken = shapely.union_all(lost)
        new = {index: parts for index, parts in new.items() if not shapely.intersects(MultiPolygon(parts), taken)}
    return list(objects)


def _given_way(objects: Sequence[Parts], new: Mapping[int, Parts]) -> list[Parts]:
    """The objects with `new` outlines for some; all others without what these cover, and with what these gave up beside them."""
    shapes = [MultiPolygon(parts) for parts in objects]
    tree = shapely.STRtree(shapes)
    squares = {index: MultiPolygon(parts) for index, parts in new.items()}
    square_tree, order = shapely.STRtree(list(squares.values())), list(squares)

    def covering(shape: BaseGeometry, *, before: int | None = None) -> BaseGeometry:
        near = sorted(order[int(at)] for at in square_tree.query(shape, predicate="intersects"))
        return shapely.union_all([squares[index] for index in near if before is None or index < before], grid_size=GRID)

    gained: dict[int, list[BaseGeometry]] = defaultdict(list)
    # What two buildings gave up side by side is one gap.
    gaps = shapely.union_all([shapely.difference(shapes[index], covering(shapes[index]), grid_size=GRID) for index in new], grid_size=GRID)
    for gap in shapely.get_parts(gaps).tolist():
        beside = {int(at): shapes[int(at)] for at in tree.query(gap) if int(at) not in new}
        squares_beside = {order[int(at)]: squares[order[int(at)]] for at in square_tree.query(gap)}
        if (heir := _heir(gap, beside, squares_beside)) is not None:
            gained[heir].append(gap)
    found: list[Parts] = []
    for index, shape in enumerate(shapes):
        # Of two new outlines that overlap, the first has what both claim.
        whole = squares.get(index, shape)
        if index in gained:
            whole = shapely.union_all([whole, *gained[index]], grid_size=GRID)
        taken = covering(whole, before=index if index in new else None)
        if not taken.is_empty:
            whole = shapely.difference(whole, taken, grid_size=GRID)
        found.append(tuple(part for part in shapely.get_parts(whole).tolist() if isinstance(part, Polygon) and part.area > 0))
    return found


def _heir(gap: BaseGeometry, plain: Mapping[int, BaseGeometry], squares: Mapping[int, BaseGeometry]) -> int | None:
    """Which of the shapes beside it gets a gap: the plain one with the longest border in common; a squared one only where such shapes
    enclose the gap; None where it lies at the edge of the layer.
    """
    around = shapely.buffer(gap, RIM)
    border = {index: shapely.intersection(around, shape).area for index, shape in sorted(plain.items())}
    best = max(border, key=lambda index: border[index], default=None)
    if best is not None and border[best] > RIM**2:
        return best
    left = shapely.difference(around, shapely.union_all([gap, *squares.values()]))
    border = {index: shapely.intersection(around, shape).area for index, shape in sorted(squares.items())}
    return max(border, key=lambda index: border[index]) if border and left.area < RIM * shapely.length(gap) / 10 else None


def _squared(parts: Parts, tolerance: float, axes: GroundAxes) -> Parts:
    straight = [axes.to_pixels(squared(_polygon(axes.to_ground(part)), tolerance)) for part in parts]
    whole = shapely.union_all([part for part in straight if isinstance(part, Polygon)])
    return tuple(part for part in shapely.get_parts(whole).tolist() if isinstance(part, Polygon) and part.area > 0)


def _polygon(shape: BaseGeometry) -> Polygon:
    assert isinstance(shape, Polygon)
    return shape
