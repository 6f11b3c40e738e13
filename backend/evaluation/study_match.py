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


def study_set(data: DataSet) -> str | None:
    """The study's name for the data of a run, an ISPRS tree and its bands; None for any other data, and where no bands were named."""
    place = isprs_place(data)
    letters = "IRRG" if data.bands == "RGIR" else data.bands  # a model gets bands by letter, so their order is not data
    return next((found for (town, recipe), found in _BY_BANDS.items() if town == place and recipe == letters), None)


def isprs_place(data: DataSet) -> str | None:
    """Which ISPRS benchmark the data is, `potsdam` or `vaihingen`; None for neither."""
    kind = str(data.settings.get("kind") or "").lower()
    return next((place for place in ("potsdam", "vaihingen") if kind.startswith(f"isprs {place}")), None)


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
    if "ignored boundaries" in str(settings.get("kind")):
        found.append("The study's labels are the full ones; here the boundaries between classes are ignored.")
    return found


def study_model(plain: str, refinement: str = "") -> str | None:
    """The study's row for a model with published weights: `simpleclick_vit_base_cocolvis`, `+cfr4` -> `SimpleClick-CFR`; None for others.

    The study does not say which size of each network it used.
    """
    try:
        entry = catalogue.entry(plain)
    except ModelError:
        return None
    model = _FAMILIES.get(entry.name.split("_", 1)[0]) if entry.checkpoint is not None else None
    refined = refinement.startswith(("+cfr", "+acfr"))
    if model is None or (refinement and not refined):
        return None
    return model + published.CFR * refined


def compare(data: DataSet, name: str, tuned: Mapping[str, str]) -> Iterator[Comparison]:
    """Every number of `data` that the study's set `name` has one for.

    tuned: models that were fine-tuned from others: name as bench was asked -> name of what it was before.
    """
    for model in data.models:
        start = tuned.get(model.plain)
        row = study_model(start or model.plain, model.refinement)
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
