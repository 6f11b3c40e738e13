"""Colour and geometry changes that aerial imagery really shows: light, sensors, infrared, orientation, blur, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.errors import UsageError

RGB = ("R", "G", "B")


@dataclass(frozen=True, slots=True)
class ColourChanges:
    """Probabilities of the changes that mix the channels of a picture in red, green and blue; at most one of them happens to it.

    infrared: its channels become (a guess at infrared, red, green). shuffle: they change places. grey: they become their mean.
    A picture that has a real infrared band is never changed in any of these ways. UsageError for what cannot be probabilities.
    """

    infrared: float = 0.25
    shuffle: float = 0.15
    grey: float = 0.05

    def __post_init__(self) -> None:
        chances = (self.infrared, self.shuffle, self.grey)
        if not all(0 <= chance <= 1 for chance in chances) or sum(chances) > 1 + 1e-9:
            raise UsageError(
                f"the colour changes infrared, shuffle and grey have the probabilities {', '.join(map(str, chances))}; "
                "expected numbers from 0 to 1 whose sum is 1 at most"
            )


DEFAULT_CHANGES = ColourChanges()


def dihedral(rng: np.random.Generator, image: NDArray[np.uint8], mask: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """One of the eight turns and mirrors of the square, the same for both. An aerial image has no up."""
    turns = int(rng.integers(4))
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(mask)


def colours(
    rng: np.random.Generator, image: NDArray[np.uint8], bands: Sequence[str] = RGB, changes: ColourChanges = DEFAULT_CHANGES
) -> NDArray[np.uint8]:
    """A copy with other light and another sensor.

    image: uint8 HxWxC. bands: letter of each channel. Light, gain, blur and noise change every channel; what mixes channels happens to
    visible colours alone: to a picture of three channels without infrared as `changes` says, and saturation to red, green and blue where
    all three are there. Infrared is another physical quantity: no hue turns into it.
    """
    pixels = image.astype(np.float32)
    if len(bands) == 3 and "IR" not in bands:
        pixels, colour = _mixed(rng, pixels, changes), [0, 1, 2]
    else:
        colour = [bands.index(letter) for letter in RGB] if set(RGB) <= set(bands) else []
    if rng.random() < 0.8:
        mean = pixels.mean()
        contrast, brightness = rng.uniform(0.7, 1.35), rng.uniform(-35, 35)
        pixels = (pixels - mean) * contrast + mean + brightness
    if rng.random() < 0.5:
        pixels = pixels * rng.uniform(0.85, 1.15, size=pixels.shape[2]).astype(np.float32)
    if colour and rng.random() < 0.4:
        pixels = _saturated(pixels, colour, rng.uniform(0.3, 1.6))
    if rng.random() < 0.4:
        pixels = 255.0 * (np.clip(pixels, 0, 255) / 255.0) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3)).reshape(pixels.shape)  # OpenCV drops a single channel's axis
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(2, 9), size=pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _mixed(rng: np.random.Generator, pixels: NDArray[np.float32], changes: ColourChanges) -> NDArray[np.float32]:
    """At most one of the changes, chosen by one draw whichever of them are switched off."""
    chance = rng.random()
    if chance < changes.infrared:
        return _false_infrared(rng, pixels)
    if chance < changes.infrared + changes.shuffle:
        return pixels[..., rng.permutation(3)]
    if chance < changes.infrared + changes.shuffle + changes.grey:
        return np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    return pixels


def _saturated(pixels: NDArray[np.float32], colour: list[int], factor: float) -> NDArray[np.float32]:
    """The channels in `colour` moved away from their mean, or towards it; the others stay."""
    every = len(colour) == pixels.shape[2]
    chosen = pixels if every else pixels[..., colour]
    grey = chosen.mean(axis=2, keepdims=True)
    chosen = grey + (chosen - grey) * factor
    if every:
        return chosen
    pixels = pixels.copy()
    pixels[..., colour] = chosen
    return pixels


def _false_infrared(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R, G, B) as (infrared, R, G), the infrared guessed from greenness: vegetation is bright in it. No data set at hand has both."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    infrared = 0.6 * green + 0.4 * red + rng.uniform(0.5, 3.5) * np.maximum(2 * green - red - blue, 0) + rng.uniform(0, 25)
    return np.stack([infrared, red, green], axis=2, dtype=np.float32)
