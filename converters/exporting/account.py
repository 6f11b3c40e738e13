"""The account of an export: every region of the input ends as exported, merged into another one, or left out for a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from converters.errors import ExportError


@dataclass(frozen=True, slots=True, order=True)
class RegionName:
    """A result item of an export by its names. order: its position among all items of the export, which makes it unique."""

    order: int
    task: int | str | None = field(compare=False)
    annotation: int | str | None = field(compare=False)
    annotator: int | str | None = field(compare=False)
    region: str | None = field(compare=False)
    type: str | None = field(compare=False)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one region, annotation or task (the narrower numbers are None then) that the user should know."""

    task: int | str | None
    annotation: int | str | None
    region: str | None
    type: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Exported:
    """The fate of a region that is an object of its own, or the first of one. area_m2: the region's share of its object; None: unknown."""

    class_name: str
    area_m2: float | None


@dataclass(frozen=True, slots=True)
class Merged:
    """The fate of a region that became part of the object that `into` began, such as the other half of a roof on a chip's edge."""

    into: RegionName
    class_name: str
    area_m2: float | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The fate of a region that is in no object, and why."""

    reason: str


Fate = Exported | Merged | LeftOut


class Account:
    """What became of every region. The last word about a region counts, so an export may go through its regions more than once."""

    def __init__(self) -> None:
        self._tasks: set[int] = set()
        self._names: dict[int, RegionName] = {}
        self._fates: dict[int, Fate] = {}
        self._empty: dict[int, tuple[RegionName, str]] = {}
        self._notes: dict[tuple[int, str], RegionName] = {}
        self._unplaced: dict[int, str] = {}
        self._facts: dict[str, Any] = {}

    def fact(self, name: str, value: Any) -> None:
        """Something that a format found out about what it wrote, plain JSON, such as its largest deviation."""
        self._facts[name] = value

    def largest(self, name: str, value: float) -> None:
        """A fact that is the largest of the numbers said under this name."""
        self._facts[name] = max(value, self._facts.get(name, value))

    def read(self, position: int) -> None:
        """The task at this position of the export was read."""
        self._tasks.add(position)

    def seen(self, name: RegionName) -> None:
        """A region of the input; it must get a fate."""
        self._names[name.order] = name

    def exported(self, name: RegionName, class_name: str, area_m2: float | None = None) -> None:
        """The region is an object of its own, or the first region of one."""
        self._fates[name.order] = Exported(class_name, area_m2)

    def merged(self, name: RegionName, into: RegionName, class_name: str, area_m2: float | None = None) -> None:
        """The region is part of the object whose first region is `into`."""
        self._fates[name.order] = Merged(into, class_name, area_m2)

    def left_out(self, name: RegionName, reason: str) -> None:
        """The region is in no object."""
        self._fates[name.order] = LeftOut(reason)

    def nothing(self, name: RegionName, reason: str) -> None:
        """A task or annotation without any region, and why it adds nothing."""
        self._empty[name.order] = (name, reason)

    def note(self, name: RegionName, text: str) -> None:
        """Something about a region that is exported, but not as it was found."""
        self._notes.setdefault((name.order, text), name)

    def unplaced(self, position: int, reason: str) -> None:
        """The chosen annotations of the task at this position have regions, and no place."""
        self._unplaced[position] = reason

    def check(self) -> None:
        """Raises ExportError when there are regions and not one has a place; asserts that each region has a fate."""
        forgotten = self._names.keys() - self._fates.keys()
        assert not forgotten, f"{len(forgotten)} regions have no fate, such as {self._names[min(forgotten)]}"
        if self._unplaced and not self.features:
            first = self._unplaced[min(self._unplaced)]
            raise ExportError(f"nothing can be placed, the regions of {len(self._unplaced)} tasks have no place: {first}")

    @property
    def tasks(self) -> int:
        """Tasks read."""
        return len(self._tasks)

    @property
    def features(self) -> int:
        """Objects written: regions whose fate is `Exported`."""
        return sum(isinstance(fate, Exported) for fate in self._fates.values())

    def remarks_left_out(self) -> list[Remark]:
        """Regions that are in no object, and tasks and annotations without any, in the order of the export."""
        gone = {order: fate.reason for order, fate in self._fates.items() if isinstance(fate, LeftOut)}
        remarks = {order: _remark(self._names[order], reason) for order, reason in gone.items()}
        remarks |= {order: _remark(name, reason) for order, (name, reason) in self._empty.items()}
        return [remarks[order] for order in sorted(remarks)]

    def remarks_noted(self) -> list[Remark]:
        """The notes, in the order of the export."""
        return [_remark(name, text) for (_, text), name in sorted(self._notes.items(), key=lambda item: item[0])]

    def report(self) -> dict[str, Any]:
        """The account as JSON: counts, areas by class and annotator, and every region that is merged or left out."""
        merged = [(self._names[order], fate.into) for order, fate in sorted(self._fates.items()) if isinstance(fate, Merged)]
        fates = [(self._names[order], fate) for order, fate in sorted(self._fates.items()) if not isinstance(fate, LeftOut)]
        out = len(self._fates) - len(fates)
        assert self.features + len(merged) + out == len(self._names), "exported, merged and left out are not all regions"
        return {
            "tasks": self.tasks,
            "regions": len(self._names),
            "features": self.features,
            "exported": self.features,
            "merged": len(merged),
            "regions_left_out": out,
            "area_m2": _area(fate for _, fate in fates),
            "by_class": _counts((fate.class_name, fate) for _, fate in fates),
            "by_annotator": _counts(("unknown" if name.annotator is None else str(name.annotator), fate) for name, fate in fates),
            "merged_into": [
                _names_of(name) | {"into": {"task": into.task, "annotation": into.annotation, "region": into.region}}
                for name, into in merged
            ],
            "left_out": [_as_json(remark) for remark in self.remarks_left_out()],
            "notes": [_as_json(remark) for remark in self.remarks_noted()],
            "facts": dict(self._facts),
        }


def _remark(name: RegionName, reason: str) -> Remark:
    return Remark(name.task, name.annotation, name.region, name.type, reason)


def _as_json(remark: Remark) -> dict[str, Any]:
    return {name: getattr(remark, name) for name in ("task", "annotation", "region", "type", "reason")}


def _names_of(name: RegionName) -> dict[str, Any]:
    return {key: getattr(name, key) for key in ("task", "annotation", "region", "type")}


def _area(fates: Iterable[Exported | Merged]) -> float | None:
    """Square metres; None when not one area is known."""
    known = [fate.area_m2 for fate in fates if fate.area_m2 is not None]
    return round(sum(known), 3) if known else None


def _counts(named: Iterable[tuple[str, Exported | Merged]]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Exported | Merged]] = {}
    for name, fate in named:
        groups.setdefault(name, []).append(fate)
    return {
        name: {"features": sum(isinstance(fate, Exported) for fate in fates), "regions": len(fates), "area_m2": _area(fates)}
        for name, fates in sorted(groups.items())
    }
