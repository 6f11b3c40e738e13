"""The place of an open raster on the map, as it says itself: CRS, affine, ground sampling distance. Nothing is assumed here."""

from __future__ import annotations

import math

import pyproj
from affine import Affine
from pyproj.exceptions import CRSError, ProjError
from rasterio.io import DatasetReader

from converters.errors import RasterError
from converters.frames import Size


def crs_text(dataset: DatasetReader) -> str | None:
    """ "EPSG:32633" where the CRS is surely one of a register, else its WKT; None without a CRS.

    GDAL likens a CRS to registered ones by names; below 90 of 100 that is a guess, and the WKT is the truth.
    """
    if not dataset.crs:
        return None
    authority = dataset.crs.to_authority(confidence_threshold=90)
    return ":".join(authority) if authority else dataset.crs.to_wkt()


def parse_crs(text: str) -> str:
    """The same form as `crs_text` from what a user typed ("epsg:32633", WKT, PROJ). Raises RasterError for what is no CRS."""
    try:
        crs = pyproj.CRS.from_user_input(text)
    except CRSError:
        raise RasterError(f'"{text}" is no CRS; expected something like EPSG:32633 or WKT; look the code up at epsg.io') from None
    authority = crs.to_authority(min_confidence=90)
    return ":".join(authority) if authority else crs.to_wkt()


def affine(dataset: DatasetReader) -> Affine | None:
    """Native px of the whole raster -> map, origin at the outer corner; None without a georeference.

    rasterio answers the identity where a file says nothing, and has already moved a world file's origin, which is the centre of the
    first pixel, by half a pixel. An affine without an area cannot place anything and counts as none.
    """
    transform = dataset.transform
    return None if transform == Affine.identity() or transform.is_degenerate else transform


def ground_sampling_distance(transform: Affine | None, crs: str | None, size: Size) -> float | None:
    """Metres on the ground per native px (mean of both directions) at the raster's centre; None where that cannot be known.

    A projected CRS that is true to within 1 % there gives its own number; degrees and stretched projections (Mercator) are measured on
    the ellipsoid.
    """
    if transform is None or crs is None:
        return None
    try:
        system = pyproj.CRS.from_user_input(crs)
        measured = _measured(transform, system, size)
    except (CRSError, ProjError):
        return None
    if not system.is_projected:
        return measured
    metres = system.axis_info[0].unit_conversion_factor if system.axis_info else 1.0
    stated = (math.hypot(transform.a, transform.d) + math.hypot(transform.b, transform.e)) / 2 * metres
    if measured is None or abs(stated - measured) <= 0.01 * measured:
        return round(stated, 9)
    return measured


def _measured(transform: Affine, system: pyproj.CRS, size: Size) -> float | None:
    """The geodesic length of one pixel step each way at the centre, averaged; None outside the CRS's domain.

    Ten pixels are measured, because a step of a few centimetres drowns in the rounding of degrees.
    """
    if system.geodetic_crs is None:
        return None
    to_degrees = pyproj.Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    geod = system.get_geod()
    col, row = size.width / 2, size.height / 2
    xs, ys = zip(transform @ (col, row), transform @ (col + 10, row), transform @ (col, row + 10), strict=True)
    lon, lat = to_degrees.transform(xs, ys)
    if geod is None or not all(map(math.isfinite, (*lon, *lat))):
        return None
    _, _, metres = geod.inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])
    return round(sum(metres) / 20, 6)
