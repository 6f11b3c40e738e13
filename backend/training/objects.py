"""The pool of objects a run learns from: images decoded once, masks kept as crops, held-out images set aside."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from backend.errors import UsageError
from converters.bands import DISPLAY_RECIPES, select
from converters.labelled import LabelledImage, LabelledObject, open_labelled

HELD_OUT_SHARE = 8  # one image in eight is for validation


@dataclass(frozen=True, slots=True)
class Source:
    """One data set of a run. weight: its share of the samples. exclude: names of images to leave out."""

    path: Path
    weight: float = 1.0
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PooledObject:
    """An object to click on. image: index into the pool's images. mask: int8 of its box, 1 object, 0 other, -1 ignored."""

    image: int
    class_name: str
    box: tuple[int, int, int, int]
    mask: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Pool:
    """Objects, the images they lie in (uint8 HxWx3), and the probability of drawing each."""

    images: tuple[NDArray[np.uint8], ...]
    objects: tuple[PooledObject, ...]
    probabilities: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], PooledObject]:
        """One object with its image."""
        chosen = self.objects[int(rng.choice(len(self.objects), p=self.probabilities))]
        return self.images[chosen.image], chosen


def is_held_out(name: str) -> bool:
    """Whether the image of this file name is for validation: by the name alone, so a set may grow without leaking."""
    return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT_SHARE == 0


def load_pools(sources: Sequence[Source], *, min_area: int) -> tuple[Pool, Pool]:
    """(training, validation) pools. Sources share the draws by weight, classes of a source equally, objects of a class by area ** 0.3.

    Without the class step the thousands of specks of land cover would drown the few hundred roofs and cars.
    """
    images: list[NDArray[np.uint8]] = []
    rows: tuple[list[tuple[int, PooledObject]], list[tuple[int, PooledObject]]] = ([], [])
    for number, source in enumerate(sources):
        labelled = open_labelled(source.path)
        for image in tqdm(labelled.images, desc=f"reading {source.path.name}", leave=False):
            if image.name in source.exclude:
                continue
            found = image.objects(min_area)
            if not found:
                continue
            images.append(_three_bands(image))
            rows[is_held_out(image.name)].extend((number, _pooled(item, len(images) - 1)) for item in found)
    if not rows[0]:
        raise UsageError(f"found no object of at least {min_area} px to train on; give --data sets with labels, or lower --min-area")
    return _pool(images, rows[0], sources), _pool(images, rows[1], sources)


def _three_bands(image: LabelledImage) -> NDArray[np.uint8]:
    """The image as the published networks read it: RGB, or IRRG without blue; one whose bands nobody named must have three."""
    pixels = image.read()
    if image.bands is not None:
        return np.ascontiguousarray(pixels[:, :, [band - 1 for band in select(image.bands, DISPLAY_RECIPES)]])
    if pixels.shape[2] != 3:
        raise UsageError(f"{image.name} has {pixels.shape[2]} bands of unknown meaning; expected RGB or IRRG; name them in the file")
    return pixels


def _pooled(item: LabelledObject, image: int) -> PooledObject:
    return PooledObject(image, item.class_name, item.box, item.boxed_mask)


def _pool(images: list[NDArray[np.uint8]], rows: list[tuple[int, PooledObject]], sources: Sequence[Source]) -> Pool:
    sizes = np.array([max(float((item.mask > 0).sum()), 1.0) ** 0.3 for _, item in rows])
    groups = [(number, item.class_name) for number, item in rows]
    group_size: Counter[tuple[int, str]] = Counter()
    for group, size in zip(groups, sizes, strict=True):
        group_size[group] += size  # type: ignore[assignment] - a Counter adds floats too
    classes = Counter(number for number, _ in group_size)
    weights = np.array([sources[g[0]].weight / classes[g[0]] * size / group_size[g] for g, size in zip(groups, sizes, strict=True)])
    total = weights.sum()
    return Pool(tuple(images), tuple(item for _, item in rows), weights / total if total else weights)
