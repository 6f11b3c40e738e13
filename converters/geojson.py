"""RFC 7946 GeoJSON: rounded rings that wind by the right-hand rule, cut at the antimeridian, and bytes that never change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.affinity import translate

from converters.errors import ExportError

# 1e-8 degrees are 1.1 mm.
DECIMALS = 8

Rings = Sequence[NDArray[np.float64]]
"""An outer ring and its holes, each Nx2, the last vertex joined to the first."""


def geometry(parts: Iterable[Rings], *, degrees: bool = True) -> dict[str, Any]:
    """A Polygon, or a MultiPolygon for several parts; coordinates rounded to 8 decimals, outer rings counter-clockwise, holes clockwise.

    degrees: the rings are longitude and latitude, and parts that cross the antimeridian are cut there (RFC 7946, section 3.1.9).
    Raises ExportError when nothing is left after rounding, or for a ring around a pole.
    """
    polygons = [piece for rings in parts for piece in (_cut_at_antimeridian(rings) if degrees else [_polygon(rings)])]
    coordinates = [rings for polygon in polygons if (rings := _coordinates(polygon))]
    if not coordinates:
        raise ExportError("the region has no area at 8 decimals of a degree (1 mm); expected one that has; draw it again")
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def feature(shape: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """A feature; the order of the properties is kept."""
    return {"type": "Feature", "properties": dict(properties), "geometry": dict(shape)}


def dumps(features: Iterable[Mapping[str, Any]], *, members: Mapping[str, Any] | None = None) -> str:
    """The text of a FeatureCollection, see `lines`."""
    return "".join(lines(features, members=members))


def lines(features: Iterable[Mapping[str, Any]], *, members: Mapping[str, Any] | None = None) -> Iterator[str]:
    """The text of a FeatureCollection in pieces, a feature a line, so that two exports can be compared. members: more at its top."""
    head = {"type": "FeatureCollection", **(members or {})}
    yield f'{_compact(head)[:-1]},"features":['
    separator = "\n"
    for one in features:
        yield separator + _compact(one)
        separator = ",\n"
    yield "\n]}\n" if separator == ",\n" else "\n\n]}\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _polygon(rings: Rings) -> Polygon:
    return Polygon(rings[0], rings[1:])


def _cut_at_antimeridian(rings: Rings) -> list[Polygon]:
    """The polygon with longitudes in -180..180: itself, or its pieces on both sides of the 180th meridian."""
    if all(np.ptp(ring[:, 0]) < 180 for ring in rings):
        return [_polygon(rings)]
    unwrapped = [_unwrapped(ring) for ring in rings]
    middle = unwrapped[0][:, 0].mean()
    for hole in unwrapped[1:]:
        hole[:, 0] += 360 * round((middle - hole[:, 0].mean()) / 360)
    polygon = _polygon(unwrapped)
    pieces: list[Polygon] = []
    for turn in (-360, 0, 360):
        world = shapely.box(turn - 180, -90, turn + 180, 90)
        # Cut on the grid of the written decimals: rounding afterwards may let a ring touch itself beside the cut.
        inside = shapely.get_parts(shapely.intersection(polygon, world, grid_size=10.0**-DECIMALS)).tolist()
        pieces += [translate(piece, -turn) for piece in inside if isinstance(piece, Polygon) and piece.area > 0]
    return pieces


def _unwrapped(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring with longitudes that go on beyond 180 instead of jumping by 360."""
    closed = np.unwrap(np.append(ring[:, 0], ring[0, 0]), period=360)
    if abs(closed[-1] - closed[0]) > 180:
        raise ExportError("the region surrounds a pole, which GeoJSON's longitudes cannot draw; use --pixels, or cut it into two regions")
    return np.column_stack((closed[:-1], ring[:, 1])).astype(np.float64)


def _coordinates(polygon: Polygon) -> list[list[list[float]]]:
    oriented = shapely.orient_polygons(polygon)
    rings = [_rounded(ring.coords) for ring in (oriented.exterior, *oriented.interiors)]
    # A hole that rounding closes is smaller than a square millimetre.
    return [ring for ring in rings if ring] if rings[0] else []


def _rounded(coordinates: Any) -> list[list[float]]:
    """A closed ring without repeated vertices; empty when fewer than three are left."""
    ring = np.round(np.asarray(coordinates)[:-1, :2], DECIMALS) + 0.0  # + 0.0: no negative zero
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return [*ring.tolist(), ring[0].tolist()] if len(ring) >= 3 else []
