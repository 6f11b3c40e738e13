"""FocalClick's trimap: where a mask has detail that a coarse network cannot draw, and so where its refiner is to work. MODELS.md 8."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

COARSE = 8  # px of one coarse pixel
DILATIONS = 2


def trimap(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """HxW bool: the pixels that change when a mask is halved three times and brought back, widened by two 3x3 dilations.

    Both ways bilinear, and object again where above one half; the specification names the factor only.
    """
    height, width = mask.shape
    small = cv2.resize(mask.astype(np.float32), (max(width // COARSE, 1), max(height // COARSE, 1)), interpolation=cv2.INTER_LINEAR)
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    changed = (mask ^ back).astype(np.uint8)
    return cv2.dilate(changed, np.ones((3, 3), np.uint8), iterations=DILATIONS).astype(bool)
