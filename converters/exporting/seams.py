"""Seams: each chip's core decides what is there, and pieces of one class that meet across the border of two cores are one object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from converters.chips import PixelWindow
from converters.exporting.account import Account
from converters.exporting.drawn import Drawn
from converters.exporting.outlines import overlay_grid, polygons_of


@dataclass(frozen=True, slots=True)
class Joined:
    """Pieces that are one object, in the order of the export. swallowed: regions outside their chip's core that show the same object."""

    pieces: tuple[Drawn, ...]
    parts: tuple[Polygon, ...]
    swallowed: tuple[Drawn, ...] = ()


def cut_to_cores(drawn: Sequence[Drawn], cores: Mapping[PixelWindow, BaseGeometry]) -> tuple[list[Drawn], list[Drawn]]:
    """(inside, outside): the regions without what lies outside their chip's core, and those of which nothing is left, whole."""
    inside: list[Drawn] = []
    outside: list[Drawn] = []
    for one in drawn:
        core, window = cores[one.chip.window], one.chip.window
        if core.area == window.width * window.height:
            inside.append(one)
            continue
        cut = shapely.intersection(MultiPolygon(one.parts), core, grid_size=overlay_grid(one.parts))
        parts = polygons_of(cut)
        if not parts:
            outside.append(one)
        elif cut.area == sum(part.area for part in one.parts):
            inside.append(one)
        else:
            inside.append(replace(one, parts=parts))
    return inside, outside


def join(pieces: Sequence[Drawn], cores: Mapping[PixelWindow, BaseGeometry]) -> list[Joined]:
    """The objects: pieces of one class from different chips that share a stretch of the border of their cores, and so on from piece to
    piece. Pieces of one chip are never joined directly: two regions there are two objects, unless one across the border touches both.
    """
    group = list(range(len(pieces)))

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    for first, second in _contacts(pieces, cores):
        one, other = root(first), root(second)
        group[max(one, other)] = min(one, other)
    members: dict[int, list[Drawn]] = defaultdict(list)
    for index, piece in enumerate(pieces):
        members[root(index)].append(piece)
    return [Joined(tuple(together), _union(together)) for together in members.values()]


def swallow(objects: Sequence[Joined], outside: Sequence[Drawn], account: Account) -> list[Joined]:
    """The objects with the regions that show them outside of their own core; a region whose object the deciding chip does not have is
    left out.
    """
    found = list(objects)
    tree = shapely.STRtree([MultiPolygon(one.parts) for one in objects])
    shapes = tree.geometries
    for lost in outside:
        shape = MultiPolygon(lost.parts)
        near = [int(index) for index in tree.query(shape) if objects[int(index)].pieces[0].class_name == lost.class_name]
        grid = overlay_grid(lost.parts, *(objects[index].parts for index in near))
        shared = {index: shapely.intersection(shapes[index], shape, grid_size=grid).area for index in near}
        best = max(shared, key=lambda index: shared[index], default=None)
        if best is None or shared[best] == 0:
            missing = f"it lies where a neighbouring chip decides, and that one has no {lost.class_name} there; --seams keep exports it"
            account.left_out(lost.name, missing)
        else:
            found[best] = replace(found[best], swallowed=(*found[best].swallowed, lost))
    return found


def _union(pieces: Sequence[Drawn]) -> tuple[Polygon, ...]:
    if len(pieces) == 1:
        return pieces[0].parts
    parts = [part for piece in pieces for part in piece.parts]
    return polygons_of(shapely.union_all(parts, grid_size=overlay_grid(parts)))


def _contacts(pieces: Sequence[Drawn], cores: Mapping[PixelWindow, BaseGeometry]) -> list[tuple[int, int]]:
    """Pairs of pieces of one class and different chips that have a stretch of a border in common."""
    lines = {window: [np.unique(axis) for axis in shapely.get_coordinates(core).T] for window, core in cores.items()}
    stretches: dict[tuple[str, int, float], list[tuple[float, float, int]]] = defaultdict(list)
    for index, piece in enumerate(pieces):
        borders = lines[piece.chip.window]
        for part in piece.parts:
            for ring in (part.exterior, *part.interiors):
                points = np.asarray(ring.coords)
                for axis in (0, 1):
                    for line, low, high in _along(points, axis, borders[axis]):
                        stretches[piece.class_name, axis, line].append((low, high, index))
    pairs: list[tuple[int, int]] = []
    for along in stretches.values():
        pairs += _overlapping(sorted(along), pieces)
    return pairs


def _along(points: np.ndarray, axis: int, borders: np.ndarray) -> list[tuple[float, float, float]]:
    """(line, from, to) of a closed ring's edges that run along one of the borders with that coordinate."""
    fixed, free = points[:, axis], points[:, 1 - axis]
    on = (fixed[:-1] == fixed[1:]) & np.isin(fixed[:-1], borders)
    low, high = np.minimum(free[:-1], free[1:])[on], np.maximum(free[:-1], free[1:])[on]
    return list(zip(fixed[:-1][on].tolist(), low.tolist(), high.tolist(), strict=True))


def _overlapping(along: list[tuple[float, float, int]], pieces: Sequence[Drawn]) -> list[tuple[int, int]]:
    """Pairs of pieces of different chips among stretches of one line, sorted, that overlap by more than a point."""
    pairs: list[tuple[int, int]] = []
    active: list[tuple[float, int]] = []
    for low, high, index in along:
        active = [(end, other) for end, other in active if end > low]
        pairs += [(other, index) for _, other in active if pieces[other].chip.window != pieces[index].chip.window]
        active.append((high, index))
    return pairs
