"""Outlines as pixels: a pixel belongs to a polygon when its centre lies inside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.frames import Size
from converters.labelled_objects import Piece, clipped

Rings = Sequence[NDArray[np.float64]]
"""An outer ring and its holes, each Nx2 (col, row) in px of the image, edge-based; the last vertex is joined to the first."""


def burnt(class_name: str, parts: Sequence[Rings], image: Size, window: PixelWindow) -> Piece | None:
    """What of an annotation, the union of `parts`, lies in the window; None when no pixel centre does.

    A hole takes nothing from another part. Whether the window cuts the annotation is judged by its bounding box, in pixel centres.
    """
    corners = np.concatenate([rings[0] for rings in parts])
    col0, row0 = (max(0, math.ceil(least - 0.5)) for least in corners.min(axis=0).tolist())
    col1 = min(image.width, math.floor(float(corners[:, 0].max()) - 0.5) + 1)
    row1 = min(image.height, math.floor(float(corners[:, 1].max()) - 0.5) + 1)
    place = clipped((row0, col0, row1, col1), window)
    if place is None:
        return None
    top, left, bottom, right = place
    shapes = [({"type": "Polygon", "coordinates": [_closed(ring) for ring in rings]}, 1) for rings in parts]
    pixels = np.zeros((bottom - top, right - left), np.uint8)
    rasterio.features.rasterize(shapes, out=pixels, transform=Affine.translation(left, top))
    return Piece(class_name, pixels.astype(np.bool_), top - window.row_off, left - window.col_off, place != (row0, col0, row1, col1))


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    return [*ring.tolist(), ring[0].tolist()]
