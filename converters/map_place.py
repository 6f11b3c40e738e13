"""Where a chip lies on the earth: native px -> longitude and latitude, and areas in square metres."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.enums import TransformDirection
from pyproj.exceptions import CRSError, ProjError
from shapely import Polygon

from converters.chips import Chip
from converters.errors import ExportError
from converters.frames import Size

# RFC 7946 coordinates: WGS 84, longitude before latitude.
LONLAT = "OGC:CRS84"
ELLIPSOID = Geod(ellps="WGS84")
# A straight edge of the raster is bent in longitude and latitude; it gets vertices in between until it is this close, in native px.
BEND = 0.1
# A projection that states areas further off than this share is not believed (Mercator doubles them at 45 degrees).
AREA_TRUST = 0.01


@dataclass(frozen=True, slots=True)
class MapPlace:
    """The place of one chip.

    transform: native px of the window -> map. to_lonlat: map -> longitude, latitude (WGS 84), degrees.
    planar_m2: square metres of one native px in the map's own plane; None where that is further than `AREA_TRUST` from the truth.
    """

    transform: Affine
    to_lonlat: Transformer
    planar_m2: float | None

    @classmethod
    def of(cls, chip: Chip) -> MapPlace:
        """Raises ExportError, saying what is missing, for a chip without transform or CRS and for a CRS without a place on earth."""
        if chip.transform is None or chip.crs is None:
            missing = "no georeference" if chip.transform is None and chip.crs is None else "no CRS" if chip.crs is None else "no transform"
            raise ExportError(
                f"the chip of {chip.raster} has {missing}; expected a CRS and a transform in the task's data; "
                "georeference the raster and import it again, or export pixel coordinates with --pixels"
            )
        crs, to_lonlat = _reprojection(chip.crs)
        place = cls(chip.transform, to_lonlat, None)
        return cls(chip.transform, to_lonlat, place._planar_m2(crs, chip.window.size))

    def coordinates(self, ring: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitude and latitude, degrees, Nx2, of a ring Mx2 (col, row) in native px whose last vertex is joined to the first, N >= M.

        Edges get vertices in between where the straight line between their ends in degrees would leave them by more than `BEND` px.
        Raises ExportError for points outside the area where the CRS is defined.
        """
        return self.coordinates_of([ring])[0]

    def coordinates_of(self, rings: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """`coordinates` of each ring, all reprojected at once."""
        ring, ends = np.concatenate(rings), np.cumsum([len(one) for one in rings])
        next_one = np.arange(1, len(ring) + 1)
        next_one[ends - 1] = ends - [len(one) for one in rings]
        corners = self._to_degrees(ring)
        following = ring[next_one]
        step = corners[next_one] - corners
        step[:, 0] = (step[:, 0] + 180) % 360 - 180  # the short way round
        bent = np.hypot(*(self._to_native(corners + step / 2) - (ring + following) / 2).T)
        # The deviation of a smooth curve from its chord falls with the square of the number of pieces.
        pieces = np.maximum(1, np.ceil(np.sqrt(bent / BEND))).astype(int)
        if pieces.max() == 1:
            return np.split(corners, ends[:-1])
        share = (np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / np.repeat(pieces, pieces)
        dense = self._to_degrees(np.repeat(ring, pieces, axis=0) + share[:, None] * np.repeat(following - ring, pieces, axis=0))
        return np.split(dense, np.cumsum(pieces)[ends - 1][:-1])

    def area(self, parts: Sequence[Polygon]) -> tuple[float, str]:
        """Square metres of polygons in native px, and how they were measured: "planar" in the raster's CRS, or "geodesic"."""
        if self.planar_m2 is not None:
            return round(sum(part.area for part in parts) * self.planar_m2, 6), "planar"
        return round(sum(self._geodesic(part) for part in parts), 3), "geodesic"

    def _planar_m2(self, crs: CRS, window: Size) -> float | None:
        if not crs.is_projected:
            return None
        metres = crs.axis_info[0].unit_conversion_factor
        stated = abs(self.transform.determinant) * metres**2
        whole = Polygon([(0, 0), (window.width, 0), (window.width, window.height), (0, window.height)])
        measured = self._geodesic(whole) / whole.area
        return stated if abs(stated - measured) <= AREA_TRUST * measured else None

    def _geodesic(self, polygon: Polygon) -> float:
        rings = [self.coordinates(np.asarray(ring.coords)[:-1]) for ring in (polygon.exterior, *polygon.interiors)]
        shell, *holes = (abs(ELLIPSOID.polygon_area_perimeter(*ring.T)[0]) for ring in rings)
        return shell - sum(holes)

    def _to_degrees(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b, c, d, e, f = tuple(self.transform)[:6]
        col, row = points.T
        degrees = np.stack(self.to_lonlat.transform(a * col + b * row + c, d * col + e * row + f), axis=1)
        if not np.isfinite(degrees).all():
            source = self.to_lonlat.source_crs
            raise ExportError(
                f"the region lies outside the area where {source.name if source else 'its CRS'} is defined; expected coordinates on earth; "
                "check the transform in the task's data and import the raster again"
            )
        return degrees

    def _to_native(self, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        x, y = self.to_lonlat.transform(*degrees.T, direction=TransformDirection.INVERSE)
        return np.stack((a * x + b * y + c, d * x + e * y + f), axis=1)


@functools.lru_cache(maxsize=64)
def _reprojection(text: str) -> tuple[CRS, Transformer]:
    try:
        crs = CRS.from_user_input(text)
        if not (crs.is_projected or crs.is_geographic):
            raise CRSError(f"{crs.type_name} of heights, a site or the earth's centre")
        return crs, Transformer.from_crs(crs, LONLAT, always_xy=True)
    except (CRSError, ProjError) as error:
        raise ExportError(
            f"the CRS {text[:80]!r} has no place on earth; expected an EPSG code or the WKT of a geographic or projected CRS; "
            "import the raster again with the right one, or export pixel coordinates with --pixels"
        ) from error
