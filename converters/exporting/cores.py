"""Core areas: where chips overlap, each px belongs to one of them, and the border runs through the middle of the overlap."""

from __future__ import annotations

from collections.abc import Iterable

import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from converters.chips import PixelWindow


def cores(windows: Iterable[PixelWindow]) -> dict[PixelWindow, BaseGeometry]:
    """The core of every window, as an area in px of the raster with whole corners; together they are all windows, without overlap.

    The border between two overlapping windows halves their overlap across its narrower side; half a px goes to the right or lower one.
    Windows of any size and place may meet; a px that such pairs leave to nobody belongs to the first of its windows in reading order.
    """
    ordered = sorted(set(windows), key=lambda window: (window.row_off, window.col_off, window.height, window.width))
    boxes = [_box(window) for window in ordered]
    tree = shapely.STRtree(boxes)
    neighbours = [[int(j) for j in tree.query(box) if j != i and _overlap(ordered[i], ordered[int(j)])] for i, box in enumerate(boxes)]
    found: list[BaseGeometry] = []
    for i, box in enumerate(boxes):
        lost = [part for j in neighbours[i] if (part := _lost(ordered[i], ordered[j], first=i < j)) is not None]
        found.append(shapely.difference(box, shapely.union_all(lost)) if lost else box)
    for i, box in enumerate(boxes):
        # Three windows may pass a px round in a circle.
        if neighbours[i]:
            missing = shapely.difference(box, shapely.union_all([found[i], *(found[j] for j in neighbours[i])]))
            if missing.area > 0:
                found[i] = shapely.union(found[i], missing)
    return dict(zip(ordered, found, strict=True))


def _box(window: PixelWindow) -> Polygon:
    return shapely.box(window.col_off, window.row_off, window.col_off + window.width, window.row_off + window.height)


def _overlap(one: PixelWindow, other: PixelWindow) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of the px that both show; None when there are none."""
    left, right = max(one.col_off, other.col_off), min(one.col_off + one.width, other.col_off + other.width)
    top, bottom = max(one.row_off, other.row_off), min(one.row_off + one.height, other.row_off + other.height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _lost(mine: PixelWindow, theirs: PixelWindow, *, first: bool) -> Polygon | None:
    """The part of the overlap that is theirs; None when it is empty. first: I come first in reading order."""
    overlap = _overlap(mine, theirs)
    assert overlap is not None, "only windows that overlap have a border"
    left, top, right, bottom = overlap
    # Twice the middles, so that they stay whole.
    across = (2 * mine.col_off + mine.width) - (2 * theirs.col_off + theirs.width)
    down = (2 * mine.row_off + mine.height) - (2 * theirs.row_off + theirs.height)
    if (right - left <= bottom - top and across != 0) or down == 0:
        middle = (left + right) // 2
        i_am_left = across < 0 or (across == 0 and first)
        part = (middle, top, right, bottom) if i_am_left else (left, top, middle, bottom)
    else:
        middle = (top + bottom) // 2
        part = (left, middle, right, bottom) if down < 0 else (left, top, right, middle)
    return shapely.box(*part) if part[0] < part[2] and part[1] < part[3] else None
