"""The format gpkg: a layer for each class, in the rasters' own CRS, with the styles that QGIS picks up."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio.raw
import shapely
from shapely import MultiPolygon

from converters.exporting import layer_crs
from converters.exporting.qgis_style import add_styles
from converters.exporting.survey_object import SurveyObject
from converters.exporting.table import COLUMNS, Kind, row

if TYPE_CHECKING:
    from converters.exporting.formats import Request

# Tables carry the date of their last change; the same export must give the same bytes.
DATE = "1970-01-01T00:00:00.000Z"
GEOMETRY = "geom"
# Objects that wait in memory until they are written.
BATCH = 5000
EMPTY = "objects"
_RESERVED = ("gpkg_", "sqlite_", "rtree_", "layer_styles", "qgis_")
_DTYPES: dict[Kind, Any] = {"text": object, "whole": np.int64, "real": np.float64}


@dataclass(slots=True)
class Layer:
    """A layer of the file. crs: None for px. waiting: objects that are not written yet."""

    name: str
    crs: str | None
    colour: str
    waiting: list[SurveyObject] = field(default_factory=list)


def write(request: Request) -> None:
    """Writes `request.out`."""
    write_layers(request)


def write_layers(request: Request) -> list[Layer]:
    """Writes `request.out`, batch by batch. Layers are called as their class; with several CRSs, the CRS stands behind it."""
    several = not request.pixels and len(layer_crs.all_of(request)) > 1
    layers: dict[tuple[str, str | None], Layer] = {}
    waiting = 0
    with _fixed_date():
        for one in request.objects():
            crs = None if request.pixels or one.frame.crs is None else layer_crs.same(one.frame.crs)
            key = (one.class_name, crs)
            if key not in layers:
                wanted = f"{one.class_name} {layer_crs.short_name(crs)}" if several and crs else one.class_name
                layers[key] = Layer(_layer_name(wanted, [layer.name for layer in layers.values()]), crs, one.colour)
            layers[key].waiting.append(one)
            waiting += 1
            if waiting >= BATCH:
                _flush(layers.values(), request)
                waiting = 0
        _flush(layers.values() or [Layer(EMPTY, None, "#000000")], request, empty=not layers)
        add_styles(request.out, {layer.name: layer.colour for layer in layers.values()}, geometry=GEOMETRY, date=DATE)
    return list(layers.values())


@contextmanager
def _fixed_date() -> Iterator[None]:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _layer_name(wanted: str, taken: Sequence[str]) -> str:
    """A name that no other layer has; SQLite does not tell A from a, and keeps some names for itself."""
    name = wanted.strip() or "unnamed"
    if name.casefold().startswith(_RESERVED):
        name = f"class {name}"
    others = {one.casefold() for one in taken}
    number, unique = 2, name
    while unique.casefold() in others:
        unique, number = f"{name} ({number})", number + 1
    return unique


def _flush(layers: Any, request: Request, *, empty: bool = False) -> None:
    for layer in layers:
        if layer.waiting or empty:
            _append(layer, request)
            layer.waiting.clear()


def _append(layer: Layer, request: Request) -> None:
    rows = [row(one) for one in layer.waiting]
    values, missing = [], []
    for name, kind in COLUMNS.items():
        column = [one[name] for one in rows]
        missing.append(np.array([value is None for value in column], bool))
        blank = None if kind == "text" else 0
        values.append(np.array([blank if value is None else value for value in column], _DTYPES[kind]))
    with warnings.catch_warnings():
        # No CRS and a name that does not end in .gpkg are what the user asked for.
        warnings.simplefilter("ignore")
        _write_layer(layer, request, values, missing)


def _write_layer(layer: Layer, request: Request, values: list[np.ndarray], missing: list[np.ndarray]) -> None:
    pyogrio.raw.write(
        request.out,
        geometry=np.array([_wkb(one, pixels=request.pixels) for one in layer.waiting], object),
        field_data=values,
        fields=np.array(list(COLUMNS), object),
        field_mask=missing,
        layer=layer.name,
        driver="GPKG",
        geometry_type="MultiPolygon",
        crs=layer.crs,
        append=request.out.exists(),
        dataset_options={"VERSION": "1.3"},  # GDAL and QGIS of 2022 warn about 1.4
        layer_options={"GEOMETRY_NAME": GEOMETRY, "FID": "fid"},
    )


def _wkb(one: SurveyObject, *, pixels: bool) -> bytes:
    """The object as a MultiPolygon, outer rings counter-clockwise, in the raster's CRS or, with pixels, in px of the raster."""
    parts = one.parts if pixels else one.on_map()
    return shapely.to_wkb(shapely.orient_polygons(MultiPolygon(list(parts))))
