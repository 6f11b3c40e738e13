"""From IoUs after each click to the numbers people compare: NoC, the share of failures, mIoU after k clicks.

Definitions: MODELS.md section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from backend.evaluation.robot import MAX_CLICKS

TARGETS = (80, 85, 90, 95)
"""IoU targets in percent."""

SIZES = (("small (<32^2 px)", 32**2), ("medium (<96^2 px)", 96**2), ("large", None))
"""Bins of object area in pixels, those of the COCO evaluation: name, and the area at which the next bin begins."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object under one model.

    model: as asked for; version: the segmenter's own. image, window (col_off, row_off, width, height), index: which object: the
    index-th of that patch. class_name, area (px): what it is. clicks: (positive, row, col) in pixels of the window. ious, met: after each,
    see `robot.Trajectory`. gsd: metres per px, None where unknown.
    seconds: by stage: read, encode (both carried by the first object of a visit to a patch), step, robot.
    """

    model: str
    version: str
    image: str
    window: tuple[int, int, int, int]
    index: int
    class_name: str
    area: int
    clicks: tuple[tuple[bool, int, int], ...]
    ious: tuple[float, ...]
    met: tuple[int, ...]
    gsd: float | None = None
    seconds: dict[str, float] = field(compare=False, default_factory=dict)

    @property
    def area_m2(self) -> float | None:
        """Area in square metres of the grid of pixels; None where `gsd` is unknown."""
        return None if self.gsd is None else self.area * self.gsd**2


def clicks_needed(ious: Sequence[float], target: float, max_clicks: int = MAX_CLICKS) -> int:
    """Number of the first click after which the IoU reaches `target` (0..1); `max_clicks` when none does."""
    return next((number for number, iou in enumerate(ious[:max_clicks], start=1) if iou >= target), max_clicks)


def summarise(results: Sequence[ObjectResult], max_clicks: int = MAX_CLICKS) -> dict:
    """The numbers of one model over at least one object, as they stand in the benchmark's JSON.

    noc: mean clicks per target. over20: share (0..1) of objects counted with all `max_clicks` clicks; as in the protocol that includes
    the rare object that succeeds exactly at the last one. miou: mean IoU after click 1, 2, ...; an object that was stopped early
    keeps its last IoU. met: share of all clicks made so far that lie on their side of the mask's edge, counted after every click; None
    where an earlier run did not count them. seconds_per_click: everything (reading, encoding, steps, the robot's own work) over all
    clicks, split in `seconds`.
    """
    clicks = sum(len(result.clicks) for result in results)
    stages = {stage: sum(result.seconds.get(stage, 0.0) for result in results) / clicks for stage in ("read", "encode", "step", "robot")}
    return {
        **_numbers(results, max_clicks),
        "seconds_per_click": sum(stages.values()),
        "seconds": stages,
        "by_class": _by(results, lambda result: result.class_name, max_clicks),
        "by_size": _by(results, lambda result: size_bin(result.area), max_clicks),
        "by_image": _by(results, lambda result: result.image, max_clicks),
    }


def size_bin(area: int) -> str:
    """Name of the bin of SIZES that an object of `area` pixels falls into."""
    return next(name for name, limit in SIZES if limit is None or area < limit)


def _numbers(results: Sequence[ObjectResult], max_clicks: int) -> dict:
    needed = {str(target): [clicks_needed(result.ious, target / 100, max_clicks) for result in results] for target in TARGETS}
    after = [[result.ious[min(k, len(result.ious) - 1)] for result in results] for k in range(max_clicks)]
    return {
        "objects": len(results),
        "noc": {target: _mean(counts) for target, counts in needed.items()},
        "over20": {target: _mean(count >= max_clicks for count in counts) for target, counts in needed.items()},
        "miou": [_mean(ious) for ious in after],
        "met": _share_met(results),
    }


def _share_met(results: Sequence[ObjectResult]) -> float | None:
    met = sum(sum(result.met) for result in results)
    asked = sum(count * (count + 1) // 2 for count in (len(result.met) for result in results))
    return met / asked if asked else None


def _by(results: Sequence[ObjectResult], key: Callable[[ObjectResult], str], max_clicks: int) -> dict[str, dict]:
    groups: dict[str, list[ObjectResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    sizes = [name for name, _ in SIZES]
    order = sorted(groups, key=lambda name: (sizes.index(name), "") if name in sizes else (0, name))
    return {name: _numbers(groups[name], max_clicks) for name in order}


def _mean(numbers: Iterable[float]) -> float:
    values = list(numbers)
    return sum(values) / len(values)
