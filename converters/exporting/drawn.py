"""The regions of one raster before they become objects: outlines in px of the whole raster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shapely import Polygon

from converters.chips import Chip, PixelWindow
from converters.exporting.account import RegionName


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region as it was drawn on its chip. parts: polygons (col, row) in px of the whole raster, edge-based.

    lane: regions of different lanes have nothing to do with each other.
    """

    name: RegionName
    class_name: str
    colour: str
    chip: Chip
    lane: int | str | None
    parts: tuple[Polygon, ...]
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class Sheet:
    """A raster with everything drawn on it.

    frame: the chip that places it. windows: lane -> the windows of all chips with a chosen annotation, empty ones too.
    """

    frame: Chip
    drawn: list[Drawn] = field(default_factory=list)
    windows: dict[int | str | None, set[PixelWindow]] = field(default_factory=dict)
