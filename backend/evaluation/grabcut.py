"""GrabCut as a segmenter: the classical tool that every table compares the networks with.

C. Rother, V. Kolmogorov, A. Blake: "GrabCut": interactive foreground extraction using iterated graph cuts, SIGGRAPH 2004; the
implementation is OpenCV's. How clicks drive it is ours, and said in `GrabCut.step`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.inference.segmenter import State
from converters.chips import PixelWindow
from converters.frames import Box, Click

PRIOR_RADIUS = 12
"""Around the first positive click so many pixels begin as probable foreground: half the width of a car at 5 to 10 cm a pixel."""
CLICK_RADIUS = 3
"""So many pixels around every click are certain."""
MARGIN = 64
"""The graph is cut in the bounding box of all probable foreground, grown by so many pixels."""
ITERATIONS = 5


class GrabCut:
    """A `Segmenter` (see inference/segmenter.py) without a network. Its probability is 0 or 1."""

    name = "grabcut"
    version = f"grabcut@opencv{cv2.__version__}:prior{PRIOR_RADIUS},click{CLICK_RADIUS},margin{MARGIN},iterations{ITERATIONS}"
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"), ("IR", "R", "G"))
    threshold = 0.5
    takes_boxes = False

    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """image: HxWx3 uint8; nothing is computed ahead."""
        return np.ascontiguousarray(image)

    def start(self, encoding: NDArray[np.uint8], initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """All zeros, or the given HxW mask as 0 and 1; the inside of a box is probable foreground to the first click."""
        if initial_mask is not None:
            return _state(initial_mask)
        mask = np.zeros(encoding.shape[:2], np.bool_)
        if box is not None:
            mask[int(box.row_min) : math.ceil(box.row_max), int(box.col_min) : math.ceil(box.col_max)] = True
        return _state(mask)

    def step(self, encoding: NDArray[np.uint8], clicks: Sequence[Click], state: State) -> State:
        """The state after the last of `clicks`, from the one before.

        The previous mask is probable foreground (with no mask yet: a disk around the new positive click), disks around all clicks
        are certain, the rest is probable background. GrabCut then runs in a local window, beyond which everything is background;
        of its answer the components that hold a positive click stay. The same input gives the same bits: its random start is seeded.
        """
        height, width = encoding.shape[:2]
        positive, negative = _pixels(clicks, True), _pixels(clicks, False)
        if not positive:
            return _state(np.zeros((height, width), np.bool_))
        previous = state.probability > self.threshold
        labels = np.where(previous, np.uint8(cv2.GC_PR_FGD), np.uint8(cv2.GC_PR_BGD))
        if clicks[-1].positive and not previous.any():
            cv2.circle(labels, positive[-1], PRIOR_RADIUS, cv2.GC_PR_FGD, cv2.FILLED)
        for points, value in ((positive, cv2.GC_FGD), (negative, cv2.GC_BGD)):
            for point in points:
                cv2.circle(labels, point, CLICK_RADIUS, value, cv2.FILLED)
        window = _window(labels)
        cut = np.zeros((height, width), np.bool_)
        cut[_slices(window)] = _cut(encoding[_slices(window)], labels[_slices(window)])
        return _state(_holding(cut, positive))


def _cut(image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Foreground of a window, HxW bool. labels: GrabCut's four values, HxW."""
    labels = labels.copy()
    background = (labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)
    if background.all() or not background.any():
        return ~background  # GrabCut has two colour models to fit, and one of them would have no sample.
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(image), labels, (0, 0, 0, 0), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _window(labels: NDArray[np.uint8]) -> PixelWindow:
    """Where to cut: the box of all foreground labels with its margin, inside the image."""
    foreground = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    left, top, width, height = cv2.boundingRect(foreground.view(np.uint8))
    col, row = max(left - MARGIN, 0), max(top - MARGIN, 0)
    right, bottom = min(left + width + MARGIN, labels.shape[1]), min(top + height + MARGIN, labels.shape[0])
    return PixelWindow(col, row, right - col, bottom - row)


def _holding(mask: NDArray[np.bool_], points: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """The 8-connected components of `mask` that hold one of the (col, row) points."""
    _, components = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    wanted = {int(components[row, col]) for col, row in points} - {0}
    return np.isin(components, list(wanted))


def _pixels(clicks: Sequence[Click], positive: bool) -> list[tuple[int, int]]:
    """(col, row) of the pixels under the clicks of one sign."""
    return [(int(click.col), int(click.row)) for click in clicks if click.positive == positive]


def _slices(window: PixelWindow) -> tuple[slice, slice]:
    return slice(window.row_off, window.row_off + window.height), slice(window.col_off, window.col_off + window.width)


def _state(mask: NDArray[np.bool_]) -> State:
    probability = mask.astype(np.float32)
    probability.flags.writeable = False
    return State(probability)
