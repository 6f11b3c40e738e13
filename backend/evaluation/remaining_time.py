"""How long a benchmark run will still take: every model's own speed, measured, times what each has left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.evaluation.noc import ObjectResult


@dataclass(frozen=True, slots=True)
class Estimate:
    """seconds: of wall time, for the models that have been measured. unknown: models of which no object has been measured yet."""

    seconds: float
    unknown: int

    def __str__(self) -> str:
        """`1:02:03`; `>= 2:03 (2 models not measured yet)`; `?` before anything is known."""
        if self.unknown and not self.seconds:
            return "?"
        minutes, seconds = divmod(round(self.seconds), 60)
        clock = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
        models = "model" if self.unknown == 1 else "models"
        return f">= {clock} ({self.unknown} {models} not measured yet)" if self.unknown else clock


@dataclass(slots=True)
class RemainingTime:
    """Learns from every result. left: objects still to be measured, by model.

    The sum of what all processes are to spend is divided by how many seconds' work they have done a second so far, which counts
    idle workers, loading and a busy machine as they are.
    """

    left: Counter[str]
    _spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _measured: Counter[str] = field(default_factory=Counter)
    _worked: float = 0.0

    @classmethod
    def of(cls, left: Mapping[str, int], kept: Sequence[ObjectResult] = ()) -> RemainingTime:
        """kept: results of an earlier run, whose times say how fast each model is; those without times say nothing."""
        found = cls(Counter(left))
        for result in kept:
            if result.seconds:
                found._count(result)
        return found

    def add(self, group: Sequence[ObjectResult]) -> None:
        """Results just measured."""
        for result in group:
            self.left[result.model] -= 1
            self._worked += self._count(result)

    def estimate(self, elapsed: float) -> Estimate:
        """elapsed: seconds of wall time since the run began."""
        pending = {model: count for model, count in self.left.items() if count > 0}
        work = sum(count * self._spent[model] / self._measured[model] for model, count in pending.items() if self._measured[model])
        speed = self._worked / elapsed if elapsed > 0 and self._worked > 0 else 1.0
        return Estimate(work / speed, sum(not self._measured[model] for model in pending))

    def _count(self, result: ObjectResult) -> float:
        seconds = sum(result.seconds.values())
        self._spent[result.model] += seconds
        self._measured[result.model] += 1
        return seconds
