"""The robot annotator: clicks where the mask is most wrong, as often as it is told, and writes down how good the mask becomes."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.inference.next_click import next_click
from backend.inference.segmenter import Segmenter
from converters.frames import Click

MAX_CLICKS = 20


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What happened to one object.

    clicks: (positive, row, col) in whole pixel indices of the window, in click order. ious: IoU after each of them, 0..1.
    met: after each of them, how many of the clicks so far lie on their side of the mask's edge: positive inside, negative outside.
    step_seconds: time spent inside the segmenter. robot_seconds: time spent on finding clicks and measuring masks.
    """

    clicks: tuple[tuple[bool, int, int], ...]
    ious: tuple[float, ...]
    met: tuple[int, ...]
    step_seconds: float
    robot_seconds: float


def annotate(
    segmenter: Segmenter, encoding: Any, gt: NDArray[np.int8], *, max_clicks: int = MAX_CLICKS, stop_at: float | None = None
) -> Trajectory:
    """Click on one object until `max_clicks`, or until the IoU reaches `stop_at` when that is given.

    encoding: what `segmenter.encode` made of the image. gt: HxW, 1 object, 0 not, -1 ignored.
    The protocol of MODELS.md section 7: it starts from the segmenter's empty state, every click is `next_click` of the thresholded
    probability map, and all clicks are made (its IoU analysis) unless `stop_at` asks for less; NoC is the same either way.
    A clicked pixel (row, col) is the Click at its centre, (row + 0.5, col + 0.5) in native px.
    """
    started = perf_counter()
    wanted, valid = gt == 1, gt != -1
    not_clicked = np.ones(gt.shape, np.bool_)
    mask = np.zeros(gt.shape, np.bool_)
    state = segmenter.start(encoding)
    pixels: list[tuple[bool, int, int]] = []
    clicks: list[Click] = []
    ious: list[float] = []
    met: list[int] = []
    step_seconds = 0.0
    while len(pixels) < max_clicks:
        positive, row, col = next_click(gt, mask, not_clicked)
        not_clicked[row, col] = False
        pixels.append((positive, row, col))
        clicks.append(Click(row=row + 0.5, col=col + 0.5, positive=positive))
        step_started = perf_counter()
        state = segmenter.step(encoding, tuple(clicks), state)
        step_seconds += perf_counter() - step_started
        mask = state.probability > segmenter.threshold
        ious.append(_iou(mask, wanted, valid))
        met.append(sum(bool(mask[at_row, at_col]) == sign for sign, at_row, at_col in pixels))
        if stop_at is not None and ious[-1] >= stop_at:
            break
    return Trajectory(tuple(pixels), tuple(ious), tuple(met), step_seconds, perf_counter() - started - step_seconds)


def _iou(mask: NDArray[np.bool_], wanted: NDArray[np.bool_], valid: NDArray[np.bool_]) -> float:
    """Intersection over union of `mask` and `wanted`, HxW bool, counted on `valid` pixels; 1 when both are empty."""
    counted = mask & valid
    union = np.count_nonzero(counted | wanted)
    return np.count_nonzero(counted & wanted) / union if union else 1.0
