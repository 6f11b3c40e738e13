"""Whether a chip shows anything: a chip without data, fully transparent, or of one value all over is empty."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# A look at every so many pixels settles most chips.
_STRIDE = 16


def empty_reason(values: NDArray[np.generic], seen: NDArray[np.bool_] | None, nodata: float | None) -> str | None:
    """Why a chip is empty: "transparent", "no data" or "constant"; None for one that shows something.

    values: CxHxW in the raster's own values, the bands that are shown. seen: HxW, False where alpha or the raster's own mask hides a pixel.
    nodata: a pixel is missing where every band has this value or is not a number.
    """
    if _is_varied(values[:, ::_STRIDE, ::_STRIDE], None if seen is None else seen[::_STRIDE, ::_STRIDE], nodata):
        return None
    if seen is not None and not seen.any():
        return "transparent"
    there = _there(values, nodata)
    there = there if seen is None else there & seen
    if not there.any():
        return "no data"
    known = values[:, there]
    return "constant" if bool(np.all((known == known[:, :1]) | (known != known))) else None  # noqa: PLR0124 - not a number differs


def _is_varied(values: NDArray[np.generic], seen: NDArray[np.bool_] | None, nodata: float | None) -> bool:
    there = _there(values, nodata)
    known = values[:, there if seen is None else there & seen]
    return bool(known.size and np.any((known != known[:, :1]) & (known == known) & (known[:, :1] == known[:, :1])))  # noqa: PLR0124


def _there(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    missing = values != values  # noqa: PLR0124 - not a number differs from itself
    if nodata is not None and not math.isnan(nodata):
        missing |= values == nodata
    return ~missing.all(axis=0)
