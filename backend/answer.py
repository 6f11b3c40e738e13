"""A probability map becomes the one region that Label Studio draws: a brush, or a polygon of one ring."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from converters import label_studio, vectorise
from converters.frames import Size
from converters.label_config import ControlTag

POLYGON_TOLERANCES = (1.0, 0.75, 0.5)
"""Native px that a polygon's outline may deviate from the mask's, coarsest first; what is too coarse for `POLYGON_IOU` is not used."""
POLYGON_IOU = 0.99
"""Overlap with the mask's largest part, holes filled, that no simplification may go below. A small object keeps every corner."""


def region(
    probability: NDArray[np.float32],
    threshold: float,
    *,
    target: ControlTag,
    image: str,
    label: str,
    display: Size,
    meta: Mapping[str, Any],
    id: str | None = None,
    note: str | None = None,
) -> dict[str, Any] | None:
    """The region of one answer, or None when no pixel belongs to the object.

    probability: HxW in 0..1, native px. threshold: a pixel above it belongs to the object.
    target: a BrushLabels tag gets every pixel; a PolygonLabels tag the largest part's outer ring, simplified (`outer_ring`).
    image: name of the Image tag. display: size of the picture in the browser; a mask of another size is brought to it by nearest pixel.
    meta: kept by Label Studio under `meta.rsiseg` through submit and export. note: shown to the annotator with the region.
    id: of the region that the answer takes the place of; None for a new one.
    The region's score is the mean probability of its pixels, 0..1.
    """
    mask = probability > threshold
    if not mask.any():
        return None
    score = float(probability[mask].mean(dtype=np.float64))
    said: dict[str, Any] = {
        "id": id or f"rsiseg-{uuid.uuid4().hex[:12]}",
        "label": label,
        "from_name": target.name,
        "to_name": image,
        "score": round(score, 4),
        "meta": {"rsiseg": dict(meta), **({"text": [note]} if note else {})},
    }
    if target.type == "BrushLabels":
        return label_studio.brush_region(_to_display(mask, display), **said)
    native = Size(width=mask.shape[1], height=mask.shape[0])
    return label_studio.polygon_region(outer_ring(mask), native, display=display, **said)


def outer_ring(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Nx2 (col, row) in native px: the outer ring of the mask's largest part, not closed. The mask has at least one pixel.

    Simplified (Douglas and Peucker) by the coarsest of `POLYGON_TOLERANCES` that keeps `POLYGON_IOU`. A polygon region is one ring, so
    holes and the other parts cannot be in it.
    """
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    left, top, width, height, _ = statistics[largest].tolist()
    part = parts[top : top + height, left : left + width] == largest
    ring = _simplified(Polygon(vectorise.polygons(part)[0].exterior)).exterior
    return np.asarray(ring.coords, dtype=np.float64)[:-1] + np.array([left, top], dtype=np.float64)


def _simplified(outline: Polygon) -> Polygon:
    for tolerance in POLYGON_TOLERANCES:
        simple = shapely.simplify(outline, tolerance, preserve_topology=True)
        if isinstance(simple, Polygon) and _iou(simple, outline) >= POLYGON_IOU:
            return simple
    return outline


def _iou(first: Polygon, second: Polygon) -> float:
    common = shapely.intersection(first, second).area
    return common / (first.area + second.area - common)


def _to_display(mask: NDArray[np.bool_], display: Size) -> NDArray[np.bool_]:
    if mask.shape == (display.height, display.width):
        return mask
    return cv2.resize(mask.astype(np.uint8), (display.width, display.height), interpolation=cv2.INTER_NEAREST) > 0
