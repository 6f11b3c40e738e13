"""Polygons of GeoJSON, GeoPackage, Shapefile and FlatGeobuf files, with the class of each."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from converters.errors import TaskError
from converters.georeference import parse_crs

ENDINGS = (".geojson", ".gpkg", ".shp", ".fgb")
UNNAMED = "object"
"""The class of polygons that nothing names."""

# Attributes that hold a class wherever they occur, best first; then the first whose name contains one of the words.
_NAMES = ("class", "class_name", "classname", "label", "category", "type")
_WORDS = ("class", "klasse", "clase", "label", "categor")


@dataclass(frozen=True, slots=True, eq=False)
class VectorFile:
    """The polygons of one file.

    crs: "EPSG:..." or WKT, None where the file does not say. polygons: as they stand, 2D. classes: one a polygon.
    notes: how the classes were found, and what was left out.
    """

    path: Path
    crs: str | None
    polygons: NDArray[Any] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    notes: tuple[str, ...]

    @property
    def beyond_degrees(self) -> bool:
        """Whether the file claims degrees and its coordinates are none: it is not in the CRS it claims."""
        if self.crs is None or not len(self.polygons) or not CRS.from_user_input(self.crs).is_geographic:
            return False
        x0, y0, x1, y1 = shapely.total_bounds(self.polygons)
        return bool(max(abs(x0), abs(x1)) > 360 or max(abs(y0), abs(y1)) > 90)


def read_vector_file(path: Path, attribute: str | None = None) -> VectorFile:
    """The polygons of a file, read once per process and state of the file.

    attribute: name of the one that holds the class; None looks for it. TaskError for what cannot be read, for a file without
    polygons, and for an attribute that it lacks.
    """
    try:
        status = path.stat()
    except OSError:
        raise TaskError(f"{path} is not there or may not be read; expected a vector file of polygons; check the path") from None
    return _read(path, status.st_mtime_ns, status.st_size, attribute)


@functools.lru_cache(maxsize=64)
def _read(path: Path, modified: int, size: int, attribute: str | None) -> VectorFile:
    layers = _layers(path)
    names = [
        name for name, kind in layers if kind is None or kind == "Unknown" or "Polygon" in kind or "Collection" in kind or "Surface" in kind
    ]
    if not names:
        kinds = ", ".join(sorted({str(kind) for _, kind in layers})) or "nothing"
        raise TaskError(f"{path} holds {kinds}; expected polygons round the objects; draw them, or give another file")
    parts = [_layer(path, name, attribute, fallback=name if len(names) > 1 else UNNAMED) for name in names]
    if len({crs for crs, *_ in parts}) > 1:
        raise TaskError(f"the layers of {path} are in several CRSs; expected one; convert them into one file (ogr2ogr -t_srs)")
    polygons = np.concatenate([found for _, found, *_ in parts])
    if not len(polygons):
        raise TaskError(f"{path} holds no polygon; expected polygons round the objects; draw them, or give another file")
    if attribute is not None and not any(chosen for *_, chosen in parts):
        fields = sorted({name for *_, fields, _, _ in parts for name in fields})
        raise TaskError(f"{path} has no attribute {attribute!r}; expected one of {_shown(fields)}")
    classes = tuple(name for _, _, found, *_ in parts for name in found)
    return VectorFile(path, parts[0][0], polygons, classes, tuple(note for *_, notes, _ in parts for note in notes))


def _layers(path: Path) -> list[tuple[str, str | None]]:
    # pyogrio takes a second to import, pandas with it where that is installed: only who reads a vector file pays.
    import pyogrio  # noqa: PLC0415

    try:
        return [(str(name), kind) for name, kind in pyogrio.list_layers(path).tolist()]
    except (RuntimeError, ValueError) as error:
        raise TaskError(f"{path} is no vector file that GDAL can read ({error}); expected GeoJSON or GeoPackage; write it again") from error


def _layer(
    path: Path, layer: str, attribute: str | None, fallback: str
) -> tuple[str | None, NDArray[Any], list[str], list[str], list[str], bool]:
    """(CRS, polygons, classes, names of the attributes, notes, whether an attribute gave the classes) of one layer."""
    from pyogrio.raw import read  # noqa: PLC0415

    try:
        meta, _, blobs, columns = read(path, layer=layer)
        geometries = shapely.force_2d(shapely.from_wkb(blobs))
    except (RuntimeError, ValueError, shapely.GEOSException) as error:
        raise TaskError(f"{path} is damaged or cut short ({error}); expected polygons; write it again") from error
    fields = [str(name) for name in meta["fields"]]
    kept = np.isin(shapely.get_type_id(geometries), (3, 6)) & ~shapely.is_empty(geometries)
    notes: list[str] = []
    if not kept.all():
        notes.append(f"{path.name}: {int((~kept).sum())} of {len(kept)} features are no polygons and are left out")
    chosen = _attribute(fields, columns, attribute)
    if chosen is None:
        classes = [fallback] * int(kept.sum())
        if fallback == UNNAMED:
            among = f" among {_shown(fields)}" if fields else ""
            notes.append(f"{path.name}: no attribute{among} names classes, so every polygon counts as {UNNAMED!r}")
    else:
        classes = [_class(value, fallback) for value in columns[chosen][kept].tolist()]
        notes.append(f"{path.name}: classes are taken from the attribute {fields[chosen]!r}")
    crs = None if meta["crs"] is None else parse_crs(str(meta["crs"]))
    return crs, geometries[kept], classes, fields, notes, chosen is not None


def _attribute(fields: Sequence[str], columns: Sequence[NDArray[Any]], wanted: str | None) -> int | None:
    """Number of the attribute that holds classes; None where no name tells."""
    if wanted is not None:
        return fields.index(wanted) if wanted in fields else None
    plain = [name.casefold() for name in fields]
    exact = [plain.index(name) for name in _NAMES if name in plain]
    containing = [number for number, name in enumerate(plain) if any(word in name for word in _WORDS)]
    filled = [number for number in (*exact, *containing) if any(_class(value, "") for value in columns[number].tolist())]
    return filled[0] if filled else None


def _class(value: object, fallback: str) -> str:
    """A class as text: whole numbers without a point; nothing, not a number and blanks are the fallback."""
    if value is None or value != value:  # noqa: PLR0124 - not a number differs from itself
        return fallback
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or fallback


def _shown(fields: Sequence[str]) -> str:
    return ", ".join(fields) if len(fields) <= 12 else f"{', '.join(fields[:12])} and {len(fields) - 12} more"
