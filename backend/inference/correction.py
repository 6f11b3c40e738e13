"""Correcting a mask that is there: what the annotator did not click on stays as it was accepted.

Two things go wrong where a network is simply given the mask as its previous prediction (measured: docs/refinement.md). It was trained on
annotations that begin with a positive click, and gives the whole object up where the first click is a negative one; and it repaints what
was right. So a positive click that the annotator did not make, the anchor, stands before the first one, and of what the network changes
only the change that holds the clicked pixel is taken, as in FocalClick's Progressive Merge (MODELS.md 6.4). Before a positive click the
anchor has a pass of its own, after which the network reads a map that it made itself, and sees what is missing far better than beside a
mask of zeros and ones; before a negative click the mask is better than that map, which may have lost the piece that is to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.inference.encoding import initial_map, read_only
from backend.inference.focus_merge import progressive_merge
from backend.inference.segmenter import Segmenter, State
from converters.frames import Box, Click


@dataclass(frozen=True, slots=True)
class CorrectionMemory:
    """What a correction carries from click to click. mask: HxW bool, as it was accepted.

    inner: the segmenter's own state; its map is the corrected mask, after a click that changed nothing what the network made of that.
    """

    inner: State
    mask: NDArray[np.bool_]

    @property
    def nbytes(self) -> int:
        """Bytes beside those of the state's own map."""
        return self.inner.nbytes + self.mask.nbytes


class Correction:
    """A `Segmenter` that corrects a given mask with the clicks of another one, which is asked in the usual way.

    A cascade (CFR) belongs inside: its passes are one click's.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.name, self.version, self.recipes = segmenter.name, segmenter.version, segmenter.recipes
        self.threshold, self.takes_boxes = segmenter.threshold, False

    def encode(self, image: NDArray[np.uint8]) -> Any:
        """As the segmenter encodes."""
        return self.segmenter.encode(image)

    def start(self, encoding: Any, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """The mask as 0 and 1. Without a mask there is nothing to correct: ValueError."""
        if initial_mask is None:
            raise ValueError("a correction was started without a mask; expected the HxW mask to be corrected")
        inner = self.segmenter.start(encoding, initial_mask, box)
        height, width = initial_mask.shape
        return State(initial_map((height, width), initial_mask), CorrectionMemory(inner, initial_mask))

    def step(self, encoding: Any, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click; one step of the segmenter, two for a positive first click.

        Where that does not change the clicked pixel, the mask stays.
        """
        memory: CorrectionMemory = state.memory
        first, inner = anchor(memory.mask, clicks[0]), memory.inner
        if not clicks[-1].positive:
            inner = replace(inner, probability=state.probability)
        elif first and len(clicks) == 1:
            inner = self.segmenter.step(encoding, first, inner)
        found = self.segmenter.step(encoding, (*first, *clicks), inner)
        before = state.probability > self.threshold
        after = progressive_merge(before, found.probability > self.threshold, _pixel(clicks[-1], before.shape))
        changed = before ^ after
        if not changed.any():  # as a click inside it, which says which region is meant before a missing piece is clicked on
            return State(state.probability, CorrectionMemory(found, memory.mask))
        probability = read_only(np.where(changed, found.probability, state.probability))
        # The next click's network reads the corrected mask, not what it would have made of it.
        return State(probability, CorrectionMemory(replace(found, probability=probability), memory.mask))


def anchor(mask: NDArray[np.bool_], click: Click) -> tuple[Click, ...]:
    """A positive click well inside the mask and away from `click`; none for an empty mask.

    Its pixel is the one with the largest of min(distance to the mask's edge, half the distance to the click), in px; the first of several.
    """
    if not mask.any():
        return ()
    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    rows, cols = np.ogrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(rows + 0.5 - click.row, cols + 0.5 - click.col)
    # Rounded to 1/256 px: OpenCV's last bit differs between runs, and ties decide the pixel.
    room = np.where(mask, np.rint(np.minimum(depth, 0.5 * away) * 256), -1)
    row, col = np.unravel_index(int(room.argmax()), mask.shape)
    return (Click(row=float(row) + 0.5, col=float(col) + 0.5, positive=True),)


def _pixel(click: Click, shape: tuple[int, ...]) -> tuple[int, int]:
    return min(max(int(click.row), 0), shape[0] - 1), min(max(int(click.col), 0), shape[1] - 1)
