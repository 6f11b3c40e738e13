"""How many clicks accepted objects took, counted from a Label Studio export: a team's own number of clicks (NoC), as it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from converters.label_studio_export import AnnotatedTask, Annotation, NoRegion, Region, regions

LIMIT = 20
"""Clicks that the study's robot may make on one object (paper, evaluation protocol); more than that counts as beyond."""

Way = Literal["clicked", "refined proposal", "proposal", "changed by hand", "by hand"]
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AcceptedObject:
    """A region of an annotation that counts.

    way: "clicked" from nothing or from an accepted region; "proposal" that was accepted untouched, "refined proposal" that was clicked on,
    "changed by hand" with the brush; "by hand" without the backend. clicks: all that went into it, 0 where none was needed; a box is one.
    A proposal may also be a label of another source that was imported as a pre-annotation.
    model, version, cfr: as the backend wrote them, "" for a region without. annotator: e-mail or number, "unknown" when not said.
    """

    class_name: str
    way: Way
    clicks: int
    model: str
    version: str
    cfr: str
    annotator: str


@dataclass(slots=True)
class Tally:
    """Numbers of a group of objects. clicks: number of clicks -> objects that took so many; only objects with at least one."""

    ways: Counter[str] = field(default_factory=Counter)
    clicks: Counter[int] = field(default_factory=Counter)

    def add(self, one: AcceptedObject) -> None:
        """Counts an object."""
        self.ways[one.way] += 1
        if one.clicks:
            self.clicks[one.clicks] += 1

    def numbers(self) -> dict[str, Any]:
        """Plain numbers for JSON.

        Means, median and shares are of the objects with clicks and None where there are none; `mean_with_proposals` counts proposals that
        were accepted without a click as 0. `beyond_limit` is the share with more than `LIMIT` clicks.
        """
        count, total = self.clicks.total(), sum(clicks * times for clicks, times in self.clicks.items())
        unclicked = self.ways["proposal"] + self.ways["changed by hand"]
        return {
            "objects": self.ways.total(),
            "clicked": self.ways["clicked"],
            "refined_proposals": self.ways["refined proposal"],
            "proposals": self.ways["proposal"],
            "changed_by_hand": self.ways["changed by hand"],
            "by_hand": self.ways["by hand"],
            "clicks": total,
            "mean": total / count if count else None,
            "median": self._median(),
            "mean_with_proposals": total / (count + unclicked) if count + unclicked else None,
            "one_click": self.clicks[1] / count if count else None,
            "beyond_limit": sum(times for clicks, times in self.clicks.items() if clicks > LIMIT) / count if count else None,
        }

    def _median(self) -> float | None:
        count = self.clicks.total()
        if not count:
            return None
        return (self._nth((count - 1) // 2) + self._nth(count // 2)) / 2

    def _nth(self, index: int) -> int:
        """Clicks of the object at `index`, from 0, when all are in order of their clicks."""
        for clicks in sorted(self.clicks):
            index -= self.clicks[clicks]
            if index < 0:
                return clicks
        raise IndexError(index)


GROUPS: dict[str, Callable[[AcceptedObject], tuple[str, ...]]] = {
    "class": lambda one: (one.class_name,),
    "model": lambda one: (one.version or one.model or one.way,),
    "class and model": lambda one: (one.class_name, one.version or one.model or one.way),
    "annotator": lambda one: (one.annotator,),
}
"""What objects are grouped by. The model is its version, which names weights, settings and refinement; without one, the way it was made."""


class ClickStatistics:
    """Counts objects in one pass; memory follows the number of groups, not of objects."""

    def __init__(self) -> None:
        self.overall = Tally()
        self.groups: dict[str, dict[tuple[str, ...], Tally]] = {name: {} for name in GROUPS}
        self.left_out: Counter[str] = Counter()
        self.tasks = 0
        self.annotated = 0

    def count(self, tasks: Iterable[AnnotatedTask]) -> None:
        """Counts all annotations that were not cancelled, of every annotator."""
        for task in tasks:
            self.tasks += 1
            self.annotated += any(not annotation.cancelled for annotation in task.annotations)
            if not task.annotations:
                self.left_out["tasks without an annotation (drafts and predictions are none)"] += 1
            for annotation in task.annotations:
                for one in self._objects(annotation):
                    self._add(one)

    def _objects(self, annotation: Annotation) -> Iterator[AcceptedObject]:
        for region in regions(annotation):
            if annotation.cancelled:
                self.left_out["regions of annotations that were skipped (cancelled) in Label Studio"] += 1
            elif isinstance(region, NoRegion):
                self.left_out[f"{region.type}: {region.reason}"] += 1
            elif (clicks := clicks_of(region.made_by)) is None:
                self.left_out["regions whose meta.rsiseg says no number of clicks that can be read"] += 1
            else:
                yield _object(region, clicks, annotation)

    def _add(self, one: AcceptedObject) -> None:
        self.overall.add(one)
        for name, key in GROUPS.items():
            self.groups[name].setdefault(key(one), Tally()).add(one)

    def report(self) -> dict[str, Any]:
        """All numbers as plain JSON; groups in alphabetical order."""
        return {
            "tasks": self.tasks,
            "annotated_tasks": self.annotated,
            "limit": LIMIT,
            "all": self.overall.numbers(),
            **{
                f"by_{name.replace(' ', '_')}": [
                    {**dict(zip(name.split(" and "), key, strict=True)), **tally.numbers()} for key, tally in sorted(groups.items())
                ]
                for name, groups in self.groups.items()
            },
            "left_out": dict(self.left_out.most_common()),
        }


def clicks_of(made_by: Mapping[str, Any]) -> int | None:
    """All clicks of an object, those made before it was refined included; a box is one. 0 for one drawn by hand, None for nonsense."""
    said = [made_by.get("clicks", None if made_by else 0), made_by.get("clicks_before", 0)]
    if not all(isinstance(clicks, int) and not isinstance(clicks, bool) and clicks >= 0 for clicks in said):
        return None
    return max(said[0], 1 if made_by.get("box") else 0) + said[1]


def _object(region: Region, clicks: int, annotation: Annotation) -> AcceptedObject:
    made_by = region.made_by
    return AcceptedObject(
        class_name=region.labels[0],
        way=_way(region, clicks),
        clicks=clicks,
        model=str(made_by.get("model") or ""),
        version=str(made_by.get("version") or ""),
        cfr=str(made_by.get("cfr") or ""),
        annotator=UNKNOWN if annotation.annotator is None else str(annotation.annotator),
    )


def _way(region: Region, clicks: int) -> Way:
    if not region.made_by and not region.origin.startswith("prediction"):
        return "by hand"
    if clicks:
        return "refined proposal" if region.made_by.get("proposed") or region.made_by.get("refines") == "prediction" else "clicked"
    return "changed by hand" if region.origin == "prediction-changed" else "proposal"
