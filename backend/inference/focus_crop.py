"""FocalClick's focus crop: the part of the object that the last click is about. MODELS.md 6.4, step 4."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.inference.crop import Roi

Mask = NDArray[np.bool_]
FEW_PIXELS = 10  # a mask of fewer is no shape to go by, and counts as the whole image
SMALL_CHANGE = 3  # a change with a side under a third of the object's is looked at in a square about the click
SQUARE = 0.2  # half its side, as a share of the object's longer side


@dataclass(frozen=True, slots=True)
class FocusCrop:
    """Setting of the focus crop. expansion_ratio: its side over the side of what changed, or of the object."""

    expansion_ratio: float = 1.4

    def roi(self, found: Mask, before: Mask, pixel: tuple[int, int], within: Roi) -> Roi:
        """Where to refine: the new object as a whole, or the change that the click made to a known one.

        found: HxW, the coarse answer. before: HxW, the answer to the click before; empty for a new object. pixel: (row, col) clicked.
        within: what the coarse network answered for; also the result where the focus crop would lie outside it. The originals stop with an
        error there (MODELS.md, gotcha 14).
        """
        if before.any():
            top, bottom, left, right = _of_change(found, before, pixel)
        else:
            top, bottom, left, right = _bounds(found)
        rows = self._expanded(top, bottom, found.shape[0], (within.row_min, within.row_max + 1))
        cols = self._expanded(left, right, found.shape[1], (within.col_min, within.col_max + 1))
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return within
        return Roi(rows[0], rows[1] - 1, cols[0], cols[1] - 1)

    def _expanded(self, low: float, high: float, length: int, bounds: tuple[int, int]) -> tuple[int, int]:
        """A range widened about its centre, cut to whole numbers, clamped to 0..length and to the bounds; the second end is exclusive."""
        centre, side = (low + high) / 2, self.expansion_ratio * (high - low + 1)
        ends = (int(centre - side / 2), int(centre + side / 2))
        first, last = (min(max(end, 0), length) for end in ends)
        return max(first, bounds[0]), min(last, bounds[1])


def component_at(mask: Mask, pixel: tuple[int, int]) -> Mask:
    """The 8-connected component of a HxW mask that holds the pixel (row, col); where the pixel is False, everything that is."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return labels == labels[pixel]


def _of_change(found: Mask, before: Mask, pixel: tuple[int, int]) -> tuple[float, float, float, float]:
    """Bounds of the change at the click, or of a square about the click where that change is small beside the object."""
    top, bottom, left, right = _bounds(found)
    change = _bounds(component_at(found ^ before, pixel))
    height, width = bottom - top, right - left
    if change[1] - change[0] < height / SMALL_CHANGE or change[3] - change[2] < width / SMALL_CHANGE:
        half = SQUARE * max(height, width)
        row, col = pixel
        return row - half, row + half, col - half, col + half
    return change


def _bounds(mask: Mask) -> tuple[int, int, int, int]:
    """(first row, last row, first col, last col) of a mask; (0, height, 0, width) where it has next to no pixels."""
    if np.count_nonzero(mask) < FEW_PIXELS:
        return 0, mask.shape[0], 0, mask.shape[1]
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(cols[0]), int(cols[-1])
