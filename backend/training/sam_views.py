"""What SAM is shown in training: a square part of an image at the network's size, with several of its objects to ask for.

An embedding costs ten times what a prompt costs, so every view is asked for several objects, as an annotator does in one window.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.training.augment import colours, dihedral
from backend.training.objects import Pool, PooledObject

Window = tuple[int, int, int, int]  # row0, col0, row1, col1 of the image, half open


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """side: of the square view, pixels of the network's input. objects: at most so many of a view are asked for.

    smallest, largest: native px that a view shows, drawn evenly on a logarithmic scale; no less than `margin` times the object's longer
    side, and twice that where `largest` is less. visible: share of an object's box that must lie in the view for it to be asked for, and
    least_area: view pixels of it.
    """

    side: int = 256
    objects: int = 4
    smallest: float = 96.0
    largest: float = 640.0
    margin: float = 1.25
    visible: float = 0.6
    least_area: int = 24


@dataclass(frozen=True, slots=True, eq=False)
class SamView:
    """image: uint8 [side, side, bands], zero where it is padded. targets: int8 [K, side, side]: 1 object, 0 not, -1 ignored."""

    image: NDArray[np.uint8]
    targets: NDArray[np.int8]


class ViewSource:
    """Cuts views out of a pool's images. NumPy only."""

    def __init__(self, settings: ViewSettings) -> None:
        self.settings = settings
        self._by_image: tuple[Pool, dict[int, list[int]]] | None = None

    def view(self, pool: Pool, rng: np.random.Generator, *, augment: bool = True) -> SamView | None:
        """A view round an object drawn from the pool, itself the first target; None where too little of it can be seen."""
        image, item = pool.draw(rng)
        window = self._window(image.shape[:2], item, rng)
        candidates = [item, *self._neighbours(pool, item, window, rng)]
        targets = [self._target(one, window) for one in candidates]
        seen = self._resized(image[window[0] : window[2], window[1] : window[3]])
        targets = [one for one in targets if (one == 1).sum() >= self.settings.least_area and (one == 0).any()]
        if not targets:
            return None
        stack = np.stack(targets, axis=2)
        if augment:
            seen, stack = dihedral(rng, seen, stack)
            seen = colours(rng, seen, item.bands)
        padded = (self._padded(array) for array in (seen, stack))
        picture, labels = next(padded), next(padded)
        return SamView(picture.astype(np.uint8, copy=False), np.ascontiguousarray(labels.transpose(2, 0, 1)).astype(np.int8))

    def _window(self, size: tuple[int, ...], item: PooledObject, rng: np.random.Generator) -> Window:
        row0, col0, row1, col1 = item.box
        extent = max(row1 - row0, col1 - col0)
        low = max(self.settings.smallest, self.settings.margin * extent)
        side = float(np.exp(rng.uniform(np.log(low), np.log(max(self.settings.largest, 2.0 * low)))))
        spans: list[tuple[int, int]] = []
        for first, last, limit in ((row0, row1, size[0]), (col0, col1, size[1])):
            length = min(int(side), limit)
            spare = max(length - (last - first), 0)
            start = int(np.clip(first - rng.uniform(0.1, 0.9) * spare, 0, limit - length))
            spans.append((start, start + length))
        return spans[0][0], spans[1][0], spans[0][1], spans[1][1]

    def _neighbours(self, pool: Pool, item: PooledObject, window: Window, rng: np.random.Generator) -> list[PooledObject]:
        """Other objects that lie mostly in the window, in random order, as many as are still wanted."""
        found: list[PooledObject] = []
        numbers = self._objects_of(pool)[item.image]
        for place in rng.permutation(len(numbers)):
            if len(found) == self.settings.objects - 1:
                break
            other = pool.objects[numbers[int(place)]]
            row0, col0, row1, col1 = other.box
            if other.box == item.box or max(row1 - row0, col1 - col0) < 0.03 * (window[2] - window[0]):
                continue
            rows, cols = min(row1, window[2]) - max(row0, window[0]), min(col1, window[3]) - max(col0, window[1])
            if rows > 0 and cols > 0 and rows * cols >= self.settings.visible * (row1 - row0) * (col1 - col0):
                found.append(other)
        return found

    def _objects_of(self, pool: Pool) -> dict[int, list[int]]:
        """Numbers of the pool's objects by image, found out once."""
        if self._by_image is None or self._by_image[0] is not pool:
            by_image: defaultdict[int, list[int]] = defaultdict(list)
            for number in range(len(pool.objects)):
                by_image[pool.objects[number].image].append(number)
            self._by_image = pool, dict(by_image)
        return self._by_image[1]

    def _target(self, item: PooledObject, window: Window) -> NDArray[np.int8]:
        """The object in the window at the view's scale."""
        row0, col0, row1, col1 = item.box
        whole = np.zeros((window[2] - window[0], window[3] - window[1]), np.float32)
        rows = slice(max(row0, window[0]), min(row1, window[2]))
        cols = slice(max(col0, window[1]), min(col1, window[3]))
        if rows.start < rows.stop and cols.start < cols.stop:
            part = item.mask[rows.start - row0 : rows.stop - row0, cols.start - col0 : cols.stop - col0]
            whole[rows.start - window[0] : rows.stop - window[0], cols.start - window[1] : cols.stop - window[1]] = part
        soft = self._resized(whole)
        return np.where(soft > 0.5, 1, np.where(soft < -0.1, -1, 0)).astype(np.int8)

    def _resized(self, array: NDArray[Any]) -> NDArray[Any]:
        """The longer side at the network's size."""
        height, width = array.shape[:2]
        scale = self.settings.side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    def _padded(self, array: NDArray[Any]) -> NDArray[Any]:
        """Zeros to the right and below, as the segmenter pads."""
        side = self.settings.side
        return np.pad(array, ((0, side - array.shape[0]), (0, side - array.shape[1]), (0, 0)))
