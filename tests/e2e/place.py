"""Exported features laid back on the raster's pixels, with rasterio and pyproj alone: none of the code that made them is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
import rasterio.features
import shapely
from affine import Affine
from label_studio_sdk.converter.brush import decode_rle
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.windows import Window
from rasterio.windows import transform as window_transform
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

Mask = NDArray[np.bool_]


def decoded(region: dict[str, Any]) -> Mask:
    """The pixels of a brush region by Label Studio's own decoder."""
    size = (region["original_height"], region["original_width"])
    return decode_rle(region["value"]["rle"]).reshape(*size, 4)[:, :, 3] == 255


def on_map(feature: dict[str, Any], raster: Path) -> BaseGeometry:
    """The feature's longitudes and latitudes in the raster's CRS."""
    with rasterio.open(raster) as dataset:
        to_crs = Transformer.from_crs("OGC:CRS84", dataset.crs, always_xy=True)
    return shapely.transform(shape(feature["geometry"]), to_crs.transform, interleaved=False)


def chip_transform(task: dict[str, Any], raster: Path) -> Affine:
    """Where the chip lies by the raster's own georeference and the task's window; the transform in the task is not believed."""
    with rasterio.open(raster) as dataset:
        return window_transform(Window(*task["data"]["window"]), dataset.transform)


def pixels(geometry: BaseGeometry, task: dict[str, Any], raster: Path) -> Mask:
    """The pixels of the chip whose centres lie in the geometry."""
    _, _, width, height = task["data"]["window"]
    place = chip_transform(task, raster)
    return rasterio.features.rasterize([geometry], out_shape=(height, width), transform=place).astype(bool)


def outline(mask: Mask, task: dict[str, Any], raster: Path) -> BaseGeometry:
    """The pixels' edges on the map, by rasterio."""
    traced = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, transform=chip_transform(task, raster))
    parts = [shape(geometry) for geometry, _ in traced]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.union(part)
    return whole


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def largest_part(mask: Mask) -> Mask:
    """The largest of the mask's parts, 4-connected."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())


def has_holes(part: Mask) -> bool:
    _, background = cv2.connectedComponents(np.pad(~part, 1, constant_values=True).astype(np.uint8), connectivity=8)
    return int(background.max()) > 1
