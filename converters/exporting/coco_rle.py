"""Masks as COCO's compressed RLE, written; `converters.labelled_coco_rle` reads it and says what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from converters.frames import Size

# A number of 32 bits and its sign need seven groups of five bits.
_GROUPS = 7


def encode(inside: ArrayLike, size: Size | None = None, *, row: int = 0, col: int = 0) -> dict[str, Any]:
    """{"size": [H, W], "counts": text} of a mask HxW (true or not zero: the object), the bytes that pycocotools writes for it.

    size: of the image, where `inside` is only a piece of the mask whose upper-left pixel is at (row, col), and nothing is outside it; the
    cost follows the piece.
    """
    grid = np.asarray(inside) != 0
    if grid.ndim != 2:
        raise ValueError(f"a mask of shape {grid.shape}; expected height x width")
    height, width = grid.shape if size is None else (size.height, size.width)
    return {"size": [height, width], "counts": _text(_run_lengths(grid, height, width, row, col))}


def _run_lengths(grid: NDArray[np.bool_], height: int, width: int, row: int, col: int) -> NDArray[np.int64]:
    """COCO's uncompressed counts: lengths of the runs down the columns, beginning with what is outside (0 when the first pixel is in)."""
    # With a border above and below, every run of a column has a beginning and an end there.
    columns = np.pad(grid.T, ((0, 0), (1, 1))).astype(np.int8)
    step = np.diff(columns, axis=1)
    begins, ends = ((which + col) * height + at + row for which, at in (np.nonzero(step == 1), np.nonzero(step == -1)))
    # A run that reaches the foot of a column goes on at the head of the next one.
    broken = np.ones(len(begins), np.bool_)
    broken[1:] = begins[1:] != ends[:-1]
    begins, ends = begins[broken], ends[np.append(broken[1:], True)[: len(ends)]]
    edges = np.column_stack((begins, ends)).ravel()
    runs = np.diff(np.concatenate(([0], edges, [height * width])))
    return runs[:-1] if len(edges) and edges[-1] == height * width else runs


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
