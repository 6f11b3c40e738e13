"""The pool of objects a run learns from: what to draw how often, the images they lie in, and those set aside for validation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from backend.errors import UsageError
from backend.evaluation.patches import Patch
from backend.training.augment import RGB
from backend.training.bands import Recipes, channels_for
from backend.training.object_store import PooledObject, StoredObjects, stored
from backend.training.pixel_cache import CachedImages, CachedWindow, PixelCache, Wanted
from backend.training.sources import Source, labelled_patches
from backend.training.validation_split import Part, is_held_out, larger_picture, split
from converters.bands import DISPLAY_RECIPES
from converters.chips import PixelWindow
from converters.labelled import LabelledImage

__all__ = ["Pool", "PooledObject", "Source", "is_held_out", "load_pools"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Objects, the images they lie in, and the probability of drawing each.

    images: uint8 HxWxC in native px. With a cache they are views of mapped memory, so `image[row0:row1, col0:col1]` reads that window and
    no more, and a pickled pool is small. bands: letters of the model's first recipe; which of its recipes an image is in says
    `PooledObject.bands`. notes: sentences that a report must print.
    """

    images: Sequence[NDArray[np.uint8]]
    objects: Sequence[PooledObject]
    probabilities: NDArray[np.float64]
    bands: tuple[str, ...] = RGB
    notes: tuple[str, ...] = ()
    _cumulative: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cumulative = np.cumsum(self.probabilities)
        object.__setattr__(self, "_cumulative", cumulative / cumulative[-1] if len(cumulative) else cumulative)

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], PooledObject]:
        """One object with its image. Draws as `rng.choice` with these probabilities does, without summing them up again."""
        chosen = self.objects[int(self._cumulative.searchsorted(rng.random(), side="right"))]
        return self.images[chosen.image], chosen


def load_pools(
    sources: Sequence[Source], *, min_area: int, recipes: Recipes = DISPLAY_RECIPES, cache: PixelCache | None = None
) -> tuple[Pool, Pool]:
    """(training, validation) pools. Sources share the draws by weight, classes of a source equally, objects of a class by area ** 0.3.

    Without the class step the thousands of specks of land cover would drown the few hundred roofs and cars. recipes: of the model; an
    image is read in the first whose bands it has. cache: where decoded images and masks are kept as files; None: in memory.
    What is held out: `validation_split`. UsageError, TaskError and RasterError name the set or image that cannot be used.
    """
    if not sources:
        raise UsageError("no data was given to train on; give labelled sets with --data")
    reading = _Reading(sources, min_area, recipes)
    # With a cache, masks go through one by one and are never all in memory.
    objects = tuple(reading.objects()) if cache is None else stored(reading.objects(), cache.folder)
    images = reading.images(cache)
    training, validation = (_pool(reading, objects, images, held_out) for held_out in (False, True))
    return training, validation


class _Reading:
    """Sources read one after the other: what is known of the pool's images and objects, which are the patches that hold some."""

    def __init__(self, sources: Sequence[Source], min_area: int, recipes: Recipes) -> None:
        self.sources, self.min_area, self.recipes = sources, min_area, recipes
        self.notes: list[str] = []
        self.wanted: list[Wanted] = []  # one for each labelled image that has a patch in the pool
        self.patches: list[tuple[int, PixelWindow]] = []  # of each image of the pool: number of `wanted`, window in it
        self.held_out: list[bool] = []  # of each image of the pool
        self.drawn_from: list[tuple[int, int, str, float]] = []  # of each object: image of the pool, source, class, area in px

    def objects(self) -> Iterator[PooledObject]:
        """All objects, in a fixed order; the lists above are complete when they are exhausted."""
        for number, source in enumerate(self.sources):
            found = source.open()
            self.notes += [f"{source.name}: {note}" for note in found.notes]
            parts: list[Part] = []
            last: LabelledImage | None = None
            bands = RGB
            for image, patch in labelled_patches(source, found, self.min_area):
                if image is not last:
                    channels, bands = channels_for(image, self.recipes)
                    self.wanted.append(Wanted(image, channels, len(bands)))
                    last = image
                yield from self._pooled(patch, number, bands)
                place = f"{patch.window.col_off} {patch.window.row_off}"
                parts.append(Part(larger_picture(image), image.name, f"{image.name} {place}"))
            held = split(parts, source.name)
            self.held_out += held.held_out
            self.notes += [held.note] if held.note else []

    def _pooled(self, patch: Patch, source: int, bands: tuple[str, ...]) -> Iterator[PooledObject]:
        number = len(self.patches)
        self.patches.append((len(self.wanted) - 1, patch.window))
        for item in patch.objects:
            self.drawn_from.append((number, source, item.class_name, float(item.area)))
            yield PooledObject(number, item.class_name, item.box, item.boxed_mask, bands)

    def images(self, cache: PixelCache | None) -> Sequence[NDArray[np.uint8]]:
        """The pool's images, decoded."""
        if cache is not None:
            files = cache.fill(self.wanted)
            return CachedImages([CachedWindow(files[file], _box(window)) for file, window in self.patches])
        windows = tqdm(self.patches, desc="decoding images", leave=False, disable=None)
        return tuple(self.wanted[file].read(window) for file, window in windows)


def _box(window: PixelWindow) -> tuple[int, int, int, int]:
    return window.row_off, window.col_off, window.row_off + window.height, window.col_off + window.width


def _pool(
    reading: _Reading, objects: StoredObjects | tuple[PooledObject, ...], images: Sequence[NDArray[np.uint8]], held_out: bool
) -> Pool:
    numbers = [number for number, row in enumerate(reading.drawn_from) if reading.held_out[row[0]] is held_out]
    rows = [reading.drawn_from[number] for number in numbers]
    sizes = np.array([area**0.3 for *_, area in rows])
    groups = [(source, class_name) for _, source, class_name, _ in rows]
    group_size: defaultdict[tuple[int, str], float] = defaultdict(float)
    for group, size in zip(groups, sizes.tolist(), strict=True):
        group_size[group] += size
    classes = Counter(source for source, _ in group_size)
    shares = [reading.sources[g[0]].weight / classes[g[0]] * size / group_size[g] for g, size in zip(groups, sizes.tolist(), strict=True)]
    weights = np.array(shares, np.float64)
    chosen = objects.chosen(numbers) if isinstance(objects, StoredObjects) else tuple(objects[number] for number in numbers)
    total = weights.sum()
    return Pool(images, chosen, weights / total if total else weights, reading.recipes[0], tuple(reading.notes))
