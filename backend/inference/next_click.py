"""The robot annotator's next click: the middle of the largest error.

Specification: MODELS.md section 7, the evaluation protocol of the RITM family. All of it happens inside the box that holds the object and
the mask: beyond it nothing is wrong, so nothing there changes a click or an IoU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

IGNORE = -1


@dataclass(frozen=True, slots=True)
class Truth:
    """One object's ground truth, prepared once for many clicks.

    wanted: HxW bool, the object. other: HxW bool, true where a mask would be wrong; pixels of neither are ignored.
    box: of the object, (col, row, width, height); empty for no pixel. area: pixels of the object.
    """

    wanted: NDArray[np.bool_]
    other: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    area: int

    @classmethod
    def of(cls, gt: NDArray[np.int8]) -> Truth:
        """gt: HxW, 1 object, 0 not, -1 ignored."""
        wanted = gt == 1
        return cls(wanted, gt == 0, _box(wanted), int(np.count_nonzero(wanted)))

    def errors(self, pred: NDArray[np.bool_]) -> Errors:
        """Where a mask is wrong. pred: HxW bool."""
        col, row, width, height = _union(self.box, _box(pred))
        part = (slice(row, row + height), slice(col, col + width))
        mask, wanted = pred[part], self.wanted[part]
        return Errors(wanted & ~mask, mask & self.other[part], row, col, self.area)


@dataclass(frozen=True, slots=True)
class Errors:
    """Where a mask is wrong, inside a box outside of which it is right.

    missing, superfluous: bool of the box. row, col: its upper-left pixel. area: pixels of the object.
    """

    missing: NDArray[np.bool_]
    superfluous: NDArray[np.bool_]
    row: int
    col: int
    area: int

    @property
    def iou(self) -> float:
        """Intersection over union of mask and object on pixels that are not ignored, 0..1; 1 when both are empty."""
        union = self.area + np.count_nonzero(self.superfluous)
        return (self.area - np.count_nonzero(self.missing)) / union if union else 1.0

    def next_click(self, not_clicked: NDArray[np.bool_]) -> tuple[bool, int, int]:
        """(positive, row, col) of the image, as the function `next_click`. not_clicked: HxW of the image."""
        height, width = self.missing.shape
        unclicked = not_clicked[self.row : self.row + height, self.col : self.col + width]
        missing, superfluous = _Region.of(self.missing), _Region.of(self.superfluous)
        if missing.deepest_possible > superfluous.deepest_possible:
            depth, row, col = missing.deepest(unclicked)
            other, other_row, other_col = superfluous.deepest(unclicked, at_least=depth)
            positive = depth > other
        else:
            other, other_row, other_col = superfluous.deepest(unclicked)
            depth, row, col = missing.deepest(unclicked, at_least=other + 1)
            positive = depth > other
        if positive:
            return True, self.row + row, self.col + col
        return (False, self.row + other_row, self.col + other_col) if other else (False, 0, 0)


def next_click(gt: NDArray[np.int8], pred: NDArray[np.bool_], not_clicked: NDArray[np.bool_]) -> tuple[bool, int, int]:
    """(positive, row, col) of the pixel farthest from the border of the larger error region.

    gt: HxW, 1 object, 0 not, -1 ignored: an ignored pixel is never an error. pred: HxW bool. not_clicked: HxW bool, False where an
    earlier click of this object lies.
    row, col: whole pixel indices. The image's border counts as a border of every region.
    A tie between missing and superfluous pixels is a negative click; among equally deep pixels the first in row-major order wins;
    with nothing left to correct (or nothing left to click) the answer is a negative click at (0, 0).
    """
    return Truth.of(gt).errors(pred).next_click(not_clicked)


@dataclass(frozen=True, slots=True)
class _Region:
    """Wrong pixels of one kind, cut to their own box. inside: bool. row, col: its upper-left pixel in px of the errors' box."""

    inside: NDArray[np.bool_]
    row: int
    col: int

    @classmethod
    def of(cls, region: NDArray[np.bool_]) -> _Region:
        col, row, width, height = _box(region)
        return cls(region[row : row + height, col : col + width], row, col)

    @property
    def deepest_possible(self) -> int:
        """No pixel of the region is farther from its outside."""
        return (min(self.inside.shape) + 1) // 2

    def deepest(self, unclicked: NDArray[np.bool_], *, at_least: int = 1) -> tuple[int, int, int]:
        """(squared distance to the nearest pixel outside, row, col) of the deepest unclicked pixel; (0, 0, 0) when there is none.

        at_least: squared; where no pixel is that deep, the answer may be (0, 0, 0) at less work.

        OpenCV's distances differ in their last bit with the memory they are computed in (its IPP path), which would let chance break
        ties. Their squares are whole numbers, so rounding the squares restores the exact values (up to some 1500 px of depth).

        Works on the region's bounding box with one pixel of outside around it. That changes no distance: everything beyond the box is
        outside, and the nearest such pixel of any pixel in the box lies straight up, down, left or right of it, on that ring.
        """
        height, width = self.inside.shape
        if not self.inside.size or self.deepest_possible**2 < at_least:
            return 0, 0, 0
        padded = np.zeros((height + 2, width + 2), np.uint8)
        padded[1:-1, 1:-1] = self.inside
        if _certainly_shallower(padded, at_least):
            return 0, 0, 0
        here = unclicked[self.row : self.row + height, self.col : self.col + width]
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] * here
        squared = np.rint(np.square(depth))
        first = int(squared.argmax())
        deepest = int(squared.flat[first])
        if deepest == 0:
            return 0, 0, 0
        return deepest, self.row + first // width, self.col + first % width


def _certainly_shallower(padded: NDArray[np.uint8], squared: int) -> bool:
    """Whether no pixel can have that squared distance to the outside; a fraction of what the distances themselves cost.

    A pixel with the nearest outside d away has it within a square of half-width d: its distance along rows or columns is at least
    d / sqrt(2). So it survives an erosion by a square of half-width ceil(d / sqrt(2)) - 1, beyond which the border is outside.
    """
    half = math.isqrt((squared + 1) // 2 - 1) if squared > 1 else 0  # the largest whole number below sqrt(squared / 2)
    if half < 1:
        return False
    square = np.ones((2 * half + 1, 2 * half + 1), np.uint8)
    return not cv2.erode(padded, square, borderType=cv2.BORDER_CONSTANT, borderValue=0).any()


def _box(region: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(col, row, width, height) of the true pixels; all 0 where there are none."""
    if not region.size:
        return 0, 0, 0, 0
    col, row, width, height = cv2.boundingRect(np.ascontiguousarray(region).view(np.uint8))
    return col, row, width, height


def _union(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The smallest (col, row, width, height) that holds both; an empty one adds nothing."""
    if not one[2] or not other[2]:
        return one if one[2] else other
    col, row = min(one[0], other[0]), min(one[1], other[1])
    right, bottom = max(one[0] + one[2], other[0] + other[2]), max(one[1] + one[3], other[1] + other[3])
    return col, row, right - col, bottom - row
