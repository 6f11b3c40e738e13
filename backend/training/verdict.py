"""Is the fine-tuned model better? Clicks on the same held-out objects before and after, their difference, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.evaluation.bootstrap import Bootstrap, Units
from backend.evaluation.noc import ObjectResult, clicks_needed
from backend.evaluation.robot import MAX_CLICKS

JUDGED_AT = (0.8, 0.9)
"""IoU targets; an object's clicks are the mean of those it takes to each."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two versions of a model on the same held-out objects.

    objects: how many; images: that they are in. before, after: mean clicks, of each object the mean of those to 80 and to 90 % IoU, 20
    where it is never reached. interval: 95 %, of the mean of after - before, by the paired bootstrap over `units` `unit`s (image, patch or
    object); None for too few objects.
    """

    objects: int
    images: int
    before: float
    after: float
    interval: tuple[float, float] | None
    unit: str = "object"
    units: int = 0

    @property
    def difference(self) -> float:
        """after - before in clicks an object: negative is better."""
        return self.after - self.before

    @property
    def better(self) -> bool:
        """Whether fewer clicks are needed, beyond the interval."""
        return self.interval is not None and self.interval[1] < 0

    def as_json(self) -> dict[str, Any]:
        """For a card."""
        return {
            "clicks to 80 and 90 %, mean": {"before": round(self.before, 4), "after": round(self.after, 4)},
            "difference": round(self.difference, 4),
            "interval": None if self.interval is None else [round(end, 4) for end in self.interval],
            "objects": self.objects,
            "images": self.images,
            "drawn": f"{self.units} {self.unit}s",
        }

    def __str__(self) -> str:
        measured = (
            f"{self.objects} held-out objects of {self.images} image{'s' if self.images > 1 else ''}: {self.before:.2f} clicks before, "
            f"{self.after:.2f} after, {self.difference:+.2f}"
        )
        if self.interval is None:
            return f"{measured}; too few objects to tell whether that is chance"
        low, high = self.interval
        return f"{measured} (95 % interval {low:+.2f} to {high:+.2f})"


def judge(before: Sequence[ObjectResult], after: Sequence[ObjectResult], bootstrap: Bootstrap | None = None) -> Verdict:
    """The verdict on two results for the same objects in the same order. At least one object."""
    clicks = np.array([[_clicks(one) for one in results] for results in (before, after)])
    units = Units.choose(before)
    interval = None
    if units is not None:
        columns = np.stack([clicks[1] - clicks[0], np.ones(len(before))], axis=1)
        ends = (bootstrap or Bootstrap()).intervals(units.sums(columns), [0], [1])
        interval = (float(ends[0, 0]), float(ends[1, 0]))
    return Verdict(
        objects=len(before),
        images=len({result.image for result in before}),
        before=float(clicks[0].mean()),
        after=float(clicks[1].mean()),
        interval=interval,
        unit="object" if units is None else units.name,
        units=0 if units is None else units.count,
    )


def _clicks(result: ObjectResult) -> float:
    return float(np.mean([clicks_needed(result.ious, target, MAX_CLICKS) for target in JUDGED_AT]))
