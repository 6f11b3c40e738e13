"""From a raster's own values to 8 bits: one low and one high per band, taken once per raster and recorded in its tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Percentiles that become black and white.
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0


def percentiles(values: NDArray[np.generic], valid: NDArray[np.bool_]) -> tuple[float, float] | None:
    """(low, high) of one band: its 2nd and 98th percentile among valid, finite pixels; low < high. None when no pixel is left.

    values: HxW of any real dtype. valid: HxW, False for nodata and transparent pixels.
    A band of one value v gets (v - 0.5, v + 0.5) and so becomes middle grey.
    """
    known = values[valid & np.isfinite(values)].astype(np.float64)
    if known.size == 0:
        return None
    low, high = (float(value) for value in np.percentile(known, (LOW_PERCENT, HIGH_PERCENT)))
    if not low < high:
        # A band where 2 % to 98 % are one value (a mostly empty scene) still holds something: its whole range.
        low, high = float(known.min()), float(known.max())
    if not low < high:
        half = max(0.5, abs(low) * 1e-6)
        return low - half, low + half
    return low, high


def to_uint8(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """`low` and below become 0, `high` and above 255, between them linear and rounded; NaN becomes 0. Any shape, any real dtype."""
    span = max(high - low, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        share = (values.astype(np.float64) - low) / span * 255.0
    return np.rint(np.clip(np.nan_to_num(share, nan=0.0), 0.0, 255.0)).astype(np.uint8)
