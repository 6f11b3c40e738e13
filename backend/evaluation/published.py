"""The numbers that the study printed, to stand beside ours: published.toml as values, and what is known to be wrong in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from backend.evaluation.size_bins import plain_class

CFR = "-CFR"


@dataclass(frozen=True, slots=True)
class Published:
    """One cell of the study's Tables 1-8.

    table: its number. data_set: PRGB, PRGIR, PRGBIR or VRGIR. model: SimpleClick, ICL, RITM, FocalClick or SAM; cfr: whether refined.
    tuned: whether fine-tuned. class_name: in lower case, None over all. size: (above, up to) in m2, None over all.
    noc: mean clicks by IoU target in percent, in the keys of the benchmark's JSON. doubt: why it is no measurement of what it says.
    """

    table: int
    data_set: str
    model: str
    cfr: bool
    tuned: bool
    class_name: str | None
    size: tuple[float, float] | None
    noc: Mapping[str, float]
    doubt: str | None

    @property
    def name(self) -> str:
        """The model as the study writes it."""
        return self.model + CFR * self.cfr


@dataclass(frozen=True, slots=True)
class Slip:
    """table: where the study contradicts itself. found: how, in a sentence or two."""

    table: int
    found: str


@cache
def tables() -> tuple[Published, ...]:
    """Every cell, in the order of the tables."""
    return tuple(cell for table in _document()["table"] for cell in _cells(table))


@cache
def slips() -> tuple[Slip, ...]:
    """What is known to be wrong in the tables."""
    return tuple(Slip(slip["table"], slip["found"]) for slip in _document()["slip"])


def find(
    data_set: str, model: str, *, tuned: bool, class_name: str | None = None, size: tuple[float, float] | None = None
) -> tuple[Published, ...]:
    """The cells of a model (as in `Published.name`) on a set; several where tables overlap, none where the study has no number."""
    wanted = None if class_name is None else plain_class(class_name)
    return tuple(
        cell
        for cell in tables()
        if (cell.data_set, cell.name, cell.tuned, cell.class_name, cell.size) == (data_set, model, tuned, wanted, size)
    )


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__ or "backend.evaluation").joinpath("published.toml").read_text(encoding="utf-8"))


def _cells(table: dict[str, Any]) -> Iterator[Published]:
    for name, cells in table["rows"].items():
        for column, text in zip(table["columns"], cells, strict=True):
            if isinstance(column, list):
                class_name, size = table["class"], (column[0], column[1])
            else:
                class_name, size = None if column == "overall" else column, None
            yield Published(
                table=table["number"],
                data_set=table["set"],
                model=name.removesuffix(CFR),
                cfr=name.endswith(CFR),
                tuned=table["tuned"],
                class_name=class_name,
                size=size,
                noc={str(target): float(number) for target, number in zip(table["targets"], text.split("/"), strict=True)},
                doubt=table.get("doubt"),
            )
