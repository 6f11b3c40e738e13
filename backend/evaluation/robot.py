"""The robot annotator: clicks where the mask is most wrong, as often as it is told, and writes down how good the mask becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.inference.batching import Request, step_many
from backend.inference.next_click import Errors, Truth
from backend.inference.segmenter import Segmenter, State
from converters.frames import Click

MAX_CLICKS = 20


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What happened to one object.

    clicks: (positive, row, col) in whole pixel indices of the window, in click order. ious: IoU after each of them, 0..1.
    met: after each of them, how many of the clicks so far lie on their side of the mask's edge: positive inside, negative outside.
    step_seconds: time spent inside the segmenter; of steps that several objects shared, an equal part.
    robot_seconds: time spent on finding clicks and measuring masks.
    started_at: IoU before the first click: of the mask that was to be corrected, 0 without one.
    """

    clicks: tuple[tuple[bool, int, int], ...]
    ious: tuple[float, ...]
    met: tuple[int, ...]
    step_seconds: float
    robot_seconds: float
    started_at: float = 0.0


def annotate(
    segmenter: Segmenter, encoding: Any, gt: NDArray[np.int8], *, max_clicks: int = MAX_CLICKS, stop_at: float | None = None
) -> Trajectory:
    """Click on one object until `max_clicks`, or until the IoU reaches `stop_at` when that is given.

    encoding: what `segmenter.encode` made of the image. gt: HxW, 1 object, 0 not, -1 ignored.
    The protocol of MODELS.md section 7: it starts from the segmenter's empty state, every click is `next_click` of the thresholded
    probability map, and all clicks are made (its IoU analysis) unless `stop_at` asks for less; NoC is the same either way.
    A clicked pixel (row, col) is the Click at its centre, (row + 0.5, col + 0.5) in native px.
    """
    return annotate_many(segmenter, encoding, [gt], max_clicks=max_clicks, stop_at=stop_at)[0]


def annotate_many(
    segmenter: Segmenter,
    encoding: Any,
    gts: Sequence[NDArray[np.int8]],
    *,
    max_clicks: int = MAX_CLICKS,
    stop_at: float | None = None,
    initial_masks: Sequence[NDArray[np.bool_] | None] | None = None,
) -> list[Trajectory]:
    """`annotate` for several objects of one image, click by click together, so that their steps can share forward passes.

    initial_masks: HxW of each object, the mask that its clicks are to correct, or None; a mask that is as good as `stop_at` gets no click.
    """
    masks = [None] * len(gts) if initial_masks is None else initial_masks
    annotations = [_Annotation.begin(segmenter, encoding, gt, mask) for gt, mask in zip(gts, masks, strict=True)]
    for _ in range(max_clicks):
        pending = [each for each in annotations if not each.reached(stop_at)]
        if not pending:
            break
        requests = [each.click() for each in pending]
        started = perf_counter()
        states = step_many(segmenter, encoding, requests)
        seconds = (perf_counter() - started) / len(pending)
        for each, state in zip(pending, states, strict=True):
            each.look_at(state, segmenter.threshold, seconds)
    return [each.trajectory() for each in annotations]


@dataclass(slots=True)
class _Annotation:
    """One object on its way. not_clicked: HxW bool. errors: of the mask so far."""

    truth: Truth
    not_clicked: NDArray[np.bool_]
    state: State
    errors: Errors
    started_at: float = 0.0
    pixels: list[tuple[bool, int, int]] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    met: list[int] = field(default_factory=list)
    step_seconds: float = 0.0
    robot_seconds: float = 0.0

    @classmethod
    def begin(cls, segmenter: Segmenter, encoding: Any, gt: NDArray[np.int8], mask: NDArray[np.bool_] | None = None) -> _Annotation:
        """Before the first click: the mask is the one to be corrected, else empty, whatever the segmenter starts from."""
        started = perf_counter()
        truth = Truth.of(gt)
        errors = truth.errors(np.zeros(gt.shape, np.bool_) if mask is None else mask)
        one = cls(truth, np.ones(gt.shape, np.bool_), segmenter.start(encoding, mask), errors, 0.0 if mask is None else errors.iou)
        one.robot_seconds = perf_counter() - started
        return one

    def reached(self, stop_at: float | None) -> bool:
        """Whether the last IoU is as good as was asked for."""
        return stop_at is not None and (self.ious[-1] if self.ious else self.started_at) >= stop_at

    def click(self) -> Request:
        """One more click, and what the segmenter is to be asked."""
        started = perf_counter()
        positive, row, col = self.errors.next_click(self.not_clicked)
        self.not_clicked[row, col] = False
        self.pixels.append((positive, row, col))
        self.clicks.append(Click(row=row + 0.5, col=col + 0.5, positive=positive))
        request = Request(tuple(self.clicks), self.state)
        self.robot_seconds += perf_counter() - started
        return request

    def look_at(self, state: State, threshold: float, step_seconds: float) -> None:
        """Measure the mask that the last click led to."""
        started = perf_counter()
        mask = state.probability > threshold
        self.state = state
        self.errors = self.truth.errors(mask)
        self.ious.append(self.errors.iou)
        self.met.append(sum(bool(mask[row, col]) == sign for sign, row, col in self.pixels))
        self.step_seconds += step_seconds
        self.robot_seconds += perf_counter() - started

    def trajectory(self) -> Trajectory:
        """All of it."""
        return Trajectory(tuple(self.pixels), tuple(self.ious), tuple(self.met), self.step_seconds, self.robot_seconds, self.started_at)
