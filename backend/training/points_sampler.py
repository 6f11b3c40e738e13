"""The clicks that a training sample starts with: RITM's multi-point sampler, which SimpleClick, ICL and FocalClick use too. MODELS.md 8.

Where the specification is silent: every one of several merged objects is clicked by itself, since nothing else tells the network that it is
wanted; a kind of negative that a scene does not have falls back to background; no click falls on an ignored pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.inference.click_maps import PADDING
from backend.training.scene import BACKGROUND, IGNORED, OTHER, Labels, wanted

SQUARE = np.ones((3, 3), np.uint8)
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PointsSampler:
    """How many clicks a sample starts with, and where. The defaults are the authors'.

    max_points: slots of each sign. gamma: n further clicks are as likely as gamma ** n.
    merge_prob, max_merged: how often the sample asks for several objects at once, and for how many at most.
    erode_prob, erosions, erosion_leaves: how often positive clicks keep away from the border, by how many 3x3 erosions, and how many pixels
    more than which must be left for it. expand: width of the border outside the object, as a share of the root of its area.
    background, other, border: shares of the negative clicks: off every object, on other objects, on the border outside the object.
    centred: whether the first click lies deeper than the object's depth / centre_depth (FocalClick).
    order: of the clicks in the points tensor: `unknown` is SAMPLED for all, `shuffled` a random one (ICL).
    """

    max_points: int = 24
    gamma: float = 0.8
    merge_prob: float = 0.15
    max_merged: int = 2
    erode_prob: float = 0.9
    erosions: int = 3
    erosion_leaves: int = 10
    expand: float = 0.1
    background: float = 0.1
    other: float = 0.4
    border: float = 0.5
    centred: bool = False
    centre_depth: float = 1.7
    order: Literal["unknown", "shuffled"] = "unknown"

    def sample(self, labels: Labels, rng: np.random.Generator) -> NDArray[np.float32]:
        """Clicks on a scene, float32 [2 * max_points, 3] of (row, col, order): positive slots, then negative; (-1, -1, -1) where unused.

        The first positive slot is the first object's. A scene with nothing wanted has no positive click.
        """
        positive = self._positives(labels, rng)
        negative = self._negatives(labels, rng)
        points = np.full((2, self.max_points, 3), PADDING, np.float32)
        orders = self._orders(len(positive) + len(negative), rng)
        for slots, clicks, order in ((points[0], positive, orders[: len(positive)]), (points[1], negative, orders[len(positive) :])):
            slots[: len(clicks), :2] = np.reshape(clicks, (-1, 2))
            slots[: len(clicks), 2] = order
        return points.reshape(2 * self.max_points, 3)

    def objects(self, available: int, rng: np.random.Generator) -> int:
        """How many objects a sample asks for, of so many in its scene."""
        most = min(available, self.max_merged)
        if most < 2 or rng.random() >= self.merge_prob:
            return 1
        return int(rng.integers(2, most + 1))

    def count(self, fewest: int, most: int, rng: np.random.Generator) -> int:
        """A number of clicks from `fewest` to `most`, each gamma times as likely as the one before."""
        weights = self.gamma ** np.arange(most - fewest + 1)
        return fewest + int(rng.choice(len(weights), p=weights / weights.sum()))

    def _orders(self, clicks: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.permutation(clicks) if self.order == "shuffled" else np.full(clicks, SAMPLED)

    def _positives(self, labels: Labels, rng: np.random.Generator) -> list[tuple[int, int]]:
        firsts: list[tuple[int, int]] = []
        others: list[tuple[int, int]] = []
        for number in np.unique(labels[wanted(labels)]):
            mask = labels == number
            inner = self._eroded(mask, rng)
            firsts.append(_anywhere(deeper(mask, self.centre_depth) if self.centred else inner, rng))
            others += [_anywhere(inner, rng) for _ in range(self.count(1, self.max_points, rng) - 1)]
        return (firsts + others)[: self.max_points]

    def _eroded(self, mask: Mask, rng: np.random.Generator) -> Mask:
        if rng.random() >= self.erode_prob:
            return mask
        inner = cv2.erode(mask.astype(np.uint8), SQUARE, iterations=self.erosions).astype(bool)
        return inner if np.count_nonzero(inner) > self.erosion_leaves else mask

    def _negatives(self, labels: Labels, rng: np.random.Generator) -> list[tuple[int, int]]:
        count = self.count(0, self.max_points, rng)
        if not count:
            return []
        background = labels == BACKGROUND
        regions = (background, labels == OTHER, self.outline(labels))
        usable = [region if region.any() else background for region in regions]
        kinds = rng.choice(3, size=count, p=(self.background, self.other, self.border))
        return [_anywhere(usable[kind], rng) for kind in kinds if usable[kind].any()]

    def outline(self, labels: Labels) -> Mask:
        """The pixels just outside what is wanted, other objects' too."""
        inside = wanted(labels)
        iterations = ceil(self.expand * np.sqrt(np.count_nonzero(inside)))
        if not iterations:
            return np.zeros_like(inside)
        wider = cv2.dilate(inside.astype(np.uint8), SQUARE, iterations=iterations).astype(bool)
        return wider & ~inside & (labels != IGNORED)


SAMPLED = 100
"""Order of a click that was sampled: its place in the sequence is not known."""


def deeper(mask: Mask, than: float) -> Mask:
    """The pixels farther from the outside of a mask than its deepest pixel's distance / `than`; the image's edge is outside."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return depth > depth.max() / than


def _anywhere(mask: Mask, rng: np.random.Generator) -> tuple[int, int]:
    """A pixel (row, col) of a mask that has some, each as likely as the others."""
    inside = np.flatnonzero(mask)
    row, col = divmod(int(inside[rng.integers(len(inside))]), mask.shape[1])
    return row, col
