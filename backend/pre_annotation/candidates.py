"""Masks from clicks that nobody made: a seed is clicked, what comes out is clicked again at its own middle, and the two must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.inference.batching import Request, step_many
from backend.inference.continuation import looking_at
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import Segmenter, State
from backend.pre_annotation.mask_place import MaskPlace
from backend.pre_annotation.seeds import Seed, gaps, uncovered
from backend.pre_annotation.stability import clicked_part, stability
from converters.frames import Box, Click, Size

BATCH = 4
"""Seeds that are clicked on together: the device is held for so many forward passes at a time."""
LOOKS = 2
"""Clicks at its own middle that a mask gets at most until it stays the same."""
SAME = 0.75
"""IoU from which a mask counts as staying the same."""
LEAST_STABILITY, LEAST_AGREEMENT = 0.3, 0.3
"""Below these a mask is noise."""
COVERS = 0.6
"""Stability and agreement from which a mask needs no other seed inside it."""
GAPS, GAP = 8, 4
"""Gaps between masks that are clicked on at last: so many at most, of such a radius in px at least."""
MOST_OF_CHIP = 0.9

Device = Callable[[], AbstractContextManager[object]]
"""Gives the device for one piece of work."""


def anywhere() -> AbstractContextManager[object]:
    """The device of a process that has it to itself."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Candidate:
    """place: the mask. stability, agreement: 0..1 (`stability.stability`; IoU with the click before). inside: mean probability, 0..1."""

    place: MaskPlace
    stability: float
    agreement: float
    inside: float


def drafting(segmenter: Segmenter) -> Segmenter:
    """The segmenter with one forward pass for a first click, where it would take several: here the second click looks closer."""
    if isinstance(segmenter, ClickPredictor) and segmenter.zoom_in is not None and segmenter.zoom_in.first_looks > 1:
        return replace(segmenter, zoom_in=replace(segmenter.zoom_in, first_looks=1))
    return segmenter


def candidates(
    segmenter: Segmenter, encoding: Any, seeds: Sequence[Seed], chip: Size, *, most: int, min_area: int, device: Device = anywhere
) -> list[Candidate]:
    """The masks that clicks on `seeds`, and then in the gaps between them, lead to; seeds on a mask that is sure already are passed over.

    most: seeds that are clicked on. min_area: px. One encoding, some two forward passes for every seed.
    """
    draft = drafting(segmenter)
    covered = np.zeros((chip.height, chip.width), np.bool_)
    found: list[Candidate] = []
    waiting = islice(chain(uncovered(seeds, covered), islice(gaps(covered, GAP), GAPS)), most)
    while batch := list(islice(waiting, BATCH)):
        known = [one.place for one in found]
        for candidate in _clicked(draft, encoding, batch, known, chip, min_area, device):
            found.append(candidate)
            if min(candidate.stability, candidate.agreement) >= COVERS:
                row0, col0, row1, col1 = candidate.place.box
                covered[row0:row1, col0:col1] |= candidate.place.inside
    return found


def _clicked(
    segmenter: Segmenter, encoding: Any, seeds: Sequence[Seed], known: Sequence[MaskPlace], chip: Size, min_area: int, device: Device
) -> Iterator[Candidate]:
    """The candidates of seeds that are clicked on together. known: masks that need no second click."""
    with device():
        states = step_many(segmenter, encoding, [Request((_click(seed),), segmenter.start(encoding)) for seed in seeds])
    pending: list[MaskPlace] = []
    for seed, state in zip(seeds, states, strict=True):
        place = _part(state, segmenter.threshold, seed, chip, min_area)
        if place is None or stability(state.probability, segmenter.threshold, place) < LEAST_STABILITY / 2:
            continue
        if all(place.iou(other) < SAME for other in (*known, *pending)):
            pending.append(place)
    for look in range(LOOKS):
        if not pending:
            return
        centres = [place.centre() for place in pending]
        with device():
            requests = [
                Request((_click(centre),), _again(segmenter, encoding, place)) for centre, place in zip(centres, pending, strict=True)
            ]
            states = step_many(segmenter, encoding, requests)
        following: list[MaskPlace] = []
        for before, centre, state in zip(pending, centres, states, strict=True):
            place = _part(state, segmenter.threshold, centre, chip, min_area)
            if place is None:
                continue
            agreement = place.iou(before)
            if agreement < SAME and look + 1 < LOOKS:
                following.append(place)
                continue
            sure = stability(state.probability, segmenter.threshold, place)
            if sure >= LEAST_STABILITY and agreement >= LEAST_AGREEMENT:
                yield Candidate(place, sure, agreement, _mean_inside(state.probability, place))
        pending = following


def _again(segmenter: Segmenter, encoding: Any, place: MaskPlace) -> State:
    """The state before a click on what was found."""
    row0, col0, row1, col1 = place.box
    return looking_at(segmenter, encoding, Box(row_min=row0, row_max=row1, col_min=col0, col_max=col1))


def _part(state: State, threshold: float, seed: Seed, chip: Size, min_area: int) -> MaskPlace | None:
    place = clicked_part(state.probability > threshold, seed)
    if place is None or not min_area <= place.area <= MOST_OF_CHIP * chip.width * chip.height:
        return None
    return place


def _mean_inside(probability: NDArray[np.float32], place: MaskPlace) -> float:
    row0, col0, row1, col1 = place.box
    return float(probability[row0:row1, col0:col1][place.inside].mean(dtype=np.float64))


def _click(seed: Seed) -> Click:
    return Click(row=seed[0] + 0.5, col=seed[1] + 0.5, positive=True)
