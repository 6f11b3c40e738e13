"""Which numbers of the study a result of ours may be compared with: where the data set and the model are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from backend.errors import ModelError
from backend.evaluation import published
from backend.evaluation.bench_results import DataSet, Model
from backend.evaluation.published import Published
from backend.evaluation.size_bins import STUDY, plain_class
from backend.segmenters import catalogue

SETS = ("PRGB", "PRGIR", "PRGBIR", "VRGIR")

_BY_BANDS = {("potsdam", "RGB"): "PRGB", ("potsdam", "IRRG"): "PRGIR", ("potsdam", "RGBIR"): "PRGBIR", ("vaihingen", "IRRG"): "VRGIR"}

_PATCH = {"PRGB": 600, "PRGIR": 600, "PRGBIR": 600, "VRGIR": 300}
_MIN_AREA = 30

_FAMILIES = {"simpleclick": "SimpleClick", "icl": "ICL", "ritm": "RITM", "focalclick": "FocalClick", "sam": "SAM"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours beside the study's. what: overall, a class, or a class and a size. ours: NoC by target; published: the study's cells for it."""

    model: Model
    study_model: str
    tuned: bool
    what: str
    ours: Mapping[str, float]
    published: tuple[Published, ...]

    def difference(self, target: str) -> float | None:
        """Ours - the study's, where it has a number that is not in doubt."""
        cell = self.cell(target)
        return None if cell is None or cell.doubt else self.ours[target] - cell.noc[target]

    def cell(self, target: str) -> Published | None:
        """The study's cell with that target; one that is not in doubt if there is one."""
        return min((cell for cell in self.published if target in cell.noc), key=lambda cell: cell.doubt is not None, default=None)


def study_set(settings: Mapping[str, Any]) -> str | None:
    """The study's name for the data of a run: that of an ISPRS tree and its bands; None for any other data."""
    kind = str(settings.get("kind") or "").lower()
    bands = settings.get("bands")
    if "isprs" not in kind or not bands:
        return None
    letters = "IRRG" if bands == "RGIR" else bands  # the study's order; bench reads bands by letter, so order is not data
    return next((found for (place, recipe), found in _BY_BANDS.items() if place in kind and recipe == letters), None)


def departures(settings: Mapping[str, Any], name: str) -> list[str]:
    """In what the run's objects differ from the study's, sentence by sentence, as far as the settings tell."""
    found = ["The study does not say which tiles its six test tiles are, so the objects are not the same."]
    if settings.get("patch") != _PATCH[name]:
        patch = settings.get("patch")
        found.append(f"The study's patches are {_PATCH[name]} px; these are {f'{patch} px' if patch else 'whole images'}.")
    if settings.get("min_area") != _MIN_AREA:
        found.append(f"The study's smallest objects have {_MIN_AREA} px; these have {settings.get('min_area')} px.")
    if settings.get("limit"):
        found.append(f"These are {settings['limit']} objects drawn at random, the study's are all of its test tiles.")
    return found


def study_model(name: str) -> str | None:
    """The study's row for a model with published weights: `simpleclick_vit_base_cocolvis+cfr4` -> `SimpleClick-CFR`; None for others.

    The study does not say which size of each network it used.
    """
    plain, _, suffix = name.partition("+")
    try:
        entry = catalogue.entry(plain)
    except ModelError:
        return None
    if entry.checkpoint is None:
        return None
    return _row(entry.name.split("_", 1)[0], suffix)


def compare(data: DataSet, name: str, tuned: Mapping[str, str]) -> Iterator[Comparison]:
    """Every number of `data` that the study's set `name` has one for.

    tuned: models that were fine-tuned from others: name as bench was asked -> name of what it was before.
    """
    for model in data.models:
        start = tuned.get(model.name.partition("+")[0])
        suffix = model.name.partition("+")[2]
        row = study_model(f"{start}+{suffix}" if start and suffix else start or model.name)
        if row is None:
            continue
        for what, numbers, class_name, size in _parts(model.numbers):
            cells = published.find(name, row, tuned=start is not None, class_name=class_name, size=size)
            if cells:
                yield Comparison(model, row, start is not None, what, numbers["noc"], cells)


def _parts(numbers: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str | None, tuple[float, float] | None]]:
    """Title, numbers, class and size of the whole, of every class and of every size of a class."""
    yield "overall", numbers, None, None
    for name, group in numbers["by_class"].items():
        yield name, group, name, None
    for name, sizes in numbers.get("by_class_and_size", {}).items():
        bins = STUDY.get(plain_class(name))
        if bins is None:
            continue
        for text, edges in zip(bins.names()[1:-1], pairwise(bins.edges), strict=True):
            if text in sizes:
                yield f"{name} {text}", sizes[text], name, edges


def _row(family: str, suffix: str) -> str | None:
    model = _FAMILIES.get(family)
    refined = suffix.partition("@")[0].removeprefix("a").startswith("cfr")
    if model is None or (suffix and not refined):
        return None
    return model + published.CFR * refined
