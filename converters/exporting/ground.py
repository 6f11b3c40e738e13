"""Metres on the ground for px of a raster: what a tolerance in metres means there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from converters.chips import Chip
from converters.errors import ExportError
from converters.exporting.outlines import GRID
from converters.exporting.place import place_of
from converters.map_place import ELLIPSOID, MapPlace


@dataclass(frozen=True, slots=True)
class GroundAxes:
    """The steps on the ground, in metres east and north, of one px to the right and one px down, at the raster's centre."""

    east_col: float
    north_col: float
    east_row: float
    north_row: float

    @classmethod
    def of(cls, frame: Chip, *, pixels: bool) -> GroundAxes:
        """Raises ExportError for a raster whose pixel size is not known."""
        place = place_of(frame, pixels=pixels)
        if not isinstance(place, MapPlace):
            if frame.gsd is None:
                raise ExportError(
                    f"the size of a pixel of {frame.raster} is not known; expected a ground sampling distance for a tolerance in metres; "
                    "leave --simplify and --right-angles away"
                )
            return cls(frame.gsd, 0.0, 0.0, -frame.gsd)
        window = frame.window
        middle = np.array((frame.native_size.width / 2 - window.col_off, frame.native_size.height / 2 - window.row_off))
        corner = np.array(((0, 0), (1, 0), (0, 1)))
        here, right, below = place.coordinates(middle + corner)[:3]
        return cls(*_step(here, right), *_step(here, below))

    @property
    def px(self) -> float:
        """The longer side of a px, metres."""
        return max(math.hypot(self.east_col, self.north_col), math.hypot(self.east_row, self.north_row))

    def to_ground(self, shape: BaseGeometry) -> BaseGeometry:
        """A shape in px of the raster, in metres east and north of the raster's corner; rings turn the other way round."""

        def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
            col, row = points[:, 0], points[:, 1]
            return np.stack((self.east_col * col + self.east_row * row, self.north_col * col + self.north_row * row), axis=1)

        return shapely.transform(shape, place)

    def to_pixels(self, shape: BaseGeometry) -> BaseGeometry:
        """Inverse of `to_ground`, on the grid of `outlines.GRID` px: a vertex that was on it comes back to the last bit."""
        size = self.east_col * self.north_row - self.east_row * self.north_col

        def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
            east, north = points[:, 0], points[:, 1]
            col = (self.north_row * east - self.east_row * north) / size
            row = (self.east_col * north - self.north_col * east) / size
            return np.round(np.stack((col, row), axis=1) / GRID) * GRID

        return shapely.transform(shape, place)


def _step(here: NDArray[np.float64], there: NDArray[np.float64]) -> tuple[float, float]:
    """Metres east and north between two places in degrees."""
    azimuth, _, metres = ELLIPSOID.inv(*here, *there)
    return metres * math.sin(math.radians(azimuth)), metres * math.cos(math.radians(azimuth))
