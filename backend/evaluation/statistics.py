"""From IoUs after each click to the numbers people compare: NoC, the share of failures, mIoU after k clicks, seconds; with intervals.

Definitions: MODELS.md section 7. Every number is a ratio of sums over objects, so one bootstrap serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.bootstrap import Bootstrap, Units
from backend.evaluation.noc import TARGETS, ObjectResult
from backend.evaluation.robot import MAX_CLICKS
from backend.evaluation.size_bins import by_bins

STAGES = ("read", "encode", "step", "robot")
"""What a click's time is spent on: reading pixels, encoding them, the network's answer (decoding), the robot's clicks and measures."""

HISTOGRAM_CLICKS = (2, 5)
"""The IoU histogram is taken after so many clicks (the study's Figure 11)."""

HISTOGRAM_EDGES = tuple(round(0.05 * number, 2) for number in range(21))
"""Its bins; each holds its lower edge, the last also IoU 1."""

_DECIMALS = 6  # of an interval's ends: below it they depend on the order in which a processor adds


def summarise(results: Sequence[ObjectResult], max_clicks: int = MAX_CLICKS, bootstrap: Bootstrap | None = None) -> dict:
    """The numbers of one model over at least one object, as they stand in the benchmark's JSON.

    noc: mean clicks per target. over20: share (0..1) of objects counted with all `max_clicks` clicks; as in the protocol that includes
    the rare object that succeeds exactly at the last one. miou: mean IoU after click 1, 2, ...; an object that was stopped early
    keeps its last IoU. met: share of all clicks made so far that lie on their side of the mask's edge, counted after every click; None
    where an earlier run did not count them. iou_histogram: share of objects by IoU after 2 and 5 clicks.
    seconds_per_click: everything (reading, encoding, steps, the robot's own work) over all clicks, split in `seconds`.
    interval: [low, high] for each of these, of the same shape, with what was drawn (`unit`: image, patch or object; `units`: how many);
    None where there are too few objects. seconds_interval: of the times.
    by_class, by_size, by_class_and_size, by_image: the same numbers of groups, without times and histograms.
    """
    bootstrap = bootstrap or Bootstrap()
    table = _Table.of(results, max_clicks)
    whole = _numbers(results, table, bootstrap, histograms=True)
    places = {id(result): place for place, result in enumerate(results)}

    def numbers(group: Sequence[ObjectResult]) -> dict:
        return _numbers(group, table.rows([places[id(result)] for result in group]), bootstrap)

    classes = _groups(results, lambda result: result.class_name)
    return {
        **whole,
        **_times(results, table, bootstrap),
        "by_class": {name: numbers(group) for name, group in classes.items()},
        "by_size": {name: numbers(group) for name, group in by_bins(results).items()},
        "by_class_and_size": {
            name: {size: numbers(part) for size, part in by_bins(group, name).items()} for name, group in classes.items()
        },
        "by_image": {name: numbers(group) for name, group in _groups(results, lambda result: result.image).items()},
        "bootstrap": asdict(bootstrap),
    }


def paired_difference(
    first: Sequence[ObjectResult], second: Sequence[ObjectResult], max_clicks: int = MAX_CLICKS, bootstrap: Bootstrap | None = None
) -> dict | None:
    """How much `second` differs from `first`, object by object: the mean of second - first with its interval; None without a common object.

    first, second: results of two models, or of two versions of one, over the same set; objects that only one of them has are left out.
    Positive `noc`: the second needs more clicks. Positive `miou`: the second has the better masks after click k. `fewer`: the share (0..1)
    of the first's clicks that the second saves, the improvement of the study's Figure 6.
    Returns objects, noc and fewer (by target), miou (after each click), interval (the same shape, unit, units; or None).
    """
    bootstrap = bootstrap or Bootstrap()
    known = {_place(result): result for result in second}
    pairs = [(result, known[_place(result)]) for result in first if _place(result) in known]
    if not pairs:
        return None
    before, after = (_Table.of([pair[side] for pair in pairs], max_clicks) for side in (0, 1))
    one = np.ones((len(pairs), 1))
    columns = np.concatenate(
        [after.needed - before.needed, after.ious - before.ious, before.needed - after.needed, before.needed, one], axis=1
    )
    split, last = len(TARGETS), columns.shape[1] - 1
    numerators = [*range(last - split)]
    denominators = [*[last] * (split + max_clicks), *range(last - split, last)]
    totals = columns.sum(axis=0)
    units = Units.choose([pair[0] for pair in pairs])
    interval = None
    if units is not None:
        ends = _ends(bootstrap.intervals(units.sums(columns), numerators, denominators))
        interval = {"unit": units.name, "units": units.count, **_shaped_difference(ends, split, max_clicks)}
    return {
        "objects": len(pairs),
        **_shaped_difference((totals[numerators] / totals[denominators]).tolist(), split, max_clicks),
        "interval": interval,
    }


def _shaped_difference(values: Sequence, split: int, max_clicks: int) -> dict:
    return {
        "noc": _by_target(values[:split]),
        "miou": list(values[split : split + max_clicks]),
        "fewer": _by_target(values[split + max_clicks :]),
    }


@dataclass(frozen=True, slots=True)
class _Table:
    """Results as arrays, a row an object. needed: N x targets. ious: N x max_clicks. met, asked: N. max_clicks."""

    needed: NDArray[np.float64]
    ious: NDArray[np.float64]
    met: NDArray[np.float64]
    asked: NDArray[np.float64]
    max_clicks: int

    @classmethod
    def of(cls, results: Sequence[ObjectResult], max_clicks: int) -> _Table:
        ious = np.array([_filled(result.ious, max_clicks) for result in results], np.float64)
        reached = ious[:, None, :] >= np.array(TARGETS)[:, None] / 100
        needed = np.where(reached.any(axis=2), reached.argmax(axis=2) + 1, max_clicks).astype(np.float64)
        met = np.array([sum(result.met) for result in results], np.float64)
        asked = np.array([len(result.met) * (len(result.met) + 1) // 2 for result in results], np.float64)
        return cls(needed, ious, met, asked, max_clicks)

    def rows(self, places: Sequence[int]) -> _Table:
        return _Table(self.needed[places], self.ious[places], self.met[places], self.asked[places], self.max_clicks)

    def columns(self, *, histograms: bool) -> NDArray[np.float64]:
        """N x (objects, needed, failed, ious, met, asked, histograms): all that is added up."""
        failed = (self.needed >= self.max_clicks).astype(np.float64)
        parts = [np.ones((len(self.ious), 1)), self.needed, failed, self.ious, self.met[:, None], self.asked[:, None]]
        if histograms:
            for clicks in HISTOGRAM_CLICKS:
                edges = np.array(HISTOGRAM_EDGES[1:-1])
                bins = np.searchsorted(edges, self.ious[:, min(clicks, self.max_clicks) - 1], side="right")
                parts.append(np.eye(len(HISTOGRAM_EDGES) - 1)[bins])
        return np.concatenate(parts, axis=1)


def _numbers(results: Sequence[ObjectResult], table: _Table, bootstrap: Bootstrap, *, histograms: bool = False) -> dict:
    """Numbers of a group and, under `interval`, the same with both ends of the interval in the place of each."""
    columns = table.columns(histograms=histograms)
    met = 1 + 2 * len(TARGETS) + table.max_clicks
    numerators = [*range(1, met + 1), *range(met + 2, columns.shape[1])]
    denominators = [met + 1 if number == met else 0 for number in numerators]
    totals = columns.sum(axis=0)
    means = [totals[above] / totals[below] if totals[below] else None for above, below in zip(numerators, denominators, strict=True)]
    units = Units.choose(results)
    interval = None
    if units is not None:
        bounds = bootstrap.intervals(units.sums(columns), numerators, denominators)
        interval = {"unit": units.name, "units": units.count, **_shaped(_ends(bounds), table.max_clicks)}
    return {"objects": len(results), **_shaped(means, table.max_clicks), "interval": interval}


def _shaped(values: Sequence, max_clicks: int) -> dict:
    """The flat list of `_Table.columns`' ratios under the names of the JSON."""
    count = len(TARGETS)
    start = 2 * count + max_clicks
    shaped = {
        "noc": _by_target(values[:count]),
        "over20": _by_target(values[count : 2 * count]),
        "miou": _plain(values[2 * count : start]),
        "met": _plain(values[start : start + 1])[0],
    }
    if len(values) > start + 1:
        bins = len(HISTOGRAM_EDGES) - 1
        shares = _plain(values[start + 1 :])
        shaped["iou_histogram"] = {
            "edges": list(HISTOGRAM_EDGES),
            **{str(clicks): shares[place * bins : (place + 1) * bins] for place, clicks in enumerate(HISTOGRAM_CLICKS)},
        }
    return shaped


def _times(results: Sequence[ObjectResult], table: _Table, bootstrap: Bootstrap) -> dict:
    """Seconds per click: all stages together, by stage, and their intervals."""
    stages = np.array([[result.seconds.get(stage, 0.0) for stage in STAGES] for result in results], np.float64)
    clicks = np.array([[len(result.clicks)] for result in results], np.float64)
    columns = np.concatenate([stages, stages.sum(axis=1, keepdims=True), clicks], axis=1)
    totals = columns.sum(axis=0)
    means = dict(zip(STAGES, (totals[:-2] / totals[-1]).tolist(), strict=True))
    units = Units.choose(results)
    interval = None
    if units is not None:
        last = columns.shape[1] - 1
        ends = _ends(bootstrap.intervals(units.sums(columns), range(last), [last] * last))
        interval = dict(zip((*STAGES, "all"), ends, strict=True))
    return {"seconds_per_click": sum(means.values()), "seconds": means, "seconds_interval": interval}


def _groups(results: Sequence[ObjectResult], key: Callable[[ObjectResult], str]) -> dict[str, list[ObjectResult]]:
    groups: dict[str, list[ObjectResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return {name: groups[name] for name in sorted(groups)}


def _place(result: ObjectResult) -> tuple:
    """Which object of the set it is, whatever the model."""
    return (result.image, result.window, result.index, result.class_name, result.area)


def _filled(ious: Sequence[float], max_clicks: int) -> list[float]:
    kept = list(ious[:max_clicks])
    return kept + [kept[-1]] * (max_clicks - len(kept))


def _by_target(values: Sequence | NDArray[np.float64]) -> dict:
    return dict(zip(map(str, TARGETS), _plain(values), strict=True))


def _plain(values: Sequence | NDArray[np.float64]) -> list:
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _ends(bounds: NDArray[np.float64]) -> list[list[float] | None]:
    """2 x K as K pairs of low and high, None where there is none."""
    return [None if np.isnan(pair).any() else np.round(pair, _DECIMALS).tolist() for pair in bounds.T]
