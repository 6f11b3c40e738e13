"""The format geojson: objects as the features of one RFC 7946 file, a feature a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from converters import geojson
from converters.errors import RSISegError

if TYPE_CHECKING:
    from converters.exporting.formats import Request

# A member of the file, so that nobody takes column and row for longitude and latitude.
PIXEL_MEMBERS = {
    "coordinates": "column and row in px of each feature's raster, from its upper-left outer corner, rows down; not a place on earth"
}


def features(request: Request) -> Iterator[dict[str, Any]]:
    """The features, in the order of the objects; an object that GeoJSON cannot draw is left out in the account."""
    for one in request.objects():
        try:
            rings = one.pixels() if request.pixels else one.lonlat()
            shape = geojson.geometry(rings, degrees=not request.pixels)
        except RSISegError as error:
            for name in one.sources:
                request.account.left_out(name, str(error))
            continue
        yield geojson.feature(shape, one.attributes)


def write(request: Request) -> None:
    """Writes `request.out`, feature by feature."""
    with request.out.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(geojson.lines(features(request), members=PIXEL_MEMBERS if request.pixels else None))
