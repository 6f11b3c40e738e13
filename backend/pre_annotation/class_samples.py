"""Regions with classes out of labelled images: what the classifier learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.pre_annotation.classifier import NOTHING
from backend.pre_annotation.features import Described
from backend.pre_annotation.mask_place import MaskPlace
from converters.frames import Size

MOST_OBJECTS = 40
"""Objects of one chip that are learned from; more are drawn from."""
BLOBS = 24
CELLS = 48
PURE = 0.75
"""Share of a blob's or cell's pixels that must be of one class."""


@dataclass(frozen=True, slots=True)
class LabelledRegion:
    """An object, or a blob of one class. name: class, `NOTHING` for what is none."""

    place: MaskPlace
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """What every pixel is. numbers: int16 HxW, index in `names`, -1 for what nobody knows. names: classes, perhaps with `NOTHING`."""

    numbers: NDArray[np.int16]
    names: tuple[str, ...]

    @classmethod
    def painted(cls, regions: Sequence[LabelledRegion], chip: Size, *, rest_is_nothing: bool) -> ClassMap:
        """Larger regions below smaller ones. rest_is_nothing: whether what has no region is no object of any class."""
        names = tuple(sorted({each.name for each in regions} | {NOTHING}))
        numbers = np.full((chip.height, chip.width), names.index(NOTHING) if rest_is_nothing else -1, np.int16)
        for each in sorted(regions, key=lambda one: -one.place.area):
            row0, col0, row1, col1 = each.place.box
            numbers[row0:row1, col0:col1][each.place.inside] = names.index(each.name)
        return cls(numbers, names)


def samples_of(
    described: Described, regions: Sequence[LabelledRegion], classes: ClassMap, name: str, *, seed: int = 0
) -> tuple[NDArray[np.float32], list[str]]:
    """Features [N, F] and classes: of objects, of blobs inside one class, and of single cells. name: of the chip, for the draw."""
    rng = _draw(name, seed)
    chosen = list(regions)
    if len(chosen) > MOST_OBJECTS:
        chosen = [chosen[number] for number in sorted(rng.choice(len(chosen), MOST_OBJECTS, replace=False).tolist())]
    chosen += _blobs(classes, rng)
    features = [described.of(each.place) for each in chosen]
    labels = [each.name for each in chosen]
    for cell, label in _cells(described, classes, rng):
        features.append(cell)
        labels.append(label)
    return (np.stack(features) if features else np.zeros((0, 0), np.float32)), labels


def _blobs(classes: ClassMap, rng: np.random.Generator) -> Iterator[LabelledRegion]:
    height, width = classes.numbers.shape
    for _ in range(BLOBS):
        axes = tuple(int(side) for side in np.exp(rng.uniform(np.log(4), np.log(min(height, width) / 5), 2)))
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        canvas = np.zeros((height, width), np.uint8)
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        place = MaskPlace.of(canvas > 0)
        if place is None:
            continue
        number = _majority(classes.numbers[canvas > 0])
        if number is not None:
            yield LabelledRegion(place, classes.names[number])


def _cells(described: Described, classes: ClassMap, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float32], str]]:
    cells = described.of_cells()
    if cells is None or described.grid is None:
        return
    h, w = described.grid.shape[1:]
    height, width = classes.numbers.shape
    for cell in rng.choice(h * w, min(CELLS, h * w), replace=False).tolist():
        row, col = divmod(cell, w)
        window = classes.numbers[row * height // h : (row + 1) * height // h + 1, col * width // w : (col + 1) * width // w + 1]
        number = _majority(window.ravel())
        if number is not None:
            yield cells[cell], classes.names[number]


def _majority(numbers: NDArray[Any]) -> int | None:
    """The class of at least `PURE` of the pixels; None where there is none, or nobody knows."""
    known = numbers[numbers >= 0]
    if known.size < PURE * numbers.size:
        return None
    counts = np.bincount(known)
    best = int(counts.argmax())
    return best if counts[best] >= PURE * numbers.size else None


def _draw(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")])
