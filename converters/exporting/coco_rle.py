"""Masks as COCO's compressed RLE, written; `converters.labelled_coco_rle` reads it and says what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A number of 32 bits and its sign need seven groups of five bits.
_GROUPS = 7


def encode(mask: ArrayLike) -> dict[str, Any]:
    """{"size": [H, W], "counts": text} of a mask HxW (true or not zero: the object), the bytes that pycocotools writes for it."""
    grid = np.asarray(mask) != 0
    if grid.ndim != 2:
        raise ValueError(f"a mask of shape {grid.shape}; expected height x width")
    return {"size": [int(grid.shape[0]), int(grid.shape[1])], "counts": _text(run_lengths(grid))}


def run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """COCO's uncompressed counts: lengths of the runs down the columns, beginning with what is outside (0 when the first pixel is in)."""
    flat = mask.ravel(order="F")
    if not flat.size:
        return np.zeros(1, np.int64)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], changes, [flat.size]))
    lengths = np.diff(starts)
    return np.concatenate(([0], lengths)) if flat[0] else lengths


def _text(runs: NDArray[np.int64]) -> str:
    numbers = runs.copy()
    numbers[3:] -= runs[1:-2]  # from the fourth on: the difference to the run two before
    shifts = 5 * np.arange(_GROUPS)
    # As many groups as leave the sign in the top bit of the last one: n fits into g groups when -2^(5g-1) <= n < 2^(5g-1).
    magnitude = np.where(numbers < 0, ~numbers, numbers)
    needed = 1 + (magnitude[:, None] >= 2 ** (shifts[1:] - 1)).sum(axis=1)
    groups = (numbers[:, None] >> shifts) & 31
    place = np.arange(_GROUPS)
    letters = groups + 48 + np.where(place < needed[:, None] - 1, 32, 0)
    return letters[place < needed[:, None]].astype(np.uint8).tobytes().decode("ascii")
