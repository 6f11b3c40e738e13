"""A chip becomes proposals: objects with a class and a score, none over another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.inference.segmenter import Segmenter
from backend.pre_annotation.candidates import Candidate, anywhere, candidates
from backend.pre_annotation.classifier import Classifier
from backend.pre_annotation.features import Described, Describes, describe_tiles, shape, tiling
from backend.pre_annotation.mask_place import MaskPlace
from backend.pre_annotation.overlaps import disjoint, suppressed
from backend.pre_annotation.proposal import Proposal, ProposeSettings
from backend.pre_annotation.seeds import Seed, grid, middles_of_classes, quiet_middles
from converters.frames import Size

Device = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate before a score: the class it most probably is, and what the calibration reads of it."""

    candidate: Candidate
    label: str
    probability: float
    signs: NDArray[np.float32]


def describe(segmenter: Segmenter, encoding: Any, pixels: NDArray[np.uint8], device: Device = anywhere, kind: str = "body") -> Described:
    """The chip with what a classifier of that kind reads: for "body" the features of the segmenter's network, where it has any.

    pixels: HxWxC uint8.
    """
    net = getattr(segmenter, "net", None)
    if kind != "body" or not isinstance(net, Describes):
        return Described(pixels, None)
    rows, cols = tiling((pixels.shape[0], pixels.shape[1]))
    lines: list[NDArray[np.float32]] = []
    for row in range(rows):
        line: list[NDArray[np.float32]] = []
        for col in range(cols):
            with device():
                line.append(describe_tiles(net, encoding, (row, col), (rows, cols)))
        lines.append(np.concatenate(line, axis=2))
    return Described(pixels, np.concatenate(lines, axis=1))


def propose(
    segmenter: Segmenter,
    encoding: Any,
    described: Described,
    classifier: Classifier,
    classes: Sequence[str],
    settings: ProposeSettings,
    device: Device = anywhere,
) -> tuple[Proposal, ...]:
    """What is on a chip, best first: masks that share no pixel, of the project's `classes`, with a score of at least `min_score`."""
    judged = judge(segmenter, encoding, described, classifier, classes, settings, device)
    if not judged:
        return ()
    scores = classifier.calibration.scores(np.stack([one.signs for one in judged])).tolist()
    return chosen(judged, scores, settings)


def chosen(judged: Sequence[Judged], scores: Sequence[float], settings: ProposeSettings) -> tuple[Proposal, ...]:
    """The proposals among scored candidates."""
    good = [number for number, score in enumerate(scores) if score >= settings.min_score]
    places = [judged[number].candidate.place for number in good]
    kept = suppressed(places, [scores[number] for number in good], [judged[number].label for number in good])
    cut = disjoint([places[number] for number in kept], min_area=settings.min_area)
    return tuple(
        Proposal(place, judged[good[number]].label, scores[good[number]])
        for number, place in zip(kept, cut, strict=True)
        if place is not None
    )


def judge(
    segmenter: Segmenter,
    encoding: Any,
    described: Described,
    classifier: Classifier,
    classes: Sequence[str],
    settings: ProposeSettings,
    device: Device = anywhere,
) -> list[Judged]:
    """All candidates of a chip with their most probable class; none where the classifier knows none of the classes."""
    seeds = seeds_of(described, classifier, classes, settings)
    return judged_as(clicked(segmenter, encoding, described, seeds, settings, device), described, classifier, classes)


def clicked(
    segmenter: Segmenter, encoding: Any, described: Described, seeds: Sequence[Seed], settings: ProposeSettings, device: Device = anywhere
) -> list[Candidate]:
    """The masks that clicks on `seeds` lead to."""
    height, width = described.pixels.shape[:2]
    return candidates(segmenter, encoding, seeds, Size(width, height), most=settings.most_seeds, min_area=settings.min_area, device=device)


def judged_as(found: Sequence[Candidate], described: Described, classifier: Classifier, classes: Sequence[str]) -> list[Judged]:
    """Each candidate with its most probable class; none where the classifier knows none of the classes."""
    if not found:
        return []
    features = np.stack([described.of(one.place) for one in found])
    probabilities = classifier.in_words_of(classifier.probabilities(features), classes)
    if probabilities is None:
        return []
    best = probabilities.argmax(axis=1)
    return [
        Judged(one, classes[number], float(row[number]), signs_of(one, float(row[number])))
        for one, row, number in zip(found, probabilities, map(int, best), strict=True)
    ]


def seeds_of(described: Described, classifier: Classifier, classes: Sequence[str], settings: ProposeSettings) -> list[Seed]:
    """Informative points first, then the grid."""
    height, width = described.pixels.shape[:2]
    chip = Size(width, height)
    return [*_informative(described, classifier, classes, chip, settings), *grid(chip, settings.spacing)]


def _informative(described: Described, classifier: Classifier, classes: Sequence[str], chip: Size, settings: ProposeSettings) -> list[Seed]:
    cells = described.of_cells()
    if cells is None or described.grid is None or classifier.kind != "body":
        return quiet_middles(described.pixels, settings.spacing // 2, settings.most_seeds // 2)
    probabilities = classifier.in_words_of(classifier.probabilities(cells), classes)
    if probabilities is None:
        return []
    with_rest = np.concatenate([probabilities, 1 - probabilities.sum(axis=1, keepdims=True)], axis=1)
    numbers = with_rest.argmax(axis=1)
    numbers[numbers == len(classes)] = -1
    return middles_of_classes(numbers.reshape(described.grid.shape[1:]), chip)


def signs_of(candidate: Candidate, probability: float) -> NDArray[np.float32]:
    """What `calibration.SIGNS` names."""
    place = candidate.place
    inside = min(max(probability, 1e-3), 1 - 1e-3)
    from_shape = _shape_signs(place)
    return np.array([math.log(inside / (1 - inside)), candidate.stability, candidate.agreement, candidate.inside, *from_shape], np.float32)


def _shape_signs(place: MaskPlace) -> tuple[float, float, float, float]:
    said = shape(place)
    return float(said[0]), float(math.exp(said[1])), float(said[4]), float(said[7])
