"""SUEM on the scenes of aerial annotations: scenes of all sizes, whose targets say wanted, not or ignored."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.training.copy_paste import Suem
from backend.training.scene import BACKGROUND, IGNORED, Scene

AerialScene = tuple[NDArray[np.uint8], NDArray[np.int8], tuple[str, ...]]
"""(image uint8 HxWxbands, target int8 HxW of 1, 0, -1, letters of the bands)."""


def mixed(scene: AerialScene, another: Callable[[], AerialScene | None], suem: Suem, rng: np.random.Generator) -> AerialScene:
    """`scene` after SUEM's steps, of the same size. another: draws any other scene."""
    size = (scene[1].shape[0], scene[1].shape[1])

    def fitted() -> Scene | None:
        other = another()
        return None if other is None else _scene(*other) if other[1].shape == size else _scene(*_fitted(other, size, rng))

    found = suem.mixed(_scene(*scene), fitted, rng)
    return found.image, found.target, found.bands


def _scene(image: NDArray[np.uint8], target: NDArray[np.int8], bands: tuple[str, ...]) -> Scene:
    labels = np.where(target == 1, 1, np.where(target < 0, IGNORED, BACKGROUND)).astype(np.uint8)
    return Scene(image, labels, bands)


def _fitted(scene: AerialScene, size: tuple[int, int], rng: np.random.Generator) -> AerialScene:
    """A piece of `size` (height, width) round one of the object's pixels; a smaller scene is enlarged, aspect kept, until it has one."""
    image, target, bands = scene
    factor = max(1.0, size[0] / target.shape[0], size[1] / target.shape[1])
    if factor > 1.0:
        larger = (max(round(target.shape[1] * factor), size[1]), max(round(target.shape[0] * factor), size[0]))
        # OpenCV drops the axis of a single band.
        image = cv2.resize(image, larger, interpolation=cv2.INTER_LINEAR).reshape(larger[1], larger[0], -1).astype(np.uint8, copy=False)
        target = cv2.resize(target.astype(np.int16), larger, interpolation=cv2.INTER_NEAREST).astype(np.int8)
    inside = np.flatnonzero(target == 1)
    held = divmod(int(inside[rng.integers(len(inside))]), target.shape[1])
    top, left = (
        int(rng.integers(max(0, at - side + 1), min(length - side, at) + 1))
        for at, length, side in zip(held, target.shape, size, strict=True)
    )
    piece = np.s_[top : top + size[0], left : left + size[1]]
    return image[piece], target[piece], bands
