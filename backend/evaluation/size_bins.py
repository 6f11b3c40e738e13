"""Objects by size: the study's bins for buildings and trees (its Tables 6 and 7), the quintiles of the data itself for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.noc import ObjectResult

QUANTILES = 5
FEWEST = 5
"""The data's own bins are fewer than `QUANTILES` where they would hold fewer objects each than this."""


@dataclass(frozen=True, slots=True)
class SizeBins:
    """Bins of object area. unit: m2 or px. edges: increasing; a bin holds what is above its lower and up to its upper edge.

    The first bin holds its lower edge too. What lies outside of the edges falls into bins of its own, before the first and after the last.
    """

    unit: str
    edges: tuple[float, ...]

    @classmethod
    def quantiles(cls, areas: NDArray[np.float64], unit: str) -> SizeBins:
        """Up to `QUANTILES` bins with the same number of objects each, as far as equal areas allow; every edge is the area of an object."""
        ordered = np.sort(areas)
        count = min(QUANTILES, max(1, len(ordered) // FEWEST))
        places = [max(0, -(-number * len(ordered) // count) - 1) for number in range(count + 1)]
        return cls(unit, tuple(np.unique(ordered[places]).tolist()))

    def names(self) -> list[str]:
        """Names of all bins in order, the two outer ones included."""
        texts = [f"{text} {self.unit}" for text in _distinct(self.edges)]
        inner = [f"({low}, {high}]" for low, high in pairwise(texts)] or [texts[0]]
        return [f"below {texts[0]}", *inner, f"above {texts[-1]}"]

    def place(self, areas: NDArray[np.float64]) -> NDArray[np.intp]:
        """Index into `names` of each area."""
        edges = np.array(self.edges)
        slack = 1e-9 * edges  # 30 px at 5 cm are 0.07500000000000001 m2
        above = np.searchsorted(edges + slack, areas, side="left")
        return np.where((above == 0) & (areas >= edges[0] - slack[0]), 1, above).astype(np.intp)


STUDY = {
    "building": SizeBins("m2", (0.075, 9.03, 36.36, 100.08, 256.83, 881.90)),
    "tree": SizeBins("m2", (0.075, 1.96, 9.52, 37.12, 155.93, 847.53)),
}
"""The study's bins: quintiles of the objects of its Potsdam test patches of 30 m, by class."""


def sizes_of(results: Sequence[ObjectResult]) -> tuple[str, NDArray[np.float64]]:
    """Unit and areas: square metres where all objects have them, else pixels."""
    squares = [result.area_m2 for result in results]
    known = [area for area in squares if area is not None]
    if len(known) == len(results):
        return "m2", np.array(known)
    return "px", np.array([result.area for result in results], np.float64)


def bins_for(class_name: str | None, unit: str, areas: NDArray[np.float64]) -> SizeBins:
    """The study's bins where it has some for that class and `areas` are in m2, else quantiles. None: a mixture of classes."""
    study = STUDY.get(plain_class(class_name)) if class_name is not None and unit == "m2" else None
    return study or SizeBins.quantiles(areas, unit)


def plain_class(name: str) -> str:
    """A class name as the study spells it, but in lower case: `Buildings`, `low_vegetation` -> `building`, `low vegetation`."""
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    for known in ("impervious surface", "building", "tree", "car"):
        if plain == f"{known}s":
            return known
    return plain


def by_bins(results: Sequence[ObjectResult], class_name: str | None = None) -> dict[str, list[ObjectResult]]:
    """`results` by bin, bins in order of size, empty ones left out."""
    unit, areas = sizes_of(results)
    bins = bins_for(class_name, unit, areas)
    groups: dict[str, list[ObjectResult]] = {name: [] for name in bins.names()}
    for place, result in zip(bins.place(areas).tolist(), results, strict=True):
        groups[bins.names()[place]].append(result)
    return {name: group for name, group in groups.items() if group}


def _distinct(edges: Sequence[float]) -> list[str]:
    """Whole numbers as they are; else two decimals, more for edges below 1 and where two edges would look the same."""
    if all(edge == int(edge) for edge in edges):
        return [str(int(edge)) for edge in edges]
    for digits in range(2, 12):
        texts = [f"{edge:.{digits}f}" if edge >= 1 else f"{edge:.{digits + 1}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(edge) for edge in edges]
