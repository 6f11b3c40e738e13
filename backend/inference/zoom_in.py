"""ZoomIn: show the network the neighbourhood of the object instead of the whole image. MODELS.md 6.2.

A value in, a value out: `ZoomIn` holds settings, `ZoomMemory` is what one click leaves for the next, and nothing is kept on an object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.inference.crop import Crop, IndexClick, Roi, longest_side_size
from converters.frames import Box


@dataclass(frozen=True, slots=True)
class ZoomMemory:
    """What ZoomIn carries from click to click.

    roi: the region of interest in use; None while the network has seen the whole image.
    predicted: whether the state's probability map is a prediction (or a mask to be corrected) that a RoI may be taken from. A RoI
        without a prediction was drawn by the annotator (a box), and the next click is looked at there.
    found: HxW float32, the map that a RoI is to be taken from, where it is not the one that the network is to read.
    looks: forward passes that the click at hand has taken already; 0 between clicks.
    """

    roi: Roi | None = None
    predicted: bool = False
    found: NDArray[np.float32] | None = field(default=None, compare=False)
    looks: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What the next forward pass looks at.

    crop: what the network sees; None for the whole image at its own size.
    paste: where its answer goes, and the RoI to be remembered; None for the whole image. Differs from `crop` only with `keep_stale_roi`.
    """

    crop: Crop | None
    paste: Roi | None


@dataclass(frozen=True, slots=True)
class ZoomIn:
    """Settings of ZoomIn; the defaults are the published ones.

    target_size: the crop's longer side in px, aspect kept (int); or its exact (height, width), aspect not kept. A ViT wants the latter.
    skip_clicks: how many clicks see the whole image, unscaled. 1 (RITM): the first. 0: as 1 for an unknown object, then the same click is
        predicted again inside the object found if that is small. -1: every click is resized to `target_size`, the first from the whole
        image; the only choice for a network of fixed input size (SimpleClick and other ViTs).
    expansion_ratio: side of the RoI over side of the object's bounding box; 1.4 leaves 20 % of context on each side.
    min_crop_size: smallest side of the RoI in image px, before it is clamped to the image. Lower it for small objects at coarse
        resolution: a RoI below `target_size` is enlarged.
    recompute_thresh_iou: the RoI is replaced when its overlap with the one the last prediction asks for falls below this.
    prob_thresh: probability above which a pixel counts as object when its bounding box is taken.
    first_window: side in image px of the window about the click that is seen while nothing is known of the object; None shows the whole
        image. On an aerial chip squeezed to 224 px a car is a dozen pixels; a window starts near the object's scale. Needs skip_clicks=-1.
    first_looks: forward passes that the first click may take with `first_window`: it is predicted again in the RoI of what was found while
        that overlaps the window just seen by less than `again_below`, so the network finds the object's scale, not the annotator.
    keep_stale_roi: what happens when the last prediction is empty and skip_clicks >= 0. The authors' code then shows the network the
        whole image and squeezes the answer into the old RoI (MODELS.md, gotcha 16). False forgets the RoI instead, so that the answer
        lies where the network saw it; True reproduces the original, for parity.
    """

    target_size: int | tuple[int, int] = 400
    skip_clicks: int = 1
    expansion_ratio: float = 1.4
    min_crop_size: int = 200
    recompute_thresh_iou: float = 0.5
    prob_thresh: float = 0.5
    first_window: int | None = None
    first_looks: int = 1
    again_below: float = 0.6
    keep_stale_roi: bool = False

    def view(self, clicks: Sequence[IndexClick], probability: NDArray[np.float32], memory: ZoomMemory) -> View:
        """Where to look for the last of `clicks`.

        clicks: all clicks of the object, pixel indices of the image. probability: HxW after the click before.
        """
        if memory.roi is not None and not memory.predicted:
            return View(self._crop(memory.roi), memory.roi)
        if len(clicks) <= self.skip_clicks:
            return View(None, memory.roi if self.keep_stale_roi else None)
        wanted = self._wanted_roi(clicks, probability) if memory.predicted else None
        if wanted is None and self.skip_clicks >= 0:
            return View(None, memory.roi if self.keep_stale_roi else None)
        if wanted is None:
            wanted = self._first_roi(clicks, probability)
        roi = memory.roi
        if roi is None or memory.looks or not _holds_positives(roi, clicks) or wanted.iou(roi) < self.recompute_thresh_iou:
            roi = wanted
        return View(self._crop(roi), roi)

    def of_box(self, box: Box, size: tuple[int, int]) -> ZoomMemory:
        """What a drawn box leaves for the first click: its pixels, widened as an object's bounding box is. size: (height, width)."""
        (height, width), rows, cols = size, _pixels(box.row_min, box.row_max), _pixels(box.col_min, box.col_max)
        return ZoomMemory(roi=Roi(*self._expand(*rows, height), *self._expand(*cols, width)))

    def wants_another_look(self, clicks: Sequence[IndexClick], memory: ZoomMemory, probability: NDArray[np.float32], looks: int) -> bool:
        """Whether the click just predicted should be predicted again, in the RoI of what was found.

        memory, probability: as this click left them. looks: forward passes it has taken so far. Published: with skip_clicks=0 only, after a
        look at the whole image that found something small. Ours: on the first click, with `first_window`.
        """
        if not memory.predicted:
            return False
        if self.first_window is not None:
            found = self._wanted_roi(clicks, probability) if len(clicks) == 1 and looks < self.first_looks else None
            return found is not None and memory.roi is not None and found.iou(memory.roi) < self.again_below
        if self.skip_clicks > 0 or memory.roi is not None:
            return False
        found = self._wanted_roi((), probability)
        return found is not None and found.iou(_whole(probability)) < 0.5

    def _first_roi(self, clicks: Sequence[IndexClick], probability: NDArray[np.float32]) -> Roi:
        """Where to look while nothing is known: the whole image, or the window about the newest positive click, moved inside the image."""
        whole = _whole(probability)
        positive = [(row, col) for row, col, sign in clicks if sign]
        if self.first_window is None or not positive:
            return whole
        bounds: list[int] = []
        for place, length in zip(positive[-1], whole.size, strict=True):
            side = min(self.first_window, length)
            low = min(max(round(place - side / 2), 0), length - side)
            bounds += [low, low + side - 1]
        return Roi(*bounds)

    def _wanted_roi(self, clicks: Sequence[IndexClick], probability: NDArray[np.float32]) -> Roi | None:
        """The object's bounding box, positive clicks included, expanded; None where no pixel is object."""
        mask = probability > self.prob_thresh
        if not mask.any():
            return None
        height, width = mask.shape
        rows = [*_extent(mask.any(axis=1)), *(int(row) for row, _, positive in clicks if positive)]
        cols = [*_extent(mask.any(axis=0)), *(int(col) for _, col, positive in clicks if positive)]
        return Roi(*self._expand(min(rows), max(rows), height), *self._expand(min(cols), max(cols), width))

    def _expand(self, low: int, high: int, length: int) -> tuple[int, int]:
        """An inclusive range widened about its centre and clamped to 0..length-1; rounds half to even, as the originals do."""
        centre = 0.5 * (low + high)
        side = max(self.expansion_ratio * (high - low + 1), self.min_crop_size)
        return max(0, round(centre - 0.5 * side)), min(length - 1, round(centre + 0.5 * side))

    def _crop(self, roi: Roi) -> Crop:
        if isinstance(self.target_size, int):
            return Crop(roi, longest_side_size(roi.size, self.target_size))
        return Crop(roi, self.target_size)


def _pixels(low: float, high: float) -> tuple[int, int]:
    """First and last pixel that an edge-based range touches; one pixel where the range has no length."""
    first = math.floor(low)
    return first, max(first, math.ceil(high) - 1)


def _whole(probability: NDArray[np.float32]) -> Roi:
    height, width = probability.shape
    return Roi.whole((height, width))


def _holds_positives(roi: Roi, clicks: Sequence[IndexClick]) -> bool:
    return all(roi.contains(row, col) for row, col, positive in clicks if positive)


def _extent(occupied: NDArray[np.bool_] | np.bool_) -> tuple[int, int]:
    """First and last True."""
    places = np.flatnonzero(occupied)
    return int(places[0]), int(places[-1])
