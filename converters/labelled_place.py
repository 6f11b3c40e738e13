"""Where the raster of a labelled image lies, and outlines from another CRS in its pixels."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from converters.errors import TaskError
from converters.frames import Size
from converters.labelled_shapes import Rings
from converters.map_place import BEND
from converters.rasters import RasterInfo
from converters.remote_raster import RasterLocation

# A tile of a web map by its name: "OAM-1238454-1046529-21.png" is column 1238454, row 1046529 of zoom 21.
_TILE = re.compile(r"(?:^|[^0-9])(\d+)[-_](\d+)[-_](\d{1,2})$")
# Half the earth's girth in EPSG:3857: its square world reaches from -WORLD to WORLD.
WORLD = 20037508.342789244


@dataclass(frozen=True, slots=True)
class Place:
    """Native px -> map, edge-based, and the CRS of that map ("EPSG:..." or WKT, None when the file does not say)."""

    transform: Affine
    crs: str | None
    size: Size

    @property
    def corners(self) -> shapely.Polygon:
        """The raster's outline in map coordinates."""
        width, height = self.size.width, self.size.height
        return shapely.Polygon([self.transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))])


def place_of(info: RasterInfo) -> Place | None:
    """The place that a file states, else the one that its name says as a tile of a web map; None without either."""
    if info.transform is not None:
        return Place(info.transform, info.crs, info.size)
    return _tile(info.path, info.size)


def is_tile(info: RasterInfo) -> bool:
    """Whether a raster's place comes from its name alone."""
    return info.transform is None and _tile(info.path, info.size) is not None


def tile_number(stem: str) -> tuple[int, int, int] | None:
    """(column, row, zoom) of the tile of a web map that a file's name, without its ending, says it is; None for any other name."""
    found = _TILE.search(stem)
    if found is None:
        return None
    x, y, zoom = (int(number) for number in found.groups())
    return (x, y, zoom) if 1 <= zoom <= 24 and x < 2**zoom and y < 2**zoom else None


def _tile(path: RasterLocation, size: Size) -> Place | None:
    number = tile_number(path.stem)
    if number is None or size.width != size.height:
        return None
    x, y, zoom = number
    side = 2 * WORLD / 2**zoom
    step = side / size.width
    return Place(Affine(step, 0.0, x * side - WORLD, 0.0, -step, WORLD - y * side), "EPSG:3857", size)


@dataclass(frozen=True, slots=True)
class ToPixels:
    """From coordinates of a vector file (x, y as they stand in it: longitude before latitude) to native px of a raster.

    change: between the CRSs, None where they are one.
    """

    place: Place
    change: Transformer | None

    @classmethod
    def of(cls, place: Place, crs: str | None, names: str) -> ToPixels:
        """crs: of the vector file. names: the two files, for messages. TaskError when only one of them states a CRS, or it is broken."""
        if (crs is None) != (place.crs is None):
            raise TaskError(
                f"of {names}, one names its CRS and the other does not; expected both to; georeference the other (gdal_edit -a_srs)"
            )
        if crs is None or place.crs is None:
            return cls(place, None)
        try:
            return cls(place, _change(crs, place.crs))
        except (CRSError, ProjError) as error:
            raise TaskError(f"between the CRSs of {names} there is no way ({error}); expected two that have a place on earth") from error

    def reach(self) -> tuple[float, float, float, float] | None:
        """(x0, y0, x1, y1) in the vector file's coordinates round the whole raster; None where the raster has no coordinates there."""
        # Edges that the other CRS bends are followed by points along them; what bends in between is less than a tenth of a step.
        outline = shapely.get_coordinates(shapely.segmentize(self.place.corners, self.place.corners.length / 84))
        if self.change is not None:
            outline = np.stack(self.change.transform(*outline.T, direction="INVERSE"), axis=1)
        if not np.isfinite(outline).all():
            return None
        margin = 0.02 * np.ptp(outline, axis=0)
        return (*(outline.min(axis=0) - margin).tolist(), *(outline.max(axis=0) + margin).tolist())

    def outlines(self, geometries: Sequence[shapely.Geometry], name: str) -> list[list[Rings]]:
        """The polygons of each geometry as rings in native px of the whole raster.

        Straight edges of the file that the raster's CRS bends get vertices in between until they are `BEND` px close.
        Raises TaskError for coordinates without a place in the raster's CRS. name: the vector file.
        """
        rings: list[NDArray[np.float64]] = []
        shape: list[list[list[int]]] = []  # of each geometry, of each part: the numbers of its rings
        for geometry in geometries:
            shape.append([])
            for part in shapely.get_parts(geometry).tolist():
                first = len(rings)
                rings += [shapely.get_coordinates(ring)[:-1] for ring in (part.exterior, *part.interiors)]
                shape[-1].append(list(range(first, len(rings))))
        if not rings:
            return [[] for _ in geometries]
        placed = self._bent(rings, name)
        return [[[placed[number] for number in part] for part in parts] for parts in shape]

    def _bent(self, rings: list[NDArray[np.float64]], name: str) -> list[NDArray[np.float64]]:
        counts = np.array([len(ring) for ring in rings])
        corners = np.concatenate(rings)
        ends = np.cumsum(counts)
        following = np.arange(1, len(corners) + 1)
        following[ends - 1] = ends - counts  # a ring's last vertex is joined to its first
        native = self._native(corners, name)
        if self.change is None:
            return np.split(native, ends[:-1])
        step = corners[following] - corners
        off = np.hypot(*(self._native(corners + step / 2, name) - (native + native[following]) / 2).T)
        # The deviation of a smooth curve from its chord falls with the square of the number of pieces.
        pieces = np.maximum(1, np.ceil(np.sqrt(off / BEND))).astype(int)
        if pieces.max() == 1:
            return np.split(native, ends[:-1])
        share = (np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / np.repeat(pieces, pieces)
        dense = self._native(np.repeat(corners, pieces, axis=0) + share[:, None] * np.repeat(step, pieces, axis=0), name)
        return np.split(dense, np.cumsum(pieces)[ends - 1][:-1])

    def _native(self, points: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        x, y = points.T if self.change is None else self.change.transform(*points.T)
        a, b, c, d, e, f = tuple(~self.place.transform)[:6]
        native = np.stack((a * x + b * y + c, d * x + e * y + f), axis=1)
        if not np.isfinite(native).all():
            raise TaskError(
                f"{name} has polygons outside the area where the raster's CRS is defined; expected its surroundings; cut them off"
            )
        return native


@functools.lru_cache(maxsize=64)
def _change(source: str, target: str) -> Transformer | None:
    one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    return None if one == other else Transformer.from_crs(one, other, always_xy=True)
