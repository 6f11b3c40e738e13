"""One simulated annotation: an object in a scene, the clicks so far, the probability so far, and what the network sees next.

Training serves as the server serves: each click looks through a region of interest around the previous mask, the previous probability is
soft, and the next click goes where the error is largest. Every forward pass is a training step, so no pass is spent on simulation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.training.augment import DEFAULT_CHANGES, ColourChanges, colours, dihedral
from backend.training.copy_paste import Suem
from backend.training.objects import Pool, PooledObject
from backend.training.scene_mixing import AerialScene, mixed

MAX_SCENE = 512  # longer side of a scene, pixels
SMALLEST = 24  # object pixels that must be left in a scene
Roi = tuple[int, int, int, int]  # row0, col0, row1, col1, half open


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """How annotations are simulated.

    input_size: side of the square network input, px; sides: (side, share) of those that a step's looks may have instead, none for
    input_size always. chain: probability of an annotation of 1, 2, ... clicks. look_again: of being looked
    at once more before the next click. expansion, min_crop: the region of interest around the mask so far, as ZoomIn's expansion ratio and
    smallest side in native px; first_window: side in px of the one about the first click. whole, window: where nothing was found yet, how
    often the whole scene is looked at, and a window of about that side; else the object's own region. changes: of colour.
    suem: copy-paste between scenes, None for none. click_weights: of the loss after the first click, the second, ... and all later ones;
    none for equal ones.
    scales: smallest and largest factor that a scene is resized by; (1, 1) leaves the ground sampling distance of all but scenes of more
    than MAX_SCENE px as it is.
    """

    input_size: int = 224
    sides: tuple[tuple[int, float], ...] = ()
    chain: tuple[float, ...] = (0.22, 0.2, 0.17, 0.13, 0.11, 0.08, 0.05, 0.04)
    look_again: float = 0.15
    expansion: float = 1.4
    min_crop: int = 64
    first_window: float = 256.0
    whole: float = 0.25
    window: float = 0.45
    changes: ColourChanges = DEFAULT_CHANGES
    scales: tuple[float, float] = (0.6, 1.8)
    suem: Suem | None = None
    click_weights: tuple[float, ...] = ()


@dataclass(slots=True)
class Episode:
    """image: uint8 HxWxbands. target: int8 HxW (1, 0, -1 ignored). probability: float32 HxW. clicks: (row, col, positive) pixel indices."""

    image: NDArray[np.uint8]
    target: NDArray[np.int8]
    clicks_left: int
    probability: NDArray[np.float32] = field(init=False)
    clicks: list[tuple[float, float, bool]] = field(default_factory=list)
    roi: Roi | None = None

    def __post_init__(self) -> None:
        self.probability = np.zeros(self.target.shape, np.float32)

    @property
    def iou(self) -> float:
        """Intersection over union of the mask at 0.5 with the object, ignored pixels left out."""
        valid = self.target >= 0
        mask, truth = (self.probability > 0.5) & valid, self.target == 1
        return float((mask & truth).sum() / max((mask | truth).sum(), 1))

    def add_click(self, rng: np.random.Generator | None) -> bool:
        """Clicks into the largest error, at its deepest pixel, or with `rng` half of the time anywhere in its inner half.

        False, without a click, when no error is wide enough to click into.
        """
        mask, valid = self.probability > 0.5, self.target >= 0
        missing = cv2.distanceTransform(np.pad((~mask & (self.target == 1)).astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        surplus = cv2.distanceTransform(np.pad((mask & (self.target == 0) & valid).astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        for row, col, _ in self.clicks:
            missing[int(row), int(col)] = surplus[int(row), int(col)] = 0
        positive = bool(missing.max() > surplus.max())
        depth = missing if positive else surplus
        if depth.max() < 1.0:
            return False
        inner = depth > depth.max() * 0.5 if rng is not None and rng.random() < 0.5 else depth == depth.max()
        candidates = np.flatnonzero(inner)
        chosen = int(candidates[rng.integers(len(candidates))]) if rng is not None else int(candidates[0])
        row, col = divmod(chosen, depth.shape[1])
        self.clicks.append((float(row), float(col), positive))
        return True

    def look(
        self, settings: EpisodeSettings, rng: np.random.Generator | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], list[tuple[float, float, bool]]]:
        """Chooses the region of interest and returns what the network gets for it.

        Returns x float32 [bands + 1, S, S] (image and previous probability in 0..1), target float32 [S, S], and the clicks in its pixels.
        """
        self.roi = self._region(settings, rng)
        row0, col0, row1, col1 = self.roi
        size = (settings.input_size, settings.input_size)
        interpolation = cv2.INTER_LINEAR
        # In place, for memory freshly asked for costs more than the arithmetic.
        x = np.empty((self.image.shape[2] + 1, *size), np.float32)
        image = cv2.resize(self.image[row0:row1, col0:col1], size, interpolation=interpolation)
        np.divide(np.atleast_3d(image).transpose(2, 0, 1), np.float32(255.0), out=x[:-1])
        x[-1] = cv2.resize(self.probability[row0:row1, col0:col1], size, interpolation=interpolation)
        target = cv2.resize(self.target[row0:row1, col0:col1].astype(np.float32), size, interpolation=interpolation)
        labels = (target > 0.5).astype(np.float32)
        labels[target < -0.1] = -1.0
        down, across = settings.input_size / (row1 - row0), settings.input_size / (col1 - col0)
        clicks = [((row - row0) * down, (col - col0) * across, positive) for row, col, positive in self.clicks]
        return x, labels, clicks

    def learn(self, probability: NDArray[np.float32]) -> None:
        """Takes the network's answer for the region of the last `look`, float32 [S, S]; outside of it is zero, as ZoomIn pastes."""
        assert self.roi is not None  # look comes first
        row0, col0, row1, col1 = self.roi
        self.probability = np.zeros(self.target.shape, np.float32)
        self.probability[row0:row1, col0:col1] = cv2.resize(probability, (col1 - col0, row1 - row0), interpolation=cv2.INTER_LINEAR)
        self.clicks_left -= 1

    def _region(self, settings: EpisodeSettings, rng: np.random.Generator | None) -> Roi:
        height, width = self.target.shape
        inside = self.probability > 0.5
        if not inside.any():
            # Nothing found yet: a window about the click, as ZoomIn starts with. At times the whole scene, or the object's own region,
            # which is what a click sees on imagery of other detail.
            row, col, _ = self.clicks[0]
            if rng is None:
                return _window(row, col, settings.first_window, height, width)
            chance = rng.random()
            if chance < settings.whole:
                return 0, 0, height, width
            if chance < settings.whole + settings.window:
                return _window(row, col, settings.first_window * float(np.exp(rng.uniform(-0.6, 0.5))), height, width)
            inside = self.target == 1
        for row, col, positive in self.clicks:
            if positive:
                inside[int(row), int(col)] = True
        rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        ratio = settings.expansion * (rng.uniform(0.8, 1.3) if rng is not None else 1.0)
        row0, row1 = _span(rows[0], rows[-1], ratio, settings.min_crop, height)
        col0, col1 = _span(cols[0], cols[-1], ratio, settings.min_crop, width)
        return row0, col0, row1, col1

    def packed(self) -> dict[str, Tensor]:
        """As tensors, for a checkpoint. The region of the last look is not kept: the next look chooses its own."""
        arrays = {"image": self.image, "target": self.target, "probability": self.probability}
        clicks = torch.tensor(self.clicks, dtype=torch.float64).reshape(-1, 3)
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()} | {
            "clicks": clicks,
            "clicks_left": torch.tensor(self.clicks_left),
        }

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> Episode:
        """What `packed` packed."""
        episode = cls(tensors["image"].numpy(), tensors["target"].numpy(), int(tensors["clicks_left"]))
        episode.probability = tensors["probability"].numpy()
        episode.clicks = [(row, col, positive > 0) for row, col, positive in tensors["clicks"].tolist()]
        return episode


def _window(row: float, col: float, side: float, height: int, width: int) -> Roi:
    """A square of `side` px about the click, pushed inside the scene."""
    tall, wide = min(round(side), height), min(round(side), width)
    top, left = int(np.clip(round(row - tall / 2), 0, height - tall)), int(np.clip(round(col - wide / 2), 0, width - wide))
    return top, left, top + tall, left + wide


def _span(first: int, last: int, ratio: float, smallest: int, limit: int) -> tuple[int, int]:
    centre, half = (first + last) / 2, max(ratio * (last - first + 1), smallest) / 2
    return max(round(centre - half), 0), min(round(centre + half) + 1, limit)


def new_episode(
    image: NDArray[np.uint8],
    item: PooledObject,
    settings: EpisodeSettings,
    rng: np.random.Generator,
    *,
    augment: bool,
    others: Pool | None = None,
) -> Episode | None:
    """A scene round the object, cut and scaled at random, with its first click; None when too little of the object was left in it.

    others: where the settings' copy-paste takes its other scenes from; None for no copy-paste.
    """
    cut = _scene(image, item, settings, rng, augment=augment)
    if cut is None:
        return None
    if settings.suem is not None and others is not None:
        cut = mixed(cut, lambda: _scene(*others.draw(rng), settings, rng, augment=augment), settings.suem, rng)
    clicks = 1 + int(rng.choice(len(settings.chain), p=np.array(settings.chain) / sum(settings.chain)))
    episode = Episode(cut[0], cut[1], clicks)
    return episode if episode.add_click(rng if augment else None) else None


def _scene(
    image: NDArray[np.uint8], item: PooledObject, settings: EpisodeSettings, rng: np.random.Generator, *, augment: bool
) -> AerialScene | None:
    scene, target = _cut(image, item, settings.scales, rng)
    if augment:
        scene, target = dihedral(rng, scene, target)
        scene = colours(rng, scene, item.bands, settings.changes)
    if (target == 1).sum() < SMALLEST or not (target == 0).any():
        return None
    return scene, target, item.bands


def _cut(
    image: NDArray[np.uint8], item: PooledObject, scales: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """A rectangle that holds the object's box centre, between 1.2 times the object and 700 px wide, resized by one of `scales`."""
    row0, col0, row1, col1 = item.box
    extent = max(row1 - row0, col1 - col0)
    low, high = max(96.0, 1.2 * extent), max(700.0, 1.5 * extent)
    side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    height, width = (min(int(side * np.exp(rng.uniform(-0.25, 0.25))), limit) for limit in image.shape[:2])
    top, left = (
        int(np.clip((first + last) / 2 - length * rng.uniform(0.15, 0.85), 0, limit - length))
        for first, last, length, limit in ((row0, row1, height, image.shape[0]), (col0, col1, width, image.shape[1]))
    )
    target = np.zeros((height, width), np.int8)
    rows = slice(max(row0, top), min(row1, top + height))
    cols = slice(max(col0, left), min(col1, left + width))
    if rows.start < rows.stop and cols.start < cols.stop:
        part = item.mask[rows.start - row0 : rows.stop - row0, cols.start - col0 : cols.stop - col0]
        target[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] = part
    scale = min(float(np.exp(rng.uniform(np.log(scales[0]), np.log(scales[1])))), MAX_SCENE / max(height, width))
    size = (max(int(width * scale), 32), max(int(height * scale), 32))
    shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scene = cv2.resize(image[top : top + height, left : left + width], size, interpolation=shrinking)
    soft = cv2.resize(target.astype(np.float32), size, interpolation=shrinking)
    return scene.astype(np.uint8, copy=False), np.where(soft > 0.5, 1, np.where(soft < -0.1, -1, 0)).astype(np.int8)
