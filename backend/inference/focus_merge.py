"""FocalClick's Progressive Merge: correcting a given mask, a click changes only what was clicked on. MODELS.md 6.4."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.inference.focus_crop import component_at


def progressive_merge(
    before: NDArray[np.bool_], found: NDArray[np.bool_], pixel: tuple[int, int], *, merge_unchanged: bool = False
) -> NDArray[np.bool_]:
    """`before` (HxW) with the one change towards `found` that holds the clicked pixel (row, col): removed where the pixel was object,
    added where it was not.

    Where the prediction does not change the clicked pixel there is no such change, and the mask stays as it was. The authors' code then
    takes all unchanged pixels for the change, which may turn the mask inside out (MODELS.md, gotcha 15); merge_unchanged reproduces that.
    """
    changed = before ^ found
    if not changed[pixel] and not merge_unchanged:
        return before
    component = component_at(changed, pixel)
    return before & ~component if before[pixel] else before | component
