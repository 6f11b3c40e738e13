"""The augmentation of RITM, SimpleClick and ICL: random size, mirror, crop, light, and RITM's turns and shifts for SBD. MODELS.md 8.

Every crop holds a given pixel of the object drawn: aerial tiles are so much larger than a crop that one placed anywhere rarely would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.training.view import Matrix, View, moved, scaled, turned

COLOURS = frozenset("RGB")


@dataclass(frozen=True, slots=True)
class PublishedAugmentation:
    """What is changed, by how much at most, and how often. The defaults are those for COCO+LVIS.

    scale: range of one factor for both sides. mirrors: `horizontal`, or `any` of the three, half of the time. quarter_turns: half of the
    time, by any number of them. shift: largest, as a share of the side; tilt: largest, degrees; both together with probability move_prob.
    brightness: largest change, as a share of 255; contrast: range of its change as a share; both together with probability light_prob.
    rgb_shift: largest change of each colour band by itself; rgb_prob: how often.
    """

    scale: tuple[float, float] = (0.75, 1.4)
    mirrors: Literal["horizontal", "any"] = "horizontal"
    quarter_turns: bool = False
    shift: float = 0.0
    tilt: float = 0.0
    move_prob: float = 0.75
    brightness: float = 0.25
    contrast: tuple[float, float] = (-0.15, 0.4)
    light_prob: float = 0.75
    rgb_shift: float = 10.0
    rgb_prob: float = 0.75

    def view(
        self, image_size: tuple[int, int], crop: tuple[int, int], anchor: tuple[float, float] | None, rng: np.random.Generator
    ) -> View:
        """A random view of (height, width) `crop`.

        anchor: (row, col) of the image, edges as integers, that the crop holds; None for a crop anywhere. Where the changed image is
        smaller than the crop, it lies in its middle.
        """
        forward, size = self._resized(image_size, rng)
        mirror, turn, move = self._mirrored(size, rng), rng.random() < 0.5, rng.random() < self.move_prob
        forward = mirror @ forward
        if self.quarter_turns and turn:
            quarters = int(rng.integers(4))
            turned_size = (size[1], size[0]) if quarters % 2 else size
            forward = _about(size, turned_size, turned(90.0 * quarters)) @ forward
            size = turned_size
        if move and (self.shift or self.tilt):
            tilt, down, across = rng.uniform(-self.tilt, self.tilt), *rng.uniform(-self.shift, self.shift, size=2)
            forward = moved(across * size[1], down * size[0]) @ _about(size, size, turned(tilt)) @ forward
        held = (None, None) if anchor is None else tuple((forward @ np.array([anchor[1], anchor[0], 1.0]))[1::-1])
        top, left = (start_holding(length, side, at, rng) for length, side, at in zip(size, crop, held, strict=True))
        return View(crop, np.linalg.inv(moved(-left, -top) @ forward).astype(np.float64))

    def light(self, image: NDArray[np.uint8], bands: Sequence[str], rng: np.random.Generator) -> NDArray[np.uint8]:
        """uint8 HxWxbands in other light. bands: their letters; only red, green and blue are shifted against each other, infrared never."""
        pixels = image.astype(np.float32)
        if rng.random() < self.light_prob:
            contrast, brightness = rng.uniform(*self.contrast), rng.uniform(-self.brightness, self.brightness)
            pixels = np.clip(pixels * (1.0 + contrast) + 255.0 * brightness, 0, 255)
        if rng.random() < self.rgb_prob:
            shifts = rng.uniform(-self.rgb_shift, self.rgb_shift, size=len(bands))
            pixels = pixels + np.where([band in COLOURS for band in bands], shifts, 0.0).astype(np.float32)
        return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)

    def _resized(self, image_size: tuple[int, int], rng: np.random.Generator) -> tuple[Matrix, tuple[int, int]]:
        factor = rng.uniform(*self.scale)
        size = (max(round(image_size[0] * factor), 1), max(round(image_size[1] * factor), 1))
        return scaled(size[1] / image_size[1], size[0] / image_size[0]), size

    def _mirrored(self, size: tuple[int, int], rng: np.random.Generator) -> Matrix:
        if rng.random() >= 0.5:
            return np.eye(3)
        x, y = (-1, 1) if self.mirrors == "horizontal" else ((-1, 1), (1, -1), (-1, -1))[rng.integers(3)]
        return _about(size, size, scaled(x, y))


def _about(size: tuple[int, int], after: tuple[int, int], change: Matrix) -> Matrix:
    """A change about the middle of an image of (height, width), which then is the middle of one of size `after`."""
    return moved(after[1] / 2, after[0] / 2) @ change @ moved(-size[1] / 2, -size[0] / 2)


def start_holding(length: int, side: int, held: float | None, rng: np.random.Generator) -> int:
    """Where a crop of `side` begins on a line of `length` so that it holds a position; negative where the line is shorter."""
    if length <= side:
        return -((side - length) // 2)
    low, high = 0, length - side
    if held is not None:
        low, high = max(low, int(np.floor(held)) - side + 1), min(high, int(np.floor(held)))
        low, high = min(low, length - side), max(high, 0)  # a shift may have moved the position out of the image
    return int(rng.integers(low, high + 1))
