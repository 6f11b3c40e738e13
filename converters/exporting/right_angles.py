"""Right angles for buildings: an outline is replaced by edges along two directions, if it stays nearly the same area."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

# A squared outline is taken if it shares this part of the area that either of them covers (IoU); a round tank stays round.
AGREEMENT = 0.85


def squared(part: Polygon, tolerance: float) -> Polygon:
    """The part with right angles only, or itself where that would change it too much. Any unit of length, the tolerance's.

    tolerance: how far the outline may first be straightened (Douglas and Peucker), so that stairs along pixels become one edge. An edge
    then lies where it leaves as much area on both sides of it as the outline did.
    """
    straight = shapely.simplify(part, tolerance, preserve_topology=True)
    if not isinstance(straight, Polygon) or straight.is_empty:
        return part
    candidates = [found for angle in _directions(straight) if (found := _along(part, straight, angle)) is not None]
    best = max(candidates, key=lambda found: _agreement(found, part), default=None)
    return best if best is not None and _agreement(best, part) >= AGREEMENT else part


def _agreement(one: Polygon, other: Polygon) -> float:
    return shapely.intersection(one, other).area / shapely.union(one, other).area


def _directions(part: Polygon) -> list[float]:
    """Angles in radians that the outline may mainly run along: of its edges on average, and of the smallest box round it."""
    boxes = shapely.get_rings(shapely.minimum_rotated_rectangle(part))
    return [_mean_direction(np.asarray(ring.coords)) for ring in (part.exterior, *boxes)]


def _mean_direction(closed: NDArray[np.float64]) -> float:
    steps = np.diff(closed, axis=0)
    # Four times the angle: edges at right angles to each other count as one direction. Long edges say more.
    turned = (np.hypot(*steps.T) ** 2 * np.exp(4j * np.arctan2(steps[:, 1], steps[:, 0]))).sum()
    return float(np.angle(turned)) / 4


def _along(part: Polygon, straight: Polygon, angle: float) -> Polygon | None:
    """The part with all edges along the angle or across it; None where that is no polygon."""
    turn = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    origin = np.asarray(part.exterior.coords[0])
    rings = [np.asarray(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)]
    fewer = [np.asarray(ring.coords)[:-1] for ring in (straight.exterior, *straight.interiors)]
    if len(rings) != len(fewer):
        return None
    found = [_upright((ring - origin) @ turn, _places(ring, kept)) for ring, kept in zip(rings, fewer, strict=True)]
    shell, *holes = (None if ring is None else ring @ turn.T + origin for ring in found)
    if shell is None:
        return None
    polygon = Polygon(shell, [hole for hole in holes if hole is not None])
    return polygon if polygon.is_valid and polygon.area > 0 else None


def _places(ring: NDArray[np.float64], kept: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where the vertices of a simplified ring stand in the ring."""
    place = {point: index for index, point in enumerate(map(tuple, ring.tolist()))}
    return np.array([place[point] for point in map(tuple, kept.tolist())])


def _upright(ring: NDArray[np.float64], kept: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """A ring Nx2 with level and upright edges only, from the vertices `kept` of it; None when fewer than four edges are left.

    Neighbouring edges that are nearer to the same of the two directions become one edge, at their mean place, weighted by length.
    """
    steps = ring[np.roll(kept, -1)] - ring[kept]
    level = np.abs(steps[:, 0]) >= np.abs(steps[:, 1])
    turns = np.flatnonzero(level != np.roll(level, 1))
    if len(turns) < 4:
        return None
    places = _edge_places(ring, kept, level)
    # Begin at a turn, so that no run of edges goes on over the end of the list.
    steps, level, places = (np.roll(one, -turns[0], axis=0) for one in (steps, level, places))
    run = np.cumsum(level != np.roll(level, 1)) - 1
    length = np.abs(np.where(level, steps[:, 0], steps[:, 1]))
    place = np.bincount(run, length * places) / np.bincount(run, length)
    is_level = level[np.searchsorted(run, np.arange(run[-1] + 1))]
    before = np.roll(place, 1)
    return np.where(is_level[:, None], np.stack((before, place), axis=1), np.stack((place, before), axis=1))


def _edge_places(ring: NDArray[np.float64], kept: NDArray[np.int64], level: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Height of each level edge and x of each upright one, such that it has as much area on each side as the outline that it stands for."""
    following = np.roll(ring, -1, axis=0)
    steps, middle = following - ring, (ring + following) / 2
    under = np.concatenate(
        (np.zeros((1, 2)), np.cumsum(np.stack((steps[:, 0] * middle[:, 1], steps[:, 1] * middle[:, 0]), axis=1), axis=0))
    )
    after = np.roll(kept, -1)
    area = under[after] - under[kept] + np.where((after <= kept)[:, None], under[-1], 0)
    across = ring[after] - ring[kept]
    return np.where(level, area[:, 0] / np.where(level, across[:, 0], 1), area[:, 1] / np.where(level, 1, across[:, 1]))
