"""The next simulated click of the published ways of training, and where it goes in the points tensor. MODELS.md 8.

Unlike the robot of the evaluation (backend/inference/next_click.py) it lies anywhere in the inner half of the largest error, and its
distances are the approximate ones of a 5x5 mask.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.inference.crop import Roi
from backend.training.points_sampler import deeper

THRESHOLD = 0.49
IndexClick = tuple[int, int, bool]


def error_click(
    probability: NDArray[np.float32], target: NDArray[np.int8], rng: np.random.Generator, within: Roi | None = None
) -> IndexClick | None:
    """(row, col, positive) on the larger error: missing or superfluous, whichever is deeper; superfluous where they are equally deep.

    probability, target: HxW; the target is 1 wanted, 0 not, -1 ignored, which is never an error. within: errors outside it do not count,
    and its edge is a border of every error. The pixel is any deeper than half the deepest. None where nothing is wrong.
    """
    row, col = (within.row_min, within.col_min) if within is not None else (0, 0)
    part = np.s_[row : within.row_max + 1, col : within.col_max + 1] if within is not None else np.s_[:, :]
    mask, truth = probability[part] >= THRESHOLD, target[part]
    missing, superfluous = ~mask & (truth == 1), mask & (truth == 0)
    positive = _depth(missing) > _depth(superfluous)
    error = missing if positive else superfluous
    if not error.any():
        return None
    candidates = np.flatnonzero(deeper(error, 2.0))
    down, across = divmod(int(candidates[rng.integers(len(candidates))]), error.shape[1])
    return row + down, col + across, positive


def place(points: Tensor, click: IndexClick, *, number: int, filling: Literal["from the end", "free"]) -> None:
    """Writes the `number`th simulated click (1, 2, ...) of a sample into its points [2n, 3], in place.

    `from the end`: the last slot of its sign, then the one before, whatever sampled click stands there (RITM); its order is its number.
    `free`: the first unused slot of its sign, and with none left, from the end (ICL, whose authors leave that case open); its order is
    the number of clicks before it.
    """
    row, col, positive = click
    slots = len(points) // 2
    signed = points[:slots] if positive else points[slots:]
    slot, order = slots - number, number
    if filling == "free":
        unused = (signed[:, 0] < 0) & (signed[:, 1] < 0)
        slot = int(unused.nonzero()[0]) if bool(unused.any()) else slot
        order = int(((points[:, 0] >= 0) | (points[:, 1] >= 0)).sum())
    signed[slot] = points.new_tensor([row, col, order])


def _depth(error: NDArray[np.bool_]) -> float:
    return float(cv2.distanceTransform(np.pad(error.astype(np.uint8), 1), cv2.DIST_L2, 5).max())
