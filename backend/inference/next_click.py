"""The robot annotator's next click: the middle of the largest error.

Specification: MODELS.md section 7, the evaluation protocol of the RITM family.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

IGNORE = -1


def next_click(gt: NDArray[np.int8], pred: NDArray[np.bool_], not_clicked: NDArray[np.bool_]) -> tuple[bool, int, int]:
    """(positive, row, col) of the pixel farthest from the border of the larger error region.

    gt: HxW, 1 object, 0 not, -1 ignored: an ignored pixel is never an error. pred: HxW bool. not_clicked: HxW bool, False where an
    earlier click of this object lies.
    row, col: whole pixel indices. The image's border counts as a border of every region.
    A tie between missing and superfluous pixels is a negative click; among equally deep pixels the first in row-major order wins;
    with nothing left to correct (or nothing left to click) the answer is a negative click at (0, 0).
    """
    missing = np.logical_and(gt == 1, ~pred)
    superfluous = np.logical_and(gt == 0, pred)
    missing_depth, missing_row, missing_col = _deepest(missing, not_clicked)
    superfluous_depth, superfluous_row, superfluous_col = _deepest(superfluous, not_clicked)
    if missing_depth > superfluous_depth:
        return True, missing_row, missing_col
    return False, superfluous_row, superfluous_col


def _deepest(region: NDArray[np.bool_], not_clicked: NDArray[np.bool_]) -> tuple[int, int, int]:
    """(squared distance to the nearest pixel outside, row, col) of the deepest unclicked pixel; (0, 0, 0) when there is none.

    OpenCV's distances differ in their last bit with the memory they are computed in (its IPP path), which would let chance break
    ties. Their squares are whole numbers, so rounding the squares restores the exact values (up to some 1500 px of depth).

    Works on the region's bounding box with one pixel of outside around it. That changes no distance: everything beyond the box is
    outside, and the nearest such pixel of any pixel in the box lies straight up, down, left or right of it, on that ring.
    """
    region_u8 = region.view(np.uint8)
    col, row, width, height = cv2.boundingRect(region_u8)
    if not width:
        return 0, 0, 0
    box = (slice(row, row + height), slice(col, col + width))
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = region_u8[box]
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] * not_clicked[box]
    squared = np.rint(np.square(depth))
    first = int(squared.argmax())
    deepest = int(squared.flat[first])
    if deepest == 0:
        return 0, 0, 0
    return deepest, row + first // width, col + first % width
