"""What a feature says about its object beside the outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converters.exporting.chosen import ChosenRegion
from converters.json_values import is_number
from converters.label_studio_export import Region

MADE_BY = ("model", "model_version", "clicks", "cfr")


def of_region(chosen: ChosenRegion) -> dict[str, Any]:
    """The attributes of an object that is one region: plain values, in the order in which a table shows them."""
    return {
        "class": chosen.class_name,
        "colour": chosen.colour,
        "task": chosen.task,
        "annotation": chosen.annotation,
        "annotator": chosen.annotator,
        "region": chosen.region.id,
        "score": chosen.region.score,
        **_made_by(chosen.region),
    }


def merged(all_of: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The attributes of an object of several regions: the first one's names, and what the others say too.

    score: the lowest. clicks: of all together. annotator, model, model_version, cfr: all that occur, separated by commas.
    merged_regions: how many regions it was made of; source_regions: "task/annotation/region" of each.
    """
    first = dict(all_of[0])
    for name in ("annotator", "model", "model_version", "cfr"):
        values = list(dict.fromkeys(one[name] for one in all_of if one[name] is not None))
        first[name] = values[0] if len(values) == 1 else ", ".join(map(str, values)) or None
    scores = [one["score"] for one in all_of if one["score"] is not None]
    clicks = [one["clicks"] for one in all_of if one["clicks"] is not None]
    first["score"] = min(scores, default=None)
    first["clicks"] = sum(clicks) if clicks else None
    first["merged_regions"] = len(all_of)
    first["source_regions"] = ", ".join(f"{one['task']}/{one['annotation']}/{one['region']}" for one in all_of)
    return first


def _made_by(region: Region) -> dict[str, Any]:
    """Model, version, clicks and refinement of a region that a model drew; all None for one drawn by hand."""
    said = region.made_by
    clicks = said.get("clicks")
    plain = {
        name: said[name] if isinstance(said.get(name), str) or is_number(said.get(name)) else None for name in ("model", "version", "cfr")
    }
    return {
        "model": plain["model"],
        "model_version": plain["version"],
        "clicks": len(clicks) if isinstance(clicks, list) else clicks if is_number(clicks) else None,
        "cfr": plain["cfr"],
    }
