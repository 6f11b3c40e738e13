"""The area of interest of an import: polygons of a vector file in any CRS, laid over each raster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.importing.fingerprint import file_state
from converters.labelled_place import Place, ToPixels
from converters.labelled_vector_file import VectorFile, read_vector_file
from converters.raster_profile import RasterProfile

# A chip that only touches the area's edge is outside: this many px of each chip do not count.
_TOUCH = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Chips that touch one of the polygons are imported, whole."""

    file: VectorFile

    @classmethod
    def read(cls, path: Path) -> Area:
        """TaskError for what is no vector file of polygons."""
        return cls(read_vector_file(path))

    @property
    def state(self) -> str:
        """What changes when the file does."""
        return file_state(self.file.path)

    def on(self, profile: RasterProfile) -> shapely.Geometry:
        """The area in native px of a raster, edge-based; an empty geometry where it lies elsewhere.

        Raises RasterError for a raster without a georeference, TaskError where only one of the two names its CRS.
        """
        name = profile.info.path.name
        if profile.info.transform is None:
            raise RasterError(
                f"{name} has no georeference, so the area of {self.file.path.name} cannot be laid over it; georeference it first"
            )
        place = Place(profile.info.transform, profile.crs, profile.info.size)
        crs = place.crs if self.file.beyond_degrees else self.file.crs
        to_pixels = ToPixels.of(place, crs, f"{name} and {self.file.path.name}")
        reach = to_pixels.reach()
        if reach is None:
            return shapely.Polygon()
        near = self.file.polygons[shapely.intersects(self.file.polygons, shapely.box(*reach))]
        outlines = to_pixels.outlines(shapely.make_valid(near).tolist(), self.file.path.name)
        parts = [shapely.Polygon(rings[0], rings[1:]) for polygon in outlines for rings in polygon]
        return shapely.union_all(shapely.make_valid(np.array(parts, object))) if parts else shapely.Polygon()


def inside(row: tuple[PixelWindow, ...], area: shapely.Geometry | None) -> tuple[PixelWindow, ...]:
    """The windows that share pixels with the area (in native px of the raster); all of them for None."""
    if area is None:
        return row
    edges = np.array([(w.col_off, w.row_off, w.col_off + w.width, w.row_off + w.height) for w in row], float).T
    boxes = shapely.box(edges[0] + _TOUCH, edges[1] + _TOUCH, edges[2] - _TOUCH, edges[3] - _TOUCH)
    shapely.prepare(area)
    return tuple(window for window, hit in zip(row, shapely.intersects(area, boxes).tolist(), strict=True) if hit)
