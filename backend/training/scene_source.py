"""Scenes out of a pool: a view of an image with its objects labelled, one or several of them wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.training.augment_published import PublishedAugmentation
from backend.training.click_sample import ClickSample
from backend.training.copy_paste import Suem
from backend.training.objects import Pool, PooledObject
from backend.training.points_sampler import PointsSampler
from backend.training.scene import BACKGROUND, IGNORED, OTHER, Labels, Scene, wanted

SMALLEST = 20  # pixels wanted that must be in view


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """What a sample shows, and the clicks it starts with.

    crop: (height, width) of the network input. background_prob: how often a crop lies anywhere and is used as it is, empty or not.
    suem: copy-paste between scenes, None for none.
    """

    crop: tuple[int, int]
    augmentation: PublishedAugmentation = field(default_factory=PublishedAugmentation)
    sampler: PointsSampler = field(default_factory=PointsSampler)
    background_prob: float = 0.05
    suem: Suem | None = None


class SceneSource:
    """Draws scenes. Keeps where the objects of the last pool's images lie."""

    def __init__(self, settings: SceneSettings) -> None:
        self.settings = settings
        self._neighbours = Neighbours()

    def draw(self, pool: Pool, rng: np.random.Generator) -> Scene | None:
        """One scene, augmented and mixed with others where the settings ask for it; None where too little of its object is in view."""
        scene = self._one(pool, rng)
        if scene is None or self.settings.suem is None or not wanted(scene.labels).any():
            return scene
        return self.settings.suem.mixed(scene, lambda: self._one(pool, rng), rng)

    def sample(self, pool: Pool, rng: np.random.Generator) -> ClickSample | None:
        """A scene with its first clicks."""
        scene = self.draw(pool, rng)
        return None if scene is None else ClickSample(scene.image, scene.target, self.settings.sampler.sample(scene.labels, rng))

    def _one(self, pool: Pool, rng: np.random.Generator) -> Scene | None:
        settings = self.settings
        image, item = pool.draw(rng)
        anywhere = rng.random() < settings.background_prob
        anchor = None if anywhere else pixel_of(item, rng)
        size = (int(image.shape[0]), int(image.shape[1]))
        view = settings.augmentation.view(size, settings.crop, anchor, rng)
        row0, col0, row1, col1 = window = view.window(size)
        labels = view.labels(self._neighbours.labels(pool, item, window, settings.sampler, rng), (row0, col0))
        if not anywhere and np.count_nonzero(wanted(labels)) < SMALLEST:
            return None
        seen = view.image(np.asarray(image[row0:row1, col0:col1]), (row0, col0))
        return Scene(settings.augmentation.light(seen, item.bands, rng), labels, item.bands)


class SeenOnce:
    """The half of a `Method` (see method.py) that deals with samples, for ways of training that see each scene once."""

    def __init__(self, scene: SceneSettings) -> None:
        self._scenes = SceneSource(scene)

    def draw(self, pool: Pool, rng: np.random.Generator) -> ClickSample | None:
        """As in `Method`."""
        return self._scenes.sample(pool, rng)

    def going_on(self, samples: Sequence[ClickSample], rng: np.random.Generator) -> list[ClickSample]:
        """None."""
        return []

    def packed(self, sample: ClickSample) -> dict[str, Tensor]:
        """As in `Method`."""
        return sample.packed()

    def unpacked(self, tensors: Mapping[str, Tensor]) -> ClickSample:
        """As in `Method`."""
        return ClickSample.unpacked(tensors)


class Neighbours:
    """An object among the others of its image. Where they lie is looked up once for the pool given last."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._by_image: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def labels(
        self, pool: Pool, item: PooledObject, window: tuple[int, int, int, int], sampler: PointsSampler, rng: np.random.Generator
    ) -> Labels:
        """Labels of a window (row0, col0, row1, col1) of the image of `item`: it is wanted, and sometimes others in the window with it."""
        nearby = self.within(pool, item, window)
        more = sampler.objects(1 + len(nearby), rng) - 1
        merged = [nearby[int(number)] for number in rng.choice(len(nearby), more, replace=False)] if more else []
        return labelled(window, [item, *merged], nearby)

    def within(self, pool: Pool, item: PooledObject, window: tuple[int, int, int, int]) -> list[PooledObject]:
        """Those with a pixel of their box in a window (row0, col0, row1, col1) of the image of `item`; not `item` itself."""
        if self._pool is not pool:
            self._pool, self._by_image = pool, _by_image(pool)
        boxes, numbers = self._by_image[item.image]
        row0, col0, row1, col1 = window
        overlapping = (boxes[:, 0] < row1) & (boxes[:, 2] > row0) & (boxes[:, 1] < col1) & (boxes[:, 3] > col0)
        found = [pool.objects[int(number)] for number in numbers[overlapping]]
        return [one for one in found if one.box != item.box or not np.array_equal(one.mask, item.mask)]


def labelled(window: tuple[int, int, int, int], chosen: list[PooledObject], nearby: list[PooledObject]) -> Labels:
    """Labels of a window (row0, col0, row1, col1): the chosen objects numbered from 1, over those nearby."""
    row0, col0, row1, col1 = window
    labels = np.full((row1 - row0, col1 - col0), BACKGROUND, np.uint8)
    for item in nearby:
        _paint(labels, item, (row0, col0), OTHER)
    for item in chosen:
        _paint(labels, item, (row0, col0), IGNORED, where=-1)
    for number, item in reversed(list(enumerate(chosen, start=1))):
        _paint(labels, item, (row0, col0), number)
    return labels


def _paint(labels: Labels, item: PooledObject, corner: tuple[int, int], value: int, where: int = 1) -> None:
    row0, col0, row1, col1 = item.box
    top, left = max(row0, corner[0]), max(col0, corner[1])
    bottom, right = min(row1, corner[0] + labels.shape[0]), min(col1, corner[1] + labels.shape[1])
    if top < bottom and left < right:
        part = item.mask[top - row0 : bottom - row0, left - col0 : right - col0] == where
        labels[top - corner[0] : bottom - corner[0], left - corner[1] : right - corner[1]][part] = value


def pixel_of(item: PooledObject, rng: np.random.Generator) -> tuple[float, float]:
    """The middle of a pixel of the object, (row, col) with edges as integers."""
    inside = np.flatnonzero(item.mask == 1)
    row, col = divmod(int(inside[rng.integers(len(inside))]), item.mask.shape[1])
    return item.box[0] + row + 0.5, item.box[1] + col + 0.5


def _by_image(pool: Pool) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of every image: (boxes [n, 4], places of their objects in the pool [n])."""
    rows: dict[int, list[tuple[int, ...]]] = {}
    for number, item in enumerate(pool.objects):
        rows.setdefault(item.image, []).append((*item.box, number))
    return {image: (np.array(found, np.int64)[:, :4], np.array(found, np.int64)[:, 4]) for image, found in rows.items()}
