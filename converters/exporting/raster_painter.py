"""Objects of one raster painted into class codes, window by window: a raster of any size within the memory of one window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Polygon

from converters.chips import PixelWindow
from converters.exporting.class_codes import UNLABELLED
from converters.frames import Size

STRIP = 2048
"""Side of the windows that a raster is painted by, px; a multiple of the blocks that are written."""


class RasterPainter:
    """Paints class codes; where objects overlap, the one given later is on top.

    shapes: (polygons in px of the whole raster, edge-based; class code). A pixel belongs to a polygon when its centre is inside.
    """

    def __init__(self, shapes: Iterable[tuple[Iterable[Polygon], int]]) -> None:
        flat = [(part, code) for parts, code in shapes for part in parts]
        self._parts = [part for part, _ in flat]
        self._codes = [code for _, code in flat]
        self._tree = shapely.STRtree(self._parts)

    def paint(self, window: PixelWindow) -> NDArray[np.uint8] | None:
        """Codes HxW of a window, UNLABELLED where there is no object; None when the window has none at all."""
        box = shapely.box(window.col_off, window.row_off, window.col_off + window.width, window.row_off + window.height)
        found = np.sort(self._tree.query(box)).tolist()
        if not found:
            return None
        return rasterio.features.rasterize(
            ((self._parts[index], self._codes[index]) for index in found),
            (window.height, window.width),
            fill=UNLABELLED,
            transform=Affine.translation(window.col_off, window.row_off),
            dtype=np.uint8,
        )

    def windows(self, size: Size) -> Iterator[tuple[PixelWindow, NDArray[np.uint8]]]:
        """Every window of a raster that has objects, with its codes."""
        for row in range(0, size.height, STRIP):
            for col in range(0, size.width, STRIP):
                window = PixelWindow(col, row, min(STRIP, size.width - col), min(STRIP, size.height - row))
                if (codes := self.paint(window)) is not None:
                    yield window, codes
