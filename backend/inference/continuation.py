"""Going on with a mask that the machine proposed, as if the annotator had made its first click.

A proposal is as good as one click, and nobody has vouched for its edge. So the network makes the mask once more, from a click well inside
it and looking where it lies, and the annotator's clicks go on from there: each may change all of it, as the second click on an object may.
Corrected like accepted masks (correction.py), proposals took more clicks than starting from nothing (measured: docs/preannotation.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.inference.correction import Correction, CorrectionMemory, anchor
from backend.inference.encoding import initial_map
from backend.inference.segmenter import Segmenter, State
from converters.frames import Box, Click


class Continuation(Correction):
    """A `Segmenter` that goes on with a proposed mask by the clicks of another one."""

    def start(self, encoding: Any, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """The mask as 0 and 1. Without a mask, or with an empty one, there is nothing to go on with: ValueError."""
        if initial_mask is None or not initial_mask.any():
            raise ValueError("a proposal was to be gone on with, but no mask was given; expected one HxW with at least one pixel")
        rows, cols = (np.flatnonzero(initial_mask.any(axis=axis)) for axis in (1, 0))
        drawn = Box(row_min=float(rows[0]), row_max=float(rows[-1]) + 1, col_min=float(cols[0]), col_max=float(cols[-1]) + 1)
        height, width = initial_mask.shape
        inner = looking_at(self.segmenter, encoding, drawn)
        return State(initial_map((height, width), initial_mask), CorrectionMemory(inner, initial_mask))

    def step(self, encoding: Any, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click; one step of the segmenter, two for the first click."""
        memory: CorrectionMemory = state.memory
        first, inner = anchor(memory.mask, clicks[0]), memory.inner
        if len(clicks) == 1:
            inner = self.segmenter.step(encoding, first, inner)
        found = self.segmenter.step(encoding, (*first, *clicks), inner)
        return State(found.probability, CorrectionMemory(found, memory.mask))


def looking_at(segmenter: Segmenter, encoding: Any, box: Box) -> State:
    """The state before a first click that is looked at inside `box`; a segmenter to which a box says more than that is told nothing."""
    return segmenter.start(encoding, None, None if segmenter.takes_boxes else box)
