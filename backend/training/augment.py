"""Colour and geometry changes that aerial imagery really shows: light, sensors, infrared, orientation, blur, noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def dihedral(rng: np.random.Generator, image: NDArray[np.uint8], mask: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """One of the eight turns and mirrors of the square, the same for both. An aerial image has no up."""
    turns = int(rng.integers(4))
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(mask)


def colours(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy with other light and another sensor. image: uint8 HxWx3."""
    pixels = image.astype(np.float32)
    chance = rng.random()
    if chance < 0.25:
        pixels = _false_infrared(rng, pixels)
    elif chance < 0.4:
        pixels = pixels[..., rng.permutation(3)]
    elif chance < 0.45:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.8:
        mean = pixels.mean()
        contrast, brightness = rng.uniform(0.7, 1.35), rng.uniform(-35, 35)
        pixels = (pixels - mean) * contrast + mean + brightness
    if rng.random() < 0.5:
        pixels = pixels * rng.uniform(0.85, 1.15, size=3).astype(np.float32)
    if rng.random() < 0.4:
        grey = pixels.mean(axis=2, keepdims=True)
        pixels = grey + (pixels - grey) * rng.uniform(0.3, 1.6)
    if rng.random() < 0.4:
        pixels = 255.0 * (np.clip(pixels, 0, 255) / 255.0) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(2, 9), size=pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _false_infrared(rng: np.random.Generator, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R, G, B) as (infrared, R, G), the infrared guessed from greenness: vegetation is bright in it. No data set at hand has both."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    infrared = 0.6 * green + 0.4 * red + rng.uniform(0.5, 3.5) * np.maximum(2 * green - red - blue, 0) + rng.uniform(0, 25)
    return np.stack([infrared, red, green], axis=2, dtype=np.float32)
