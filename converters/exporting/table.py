"""Objects as rows of a table with fixed columns, for formats that need them (GeoPackage, GeoParquet)."""

from __future__ import annotations

from typing import Any, Literal

from converters.exporting.survey_object import SurveyObject
from converters.json_values import is_number

Kind = Literal["text", "whole", "real"]

COLUMNS: dict[str, Kind] = {
    "class": "text",
    "colour": "text",
    "task": "whole",
    "annotation": "whole",
    "annotator": "text",
    "region": "text",
    "score": "real",
    "model": "text",
    "model_version": "text",
    "clicks": "whole",
    "cfr": "text",
    "area_m2": "real",
    "area_method": "text",
    "merged_regions": "whole",
    "source_regions": "text",
    "raster": "text",
}


def row(one: SurveyObject) -> dict[str, Any]:
    """The object's attributes by column, None where there is none. `source_regions` names every region, also where there is one."""
    said = dict(one.attributes)
    said.setdefault("merged_regions", 1)
    said.setdefault("source_regions", "/".join(str(said[name]) for name in ("task", "annotation", "region")))
    said["raster"] = one.chip.raster
    return {name: _plain(said.get(name), kind) for name, kind in COLUMNS.items()}


def _plain(value: Any, kind: Kind) -> str | int | float | None:
    if value is None:
        return None
    if kind == "text":
        return str(value)
    if not is_number(value):
        return None  # such as a task's name instead of its number, which stands in `source_regions`
    return int(value) if kind == "whole" else float(value)
