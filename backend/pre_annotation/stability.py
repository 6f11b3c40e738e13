"""Whether a mask is one that the model is sure of: it stays when the threshold moves, and when it is clicked on elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.pre_annotation.mask_place import MaskPlace

DELTA = 0.2
"""How far the threshold is moved, up and down."""


def stability(probability: NDArray[np.float32], threshold: float, place: MaskPlace) -> float:
    """IoU of the masks at the threshold moved up and down by `DELTA`, within the object's box: 0..1, 1 for an edge as sharp as a knife."""
    row0, col0, row1, col1 = place.box
    window = probability[row0:row1, col0:col1]
    narrow = np.count_nonzero((window > threshold + DELTA) & place.inside)
    wide = np.count_nonzero(window > threshold - DELTA)
    return float(narrow / max(wide, 1))


def clicked_part(mask: NDArray[np.bool_], seed: tuple[int, int]) -> MaskPlace | None:
    """The 8-connected part of a mask HxW under the seed, else the largest one; None for an empty mask."""
    whole = MaskPlace.of(mask)
    if whole is None:
        return None
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(whole.inside.astype(np.uint8), connectivity=8)
    if count == 2:
        return whole
    row, col = seed[0] - whole.box[0], seed[1] - whole.box[1]
    height, width = whole.inside.shape
    number = int(parts[row, col]) if 0 <= row < height and 0 <= col < width else 0
    if number == 0:
        number = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    kept = np.zeros_like(mask)
    kept[whole.box[0] : whole.box[2], whole.box[1] : whole.box[3]] = parts == number
    return MaskPlace.of(kept)
