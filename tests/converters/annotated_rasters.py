"""Rasters on disk with annotated chips, as an import and Label Studio would leave them, for tests of whole formats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from converters import georeference
from converters.chips import Chip, PixelWindow
from converters.exporting.account import Account
from converters.exporting.chosen import Choice
from converters.exporting.formats import FORMATS, Request
from converters.exporting.run import run
from converters.exporting.shaping import Shaping
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data, polygon_region
from converters.label_studio_export import read_export

UTM = Affine(0.05, 0, 366_000.0, 0, -0.05, 5_807_000.0)


def write_raster(path: Path, size: Size, transform: Affine | None = UTM, crs: str | None = "EPSG:32633") -> np.ndarray:
    """A GeoTIFF of three bands of noise; its pixels HxWx3."""
    pixels = np.random.default_rng(size.width * 7919 + size.height).integers(0, 256, (size.height, size.width, 3), np.uint8)
    place = {} if transform is None else {"transform": transform}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", width=size.width, height=size.height, count=3, dtype="uint8", crs=crs, **place) as raster:
        raster.write(np.moveaxis(pixels, -1, 0))
    return pixels


def a_chip(
    raster: str, window: PixelWindow, size: Size, transform: Affine | None = UTM, crs: str | None = "EPSG:32633", **changes: Any
) -> Chip:
    place = None if transform is None else transform @ Affine.translation(window.col_off, window.row_off)
    fields: dict[str, Any] = {
        "image": f"{raster}_{window.col_off}_{window.row_off}.png", "raster": raster, "window": window, "transform": place, "crs": crs,
        "bands": ("R", "G", "B"), "scale": 1.0, "gsd": georeference.ground_sampling_distance(place, crs, size), "native_size": size,
        "stretch": None, "nodata": None,
    }  # fmt: skip
    return Chip(**fields | changes)


def brush(mask: np.ndarray, label: str = "building", id: str = "r1") -> dict[str, Any]:
    return brush_region(mask, id=id, label=label, from_name="brush", to_name="img")


def ring(points: Sequence[tuple[float, float]], native: Size, label: str = "tree", id: str = "p1") -> dict[str, Any]:
    return polygon_region(points, native, id=id, label=label, from_name="poly", to_name="img")


def a_task(number: int, chip: Chip, *items: dict[str, Any], **annotation: Any) -> dict[str, Any]:
    said = {"id": number, "completed_by": 1, "updated_at": "2026-09-30T10:00:00Z", "result": list(items)} | annotation
    return {"id": number, "data": chip_to_task_data(chip), "annotations": [said]}


def written(name: str, out: Path, tasks: Sequence[dict[str, Any]], home: Path, **changes: Any) -> Account:
    """The export in a format at `out`; files of tasks are looked for in `home`. changes: fields of `Request`, options added to it."""
    known = read_export(json.loads(json.dumps(list(tasks))))
    options = {"home": home, "val_share": 0.0} | changes.pop("options", {})
    fields: dict[str, Any] = {"choice": Choice(), "shaping": Shaping()} | changes
    request = Request(tasks=lambda: known, out=out, options=options, **fields)
    run(FORMATS[name], request)
    request.account.report()  # asserts that the sums agree
    return request.account
