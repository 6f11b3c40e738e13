"""An object of the survey: one or more regions of the chips of one raster that are one thing on the ground."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from converters.chips import Chip
from converters.exporting.account import RegionName
from converters.exporting.place import place_of

Rings = list[NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class SurveyObject:
    """One object, as vector formats write it.

    chip: of its first region. frame: the chip whose transform places all objects of this raster, so that neighbours share their vertices.
    sources: its regions, in the order of the export; shares: of its area, 0..1, 0 for one that only confirms it.
    parts: polygons (col, row) in px of the whole raster, edge-based; exact (whole numbers) for masks as long as nothing was simplified.
    attributes: names and plain values, see `attributes.of_region`.
    """

    class_name: str
    colour: str
    chip: Chip
    frame: Chip
    sources: tuple[RegionName, ...]
    shares: tuple[float, ...]
    parts: tuple[Polygon, ...]
    attributes: Mapping[str, Any]

    def lonlat(self) -> list[Rings]:
        """The rings of each part in longitude and latitude, degrees, not closed. Raises ExportError for a raster without a place."""
        return self._placed(pixels=False)

    def pixels(self) -> list[Rings]:
        """The rings of each part in px of the whole raster, not closed."""
        return self._placed(pixels=True)

    def on_map(self) -> list[Polygon]:
        """The parts in the raster's own CRS. Raises ValueError for a raster without a transform."""
        transform, window = self.frame.transform, self.frame.window
        if transform is None:
            raise ValueError(f"{self.frame.raster} has no transform")
        a, b, c, d, e, f = tuple(transform)[:6]

        def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
            col, row = points[:, 0] - window.col_off, points[:, 1] - window.row_off
            return np.stack((a * col + b * row + c, d * col + e * row + f), axis=1)

        return [shapely.transform(part, place) for part in self.parts]

    def area(self, *, pixels: bool) -> tuple[float | None, str | None]:
        """Square metres and how they were measured, see `MapPlace.area` and `PixelPlace.area`. Raises ExportError as `lonlat`."""
        window = self.chip.window
        offset = np.array((window.col_off, window.row_off))
        return place_of(self.chip, pixels=pixels).area([shapely.transform(part, lambda corners: corners - offset) for part in self.parts])

    def _placed(self, *, pixels: bool) -> list[Rings]:
        place = place_of(self.frame, pixels=pixels)
        offset = np.array((self.frame.window.col_off, self.frame.window.row_off))
        outlines = [list(rings(part)) for part in self.parts]
        placed = iter(place.coordinates_of([ring - offset for part in outlines for ring in part]))
        return [[next(placed) for _ in part] for part in outlines]


def rings(part: Polygon) -> Iterator[NDArray[np.float64]]:
    """Outer ring and holes, each Nx2, the last vertex joined to the first."""
    return (np.asarray(ring.coords)[:-1] for ring in (part.exterior, *part.interiors))
