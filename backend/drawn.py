"""What is drawn on a task when someone clicks: its drafts, annotations and predictions, as Label Studio sends them with the click.

The request names neither the user nor the annotation that is open (measured with 1.23.2), so what is on the screen is concluded: an
autosaved draft is the annotation as it stands, predictions are copied into a new annotation under their ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from converters.label_studio_export import Annotation, Region, regions

DRAFT, ANNOTATION, PREDICTION = "draft", "annotation", "prediction"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A brush or polygon region with an id. source: DRAFT, ANNOTATION or PREDICTION."""

    source: str
    region: Region


def drawn(task: Mapping[str, Any], image: str) -> Iterator[Drawn]:
    """The regions that may be on the screen, on the Image tag `image`; each id once, the likeliest state of it first.

    The newest draft says it all where there is one and all work on the task is one person's. Without a draft it is that person's
    annotations and the predictions. Where several people worked on the task, only predictions are everybody's.
    What is no brush or polygon (`label_studio_export.regions` says why) is passed over.
    """
    drafts, annotations = _objects(task.get("drafts")), _objects(task.get("annotations"))
    alone = len({_user(one) for one in (*drafts, *annotations)}) <= 1
    if alone and drafts:
        layers = [(DRAFT, max(drafts, key=lambda one: str(one.get("updated_at") or "")))]
    else:
        layers = [(ANNOTATION, one) for one in reversed(annotations) if not one.get("was_cancelled")] if alone else []
        layers += [(PREDICTION, one) for one in reversed(_objects(task.get("predictions")))]
    seen: set[str] = set()
    for source, layer in layers:
        results = tuple(item for item in _objects(layer.get("result")) if item.get("to_name") == image)
        for region in regions(Annotation(None, None, False, False, "", results)):
            if isinstance(region, Region) and region.id is not None and region.id not in seen:
                seen.add(region.id)
                yield Drawn(source, region)


def _user(one: Mapping[str, Any]) -> str:
    """Whose a draft or an annotation is. A draft names its user as "name, 7" in `created_username`, an annotation as 7."""
    by = one.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("id")
    return str(by if by is not None else str(one.get("created_username") or one.get("user") or "").rpartition(", ")[2])


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
