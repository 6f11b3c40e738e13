"""How far a mean over these objects may be from that over others of the kind: percentile bootstrap of ratios of sums.

Objects of one image share its light, season and streets, so whole images are drawn with replacement where there are enough of them, else
whole patches, else objects (the cluster bootstrap; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
With few units a percentile interval is too narrow. It covers, measured on normal and skewed samples: 83 and 80 % with 5 units, 90 and
86 % with 8, 91 % with 20, 94 % with 60, where 95 % is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.noc import ObjectResult

FEWEST_CLUSTERS = 8
"""With fewer images than this, patches are drawn; with fewer patches, objects."""

FEWEST_OBJECTS = 5
"""With fewer objects than this there is no interval."""

_CHUNK = 1 << 20  # draws at a time, 8 MiB each for them and for their counts


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """resamples: how many. level: 0..1, of the interval. seed: the same numbers for the same objects."""

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def intervals(self, sums: NDArray[np.float64], numerators: Sequence[int], denominators: Sequence[int]) -> NDArray[np.float64]:
        """Intervals of sum(numerator column) / sum(denominator column), for each pair of columns of `sums`.

        sums: units x columns, the sums of each unit that is drawn. Returns 2 x pairs, low and high; NaN where a denominator is always 0.
        A resample whose denominator is 0 is left out.
        """
        totals = self._totals(sums)
        over = totals[:, denominators]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.where(over > 0, totals[:, numerators] / over, np.nan)
        ends = ((1 - self.level) / 2, (1 + self.level) / 2)
        found = np.full((2, len(numerators)), np.nan)
        gaps = np.isnan(ratios)
        whole = ~gaps.any(axis=0)
        found[:, whole] = np.quantile(ratios[:, whole], ends, axis=0)
        some = ~whole & ~gaps.all(axis=0)
        if some.any():
            found[:, some] = np.nanquantile(ratios[:, some], ends, axis=0)
        return found

    def _totals(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Resamples x columns: as many units as there are, drawn with replacement, added up."""
        units = len(sums)
        random = np.random.default_rng(self.seed)
        rows = max(1, _CHUNK // units)
        totals: list[NDArray[np.float64]] = []
        for start in range(0, self.resamples, rows):
            count = min(rows, self.resamples - start)
            drawn = random.integers(0, units, (count, units))
            drawn += np.arange(count)[:, None] * units
            times = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)
            totals.append(times.astype(np.float64) @ sums)
        return np.concatenate(totals)


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn. name: image, patch or object. of: int N, the unit of each object. count: how many units."""

    name: str
    of: NDArray[np.intp]
    count: int

    @classmethod
    def choose(cls, results: Sequence[ObjectResult]) -> Units | None:
        """The largest units of which there are enough; None for too few objects."""
        if len(results) < FEWEST_OBJECTS:
            return None
        for name, keys in (
            ("image", [result.image for result in results]),
            ("patch", [(result.image, result.window) for result in results]),
        ):
            numbers: dict[object, int] = {}
            of = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)
            if len(numbers) >= FEWEST_CLUSTERS:
                return cls(name, of, len(numbers))
        return cls("object", np.arange(len(results), dtype=np.intp), len(results))

    def sums(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """`columns`, N x columns, added up by unit: units x columns."""
        if self.name == "object":
            return columns
        order = np.argsort(self.of, kind="stable")
        starts = np.searchsorted(self.of[order], np.arange(self.count))
        return np.add.reduceat(columns[order], starts, axis=0)
