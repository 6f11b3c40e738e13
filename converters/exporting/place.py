"""Where the px of a chip lie: on the map, or, on request, in the raster only."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from converters.chips import Chip
from converters.map_place import MapPlace


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """The place of a chip in its raster, for exports without a georeference. m2: of one native px, None when not known."""

    col_off: int
    row_off: int
    m2: float | None

    def coordinates(self, ring: NDArray[np.float64]) -> NDArray[np.float64]:
        """Px of the whole raster, Nx2 (col, row), of a ring in native px of the window."""
        return ring + np.array([self.col_off, self.row_off])

    def coordinates_of(self, rings: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """`coordinates` of each ring."""
        return [self.coordinates(ring) for ring in rings]

    def area(self, parts: Sequence[Polygon]) -> tuple[float | None, str | None]:
        """Square metres from the ground sampling distance, and that word; None without one."""
        return (None, None) if self.m2 is None else (round(sum(part.area for part in parts) * self.m2, 6), "gsd")


@functools.lru_cache(maxsize=256)
def place_of(chip: Chip, *, pixels: bool) -> MapPlace | PixelPlace:
    """The chip's place on the map; with `pixels`, in its raster. Raises ExportError for a chip without a place on the map."""
    if not pixels:
        return MapPlace.of(chip)
    return PixelPlace(chip.window.col_off, chip.window.row_off, None if chip.gsd is None else chip.gsd**2)
