"""Labelled images as patches with objects: what the robot annotator works through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.frames import Size
from converters.labelled import LabelledImage, LabelledObject
from converters.labelled_objects import inside_image, whole


@dataclass(frozen=True, slots=True)
class Patch:
    """A window of an image with at least one object; the objects' arrays have the window's size."""

    image: str
    window: PixelWindow
    objects: tuple[LabelledObject, ...]


def patches(image: LabelledImage, size: int | None, min_area: int) -> list[Patch]:
    """The patches of an image that hold objects of at least `min_area` pixels, row by row.

    size: side of the square patches in px; those at the right and lower edge may be smaller; None leaves the image whole.
    What counts as an object of a patch stands in `converters.labelled_objects`.
    """
    tiles = [whole(image.size)] if size is None else windows(image.size, size)
    found = ((window, tuple(image.objects(min_area, window))) for window in tiles)
    return [Patch(image.name, window, objects) for window, objects in found if objects]


PatchWindow = tuple[int, int, int, int]
"""(col_off, row_off, width, height) of a patch in px of its image."""


def as_tuple(window: PixelWindow) -> PatchWindow:
    """The window as plain numbers."""
    return (window.col_off, window.row_off, window.width, window.height)


def windows(image: Size, side: int) -> Iterator[PixelWindow]:
    """Windows of `side` px that tile an image from its upper-left corner, row by row, partial ones kept."""
    for row in range(0, image.height, side):
        for col in range(0, image.width, side):
            yield PixelWindow(col, row, min(side, image.width - col), min(side, image.height - row))


def read_patch(image: LabelledImage, window: PixelWindow) -> NDArray[np.uint8]:
    """The patch's pixels, uint8 HxWxC. TaskError for a window outside the image."""
    return np.ascontiguousarray(image.read(inside_image(window, image.size, image.name)))
