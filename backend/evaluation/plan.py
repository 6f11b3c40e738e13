"""What a benchmark run has to do: which objects there are, in which order they are visited, which of them are computed together."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backend.errors import UsageError
from backend.evaluation.data_source import Bands, Source
from backend.evaluation.patches import PatchWindow, as_tuple, patches
from backend.evaluation.robot import MAX_CLICKS
from backend.segmenters.precision import AUTO
from converters.bands import format_bands
from converters.labelled import LabelledSet

if TYPE_CHECKING:
    from backend.evaluation.visits import Bench

ObjectKey = tuple[str, str, str, PatchWindow, int, str, int]
"""(subject, version, image, window, index, class name, area): what a kept result must agree in to be used again."""

CHUNK = 8
"""About so many objects a worker takes at a time where patches are too few to go round; each chunk costs another encoding."""
PATCHES_PER_WORKER = 4
"""With so many patches for every worker, each takes whole patches."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What every object's result depends on, beside the model and its bands.

    patch: side in px, None for whole images. min_area: px. stop_at: IoU at which the robot lets an object be, None to always make
    all clicks. device, precision: for networks. batch: objects of a patch that share forward passes, at most.
    """

    source: Source
    patch: int | None = None
    min_area: int = 30
    max_clicks: int = MAX_CLICKS
    stop_at: float | None = None
    device: str = "cpu"
    precision: str = AUTO
    batch: int = 1

    def worker(self) -> Bench:
        """A `Work`: the robot at work in this process."""
        from backend.evaluation.visits import Bench  # noqa: PLC0415 - it reads what stands here

        return Bench(self)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with the bands it is given. bands: None for what the files say. named: whether the bands are part of its name."""

    model: str
    bands: Bands = None
    named: bool = False

    @property
    def name(self) -> str:
        """`default`, or `default [IRRG]` where bands tell it from another."""
        return f"{self.model} [{format_bands(self.bands)}]" if self.named and self.bands else self.model


@dataclass(frozen=True, slots=True)
class Target:
    """One object to be clicked on: the index-th of the patch at `window` of an image."""

    image: str
    window: PatchWindow
    index: int
    class_name: str
    area: int

    def key(self, subject: str, version: str) -> ObjectKey:
        """What its result is kept under."""
        return (subject, version, self.image, self.window, self.index, self.class_name, self.area)


@dataclass(frozen=True, slots=True)
class Visit:
    """Some objects of one patch under one subject. groups: indices of those that are computed together."""

    subject: Subject
    image: str
    window: PatchWindow
    groups: tuple[tuple[int, ...], ...]

    @property
    def what(self) -> str:
        """For messages."""
        return f"{self.subject.name} on {self.image}"

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(map(len, self.groups))


@dataclass(slots=True)
class TargetLists:
    """The objects of a set under each choice of bands. Where the images are the same, so are their labels, and they are listed once."""

    protocol: Protocol
    limit: int | None = None
    seed: int = 0
    _listed: dict[tuple, list[Target]] = field(default_factory=dict)

    def of(self, found: LabelledSet, seen: Callable[[], object] = lambda: None) -> list[Target]:
        """All objects in order, or `limit` of them drawn with `seed`, still in order. UsageError where there are none.

        seen: called after each image, for a progress bar.
        """
        key = tuple((image.name, image.size) for image in found.images)
        if key not in self._listed:
            self._listed[key] = list(_targets(found, self.protocol, seen))
        targets = self._listed[key]
        if not targets:
            raise UsageError(f"{found.path} has no object of at least {self.protocol.min_area} px; lower --min-area, or check the labels")
        if self.limit is None or self.limit >= len(targets):
            return targets
        return [targets[number] for number in sorted(random.Random(self.seed).sample(range(len(targets)), self.limit))]


def _targets(found: LabelledSet, protocol: Protocol, seen: Callable[[], object]) -> Iterator[Target]:
    for image in found.images:
        for patch in patches(image, protocol.patch, protocol.min_area):
            for index, each in enumerate(patch.objects):
                yield Target(image.name, as_tuple(patch.window), index, each.class_name, each.area)
        seen()


def plan_visits(targets: Sequence[Target], subject: Subject, done: Callable[[Target], bool], *, batch: int, workers: int) -> list[Visit]:
    """Visits for what is not done yet, patch by patch.

    Which objects are computed together follows from the targets and `batch` alone, never from what an interrupted run has left, so that
    the same bits come out: a group is done, or all of it is done again. Workers change only how many groups make a visit.
    """
    by_patch: dict[tuple[str, PatchWindow], list[Target]] = {}
    for target in targets:
        by_patch.setdefault((target.image, target.window), []).append(target)
    enough = workers == 1 or len(by_patch) >= workers * PATCHES_PER_WORKER
    visits: list[Visit] = []
    for (image, window), inside in by_patch.items():
        groups = [inside[start : start + batch] for start in range(0, len(inside), batch)]
        missing = [tuple(target.index for target in group) for group in groups if not all(map(done, group))]
        size = len(missing) if enough else max(1, CHUNK // batch)
        visits += [Visit(subject, image, window, tuple(missing[start : start + size])) for start in range(0, len(missing), max(size, 1))]
    return visits


def in_order(by_subject: Sequence[Sequence[Visit]]) -> list[Visit]:
    """All visits, subject by subject, but first one small visit of each: so the remaining time is known early, from every model's speed.

    That costs loading each model once more, so it is left out where there is little to do.
    """
    pilots: list[Visit] = []
    rest: list[Visit] = []
    for visits in by_subject:
        if len(by_subject) > 1 and visits and sum(visit.objects for visit in visits) > CHUNK:
            first, *others = visits
            pilots.append(Visit(first.subject, first.image, first.window, first.groups[:1]))
            left = first.groups[1:]
            rest += [*([Visit(first.subject, first.image, first.window, left)] if left else []), *others]
        else:
            rest += visits
    return pilots + rest
