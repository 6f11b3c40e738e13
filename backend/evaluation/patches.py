"""Labelled images as patches with objects: what the robot annotator works through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.frames import Size
from converters.labelled import LabelledImage, LabelledObject


@dataclass(frozen=True, slots=True)
class Patch:
    """A window of an image with at least one object; the objects' arrays have the window's size."""

    image: str
    window: PixelWindow
    objects: tuple[LabelledObject, ...]


def patches(image: LabelledImage, size: int | None, min_area: int) -> list[Patch]:
    """The patches of an image that hold objects of at least `min_area` pixels, row by row.

    size: side of the square patches in px; those at the right and lower edge may be smaller; None leaves the image whole.
    An object that a patch's edge cuts counts as its 8-connected parts there; one that lies within the patch stays as it is.
    """
    objects = image.objects(min_area)
    if not objects:
        return []
    height, width = objects[0].components.shape
    whole = PixelWindow(0, 0, width, height)
    if size is None:
        return [Patch(image.name, whole, tuple(objects))]
    cut: list[Patch] = []
    for window in windows(whole.size, size):
        inside = tuple(part for each in objects for part in _parts(each, window, min_area))
        if inside:
            cut.append(Patch(image.name, window, inside))
    return cut


def windows(image: Size, side: int) -> Iterator[PixelWindow]:
    """Windows of `side` px that tile an image from its upper-left corner, row by row, partial ones kept."""
    for row in range(0, image.height, side):
        for col in range(0, image.width, side):
            yield PixelWindow(col, row, min(side, image.width - col), min(side, image.height - row))


def read_patch(image: LabelledImage, window: PixelWindow) -> NDArray[np.uint8]:
    """The patch's pixels, uint8 HxWx3. TaskError when the image is smaller than its label says."""
    pixels = image.read()
    cut = pixels[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
    if cut.shape[:2] != (window.height, window.width):
        found, needed = Size(pixels.shape[1], pixels.shape[0]), Size(window.col_off + window.width, window.row_off + window.height)
        raise TaskError(f"{image.name}: the image is {found}, its label reaches to {needed}; give an image and a label of one size")
    return np.ascontiguousarray(cut)


def _parts(each: LabelledObject, window: PixelWindow, min_area: int) -> Iterator[LabelledObject]:
    """What of an object lies in the window, as objects of the window's size."""
    top, left, bottom, right = each.box
    row0, col0, row1, col1 = window.row_off, window.col_off, window.row_off + window.height, window.col_off + window.width
    if top >= row1 or left >= col1 or bottom <= row0 or right <= col0:
        return
    ignore = None if each.ignore is None else each.ignore[row0:row1, col0:col1]
    components = each.components[row0:row1, col0:col1]
    if top >= row0 and left >= col0 and bottom <= row1 and right <= col1:
        yield LabelledObject(
            each.class_name, each.area, (top - row0, left - col0, bottom - row0, right - col0), each.component, components, ignore
        )
        return
    inside = (components == each.component).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    for part, (x, y, width, height, area) in enumerate(stats.tolist()[1:], start=1):
        if area >= min_area:
            yield LabelledObject(each.class_name, area, (y, x, y + height, x + width), part, parts.astype(np.int32, copy=False), ignore)
