"""Where FocalClick looks in training: the crop that the coarse network sees, and the part of it that the refiner sees. MODELS.md 8."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.training.augment_published import start_holding
from backend.training.view import View, moved, scaled

Box = tuple[float, float, float, float]
"""(row0, col0, row1, col1), edges as integers."""
Mask = NDArray[np.bool_]
SMALLEST_SIDE = 8.0  # px of the view: less says nothing about a border


@dataclass(frozen=True, slots=True)
class AlignedCrop:
    """The coarse network's crop: height and width each a share of the image's of its own, brought to one square size.

    size: its side in px. frame: longest side that counts as the image's. The authors' images are some 640 px wide; of an aerial tile ten
    times as wide, no object would be left at this size. mean, spread, limits: of the truncated normal distribution of the shares; above 1
    the image ends inside the crop. flip_prob: of either mirror. The authors compute the crop's right edge from its top, which makes their
    widths larger than meant; these are as meant.
    """

    size: int = 256
    frame: int = 640
    mean: float = 0.8
    spread: float = 0.4
    limits: tuple[float, float] = (0.3, 1.3)
    flip_prob: float = 0.3

    def view(self, image_size: tuple[int, int], anchor: tuple[float, float], rng: np.random.Generator) -> View:
        """A random view that holds the anchor, (row, col) of the image with edges as integers."""
        sides = [max(round(self._share(rng) * min(length, self.frame)), 1) for length in image_size]
        top, left = (start_holding(length, side, at, rng) for length, side, at in zip(image_size, sides, anchor, strict=True))
        to_image = moved(left, top) @ scaled(sides[1] / self.size, sides[0] / self.size)
        if rng.random() < self.flip_prob:
            to_image = to_image @ moved(self.size, 0) @ scaled(-1, 1)
        if rng.random() < self.flip_prob:
            to_image = to_image @ moved(0, self.size) @ scaled(1, -1)
        return View((self.size, self.size), to_image)

    def _share(self, rng: np.random.Generator) -> float:
        while True:
            share = float(rng.normal(self.mean, self.spread))
            if self.limits[0] <= share <= self.limits[1]:
                return share


@dataclass(frozen=True, slots=True)
class RefinerCrop:
    """The refiner's part: the whole object with a margin, or a piece of its border.

    whole_prob: of the whole object; always it below `small` px. expansion: range of the side over the object's; shift: largest distance of
    the middles, as a share of the object's side. piece: range of the object's side over the piece's.
    """

    whole_prob: float = 0.6
    small: int = 3600
    expansion: tuple[float, float] = (1.1, 1.6)
    shift: float = 0.3
    piece: tuple[float, float] = (1.5, 3.9)

    def box(self, mask: Mask, rng: np.random.Generator) -> Box:
        """A random part of a view, inside it. mask: HxW of the view, some of it True; the largest component is the object."""
        row0, col0, row1, col1 = _box(largest_component(mask))
        height, width = row1 - row0, col1 - col0
        border = np.flatnonzero(mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool))
        if np.count_nonzero(mask) < self.small or rng.random() < self.whole_prob or not border.size:
            ratio, (down, across) = rng.uniform(*self.expansion), rng.uniform(-self.shift, self.shift, size=2)
            centre = ((row0 + row1) / 2 + down * height, (col0 + col1) / 2 + across * width)
            return _inside(centre, (ratio * height, ratio * width), mask.shape)
        share = rng.uniform(*self.piece)
        row, col = divmod(int(border[rng.integers(len(border))]), mask.shape[1])
        return _inside((row + 0.5, col + 0.5), (height / share, width / share), mask.shape)


def largest_component(mask: Mask) -> Mask:
    """The 8-connected component of HxW with the most pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def small_components(mask: Mask, fewest: int) -> Mask:
    """The pixels of HxW in 8-connected components of fewer than so many."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = [False, *(int(area) < fewest for area in stats[1:, cv2.CC_STAT_AREA])]  # 0 is the background
    return np.array(small)[np.asarray(labels, np.int64)]


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1


def _inside(centre: tuple[float, float], sides: tuple[float, float], size: tuple[int, ...]) -> Box:
    """A box about a point, cut off at the edges of a view of `size`."""
    spans = []
    for middle, side, length in zip(centre, sides, size, strict=True):
        half = max(side, SMALLEST_SIDE) / 2
        held = min(max(middle, SMALLEST_SIDE / 2), length - SMALLEST_SIDE / 2)
        spans.append((max(held - half, 0.0), min(held + half, float(length))))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]
