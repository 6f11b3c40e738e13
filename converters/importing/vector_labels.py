"""Polygons of one vector file, laid over one raster."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.importing.fingerprint import file_state
from converters.labelled_objects import LabelledObject, annotated
from converters.labelled_place import Place, ToPixels
from converters.labelled_shapes import Rings, burnt
from converters.labelled_vector_file import read_vector_file


@dataclass(frozen=True, slots=True)
class VectorLabels:
    """attribute: the one that holds classes, None to look for it. place: of the raster."""

    path: Path
    attribute: str | None
    place: Place

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files behind it."""
        return (self.path.name,)

    @property
    def state(self) -> list[Any]:
        """What changes when the polygons do."""
        return [str(self.path), file_state(self.path), self.attribute]

    def reaches(self) -> bool:
        """Whether a polygon may lie on the raster. TaskError for a file that cannot be read or placed."""
        return bool(_drawn(self).classes)

    def objects(self, window: PixelWindow) -> list[LabelledObject]:
        """The polygons in file order, clipped to the window of the raster; those that overlap stay separate."""
        drawn = _drawn(self)
        if not drawn.classes:
            return []
        col0, row0, col1, row1 = drawn.boxes.T
        right, bottom = window.col_off + window.width, window.row_off + window.height
        near = np.flatnonzero((col0 < right) & (row0 < bottom) & (col1 > window.col_off) & (row1 > window.row_off)).tolist()
        pieces = [burnt(drawn.classes[number], drawn.parts[number], self.place.size, window) for number in near]
        return annotated([piece for piece in pieces if piece is not None], window.size, 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Polygons in native px of the raster. boxes: Nx4, col0, row0, col1, row1 of each."""

    classes: list[str]
    parts: list[list[Rings]]
    boxes: NDArray[np.float64]


@functools.lru_cache(maxsize=8)
def _drawn(labels: VectorLabels) -> _Drawn:
    vector, place = read_vector_file(labels.path, labels.attribute), labels.place
    # Coordinates that cannot be degrees were written in the raster's own CRS.
    crs = place.crs if vector.beyond_degrees else vector.crs
    to_pixels = ToPixels.of(place, crs, f"the raster and {labels.path.name}")
    reach = to_pixels.reach()
    found = np.empty(0, np.int64) if reach is None else np.flatnonzero(shapely.intersects(vector.polygons, shapely.box(*reach)))
    parts = to_pixels.outlines(vector.polygons[found].tolist(), labels.path.name)
    outer = [np.concatenate([rings[0] for rings in polygon]) for polygon in parts]
    boxes = np.array([[*points.min(axis=0), *points.max(axis=0)] for points in outer]).reshape(-1, 4)
    width, height = place.size.width, place.size.height
    hit = np.flatnonzero((boxes[:, 0] < width) & (boxes[:, 1] < height) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)).tolist()
    return _Drawn([vector.classes[found[number]] for number in hit], [parts[number] for number in hit], boxes[hit])
