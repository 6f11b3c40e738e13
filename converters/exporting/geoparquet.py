"""The format geoparquet: one table, WKB with the "geo" metadata of GeoParquet 1.1.0 (geoparquet.org/releases/v1.1.0)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.geometry
from pyproj import CRS
from shapely import MultiPolygon
from shapely.geometry.base import BaseGeometry

from converters import geojson
from converters.errors import ExportError, RSISegError
from converters.exporting import layer_crs
from converters.exporting.table import COLUMNS, row
from converters.map_place import LONLAT

if TYPE_CHECKING:
    from converters.exporting.formats import Request

# Objects of a row group: what is in memory at a time, and what a reader may skip by its bounding boxes.
ROWS = 10_000
GEOMETRY = "geometry"
_ARROW = {"text": "string", "whole": "int64", "real": "float64"}
_EDGES = ("xmin", "ymin", "xmax", "ymax")


def write(request: Request) -> None:
    """Writes `request.out`, row group by row group: in the rasters' CRS if they share one, else in longitude and latitude.

    Raises ExportError where pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    known = [] if request.pixels else layer_crs.all_of(request)
    crs = known[0] if len(known) == 1 else None
    schema = arrow.schema(
        [arrow.field(name, getattr(arrow, _ARROW[kind])()) for name, kind in COLUMNS.items()]
        + [
            arrow.field("bbox", arrow.struct([arrow.field(edge, arrow.float64(), nullable=False) for edge in _EDGES])),
            arrow.field(GEOMETRY, arrow.binary(), nullable=False),
        ]
    )
    objects = _placed(request, crs)
    boxes: list[np.ndarray] = []
    with parquet.ParquetWriter(request.out, schema, compression="zstd") as writer:
        while batch := list(islice(objects, ROWS)):
            shapes = [shape for shape, _ in batch]
            bounds = shapely.bounds(shapes)
            boxes.append(bounds)
            columns = [[cells[name] for _, cells in batch] for name in COLUMNS]
            columns += [[dict(zip(_EDGES, one, strict=True)) for one in bounds.tolist()], shapely.to_wkb(shapes).tolist()]
            arrays = [arrow.array(column, type=kind.type) for column, kind in zip(columns, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({"geo": json.dumps(_metadata(request, crs, boxes), separators=(",", ":"))})


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415  not everybody who exports has it
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            "the format geoparquet is written with pyarrow, which is not installed; expected it; install pyarrow, or use --format gpkg"
        ) from error
    return pyarrow, pyarrow.parquet


def _placed(request: Request, crs: str | None) -> Iterator[tuple[BaseGeometry, dict[str, Any]]]:
    """Each object's geometry, outer rings counter-clockwise, and its cells; one that has no place is left out in the account."""
    for one in request.objects():
        try:
            if request.pixels or crs is not None:
                parts = list(one.parts) if request.pixels else one.on_map()
                shape = shapely.orient_polygons(parts[0] if len(parts) == 1 else MultiPolygon(parts))
            else:
                shape = shapely.geometry.shape(geojson.geometry(one.lonlat()))
        except RSISegError as error:
            for name in one.sources:
                request.account.left_out(name, str(error))
            continue
        yield shape, row(one)


def _metadata(request: Request, crs: str | None, boxes: list[np.ndarray]) -> dict[str, Any]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"],
        # null: not a place on earth, px of the raster.
        "crs": None if request.pixels else CRS.from_user_input(crs or LONLAT).to_json_dict(),
        "orientation": "counterclockwise",
        "edges": "planar",
        "covering": {"bbox": {edge: ["bbox", edge] for edge in _EDGES}},
    }
    if boxes:
        every = np.concatenate(boxes)
        column["bbox"] = [*every[:, :2].min(axis=0).tolist(), *every[:, 2:].max(axis=0).tolist()]
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
