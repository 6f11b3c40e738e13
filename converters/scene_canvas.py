"""What a procedural scene is painted on: reflectance, height, slope, class and object of every pixel, and the light that falls on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GSD = 0.05

Floats = NDArray[np.floating[Any]]

IMPERVIOUS, BUILDING, LOW_VEGETATION, TREE, CAR, CLUTTER = range(6)

# Light on flat ground, per band R, G, B, IR: what the sky gives everywhere and what the sun adds. A shadow is bluish, and black in IR.
_SKY = np.array([0.31, 0.35, 0.42, 0.24], dtype=np.float32)
_SUN = np.array([0.69, 0.65, 0.58, 0.76], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Patch:
    """The pixels around one object.

    area: (rows, columns) of the canvas. u, v: metres along and across the object from its centre, HxW.
    angle: of u against the image's x axis, radians, clockwise on the screen.
    """

    area: tuple[slice, slice]
    u: Floats
    v: Floats
    angle: float


class Canvas:
    """A square scene in the making. Later objects cover earlier ones; the topmost gives class and object.

    reflectance: float32 SxSx4 in 0..255, R, G, B, IR in full sun. height: metres above ground. slope: float32 SxSx2, rise per metre in
    image x and y. classes: uint8, the ISPRS order of this module. objects: uint16, 0 for what is no object.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.reflectance = np.zeros((size, size, 4), dtype=np.float32)
        self.height = np.zeros((size, size), dtype=np.float32)
        self.slope = np.zeros((size, size, 2), dtype=np.float32)
        self.classes = np.zeros((size, size), dtype=np.uint8)
        self.objects = np.zeros((size, size), dtype=np.uint16)
        self._count = 0

    def new_object(self) -> int:
        """The id of the next object, from 1."""
        self._count += 1
        return self._count

    def patch(self, x: float, y: float, angle: float, reach: float) -> Patch | None:
        """The pixels within `reach` metres of a place (x, y in px) and their coordinates along `angle`; None off the canvas."""
        radius = math.ceil(reach / GSD) + 1
        left, right = max(0, math.floor(x) - radius), min(self.size, math.ceil(x) + radius)
        top, bottom = max(0, math.floor(y) - radius), min(self.size, math.ceil(y) + radius)
        if left >= right or top >= bottom:
            return None
        dx = (np.arange(left, right, dtype=np.float32) + 0.5 - x) * GSD
        dy = ((np.arange(top, bottom, dtype=np.float32) + 0.5 - y) * GSD)[:, None]
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return Patch((slice(top, bottom), slice(left, right)), dx * cos + dy * sin, dy * cos - dx * sin, angle)

    def paint(
        self,
        area: tuple[slice, slice],
        mask: NDArray[np.bool_],
        colour: Floats,
        *,
        kind: int,
        height: Floats | float = 0.0,
        slope: Floats | None = None,
        thing: int = 0,
    ) -> None:
        """Covers the masked pixels of an area; colour: 4 or HxWx4; slope: HxWx2 in image axes, flat without."""
        self.reflectance[area][mask] = np.broadcast_to(colour, (*mask.shape, 4))[mask]
        self.height[area][mask] = np.broadcast_to(height, mask.shape)[mask]
        self.slope[area][mask] = 0.0 if slope is None else slope[mask]
        self.classes[area][mask] = kind
        self.objects[area][mask] = thing

    def shadows(self, azimuth: float, elevation: float) -> Floats:
        """How much of the sun each pixel misses, 0..1 SxS: everything higher on the way to the sun, marched through the heights.

        azimuth: direction to the sun, radians clockwise from image x. elevation: radians above the horizon.
        """
        rise = math.tan(elevation)
        reach = min(float(self.height.max()) / rise / GSD, self.size - 1)
        shadow = np.zeros((self.size, self.size), dtype=np.bool_)
        distance = 4.0
        while distance <= reach:
            dx, dy = round(math.cos(azimuth) * distance), round(math.sin(azimuth) * distance)
            here = _overlap(self.size, dx), _overlap(self.size, dy)
            there = _overlap(self.size, -dx), _overlap(self.size, -dy)
            ray = np.float32(0.25 + distance * GSD * rise)
            shadow[here[1], here[0]] |= self.height[there[1], there[0]] > self.height[here[1], here[0]] + ray
            distance += 2.0 if distance < 24 else 4.0
        return np.asarray(cv2.GaussianBlur(shadow.astype(np.float32), (0, 0), 1.6), dtype=np.float32)

    def render(self, rng: np.random.Generator, azimuth: float, elevation: float) -> NDArray[np.uint8]:
        """The picture, uint8 SxSx4: slopes facing the sun are bright, shadows bluish, and a lens and a sensor in between."""
        facing = -self.slope[..., 0] * math.cos(azimuth) - self.slope[..., 1] * math.sin(azimuth)
        steep = np.sqrt(1.0 + (self.slope**2).sum(axis=-1))
        lambert = np.clip((math.sin(elevation) + facing * math.cos(elevation)) / (steep * math.sin(elevation)), 0.0, 1.45)
        direct = (lambert * (1.0 - self.shadows(azimuth, elevation))).astype(np.float32)
        picture = np.empty((self.size, self.size, 4), dtype=np.uint8)
        for band in range(4):
            light = self.reflectance[..., band] * (_SKY[band] + _SUN[band] * direct)
            light = cv2.GaussianBlur(light, (0, 0), 0.7)
            light += np.float32(2.4) * rng.standard_normal(light.shape, dtype=np.float32)
            picture[..., band] = np.clip(np.rint(light), 0, 255)
        return picture


def _overlap(size: int, shift: int) -> slice:
    """The indices i of 0..size - 1 for which i + shift is one of them too."""
    return slice(max(0, -shift), min(size, size - shift))


def noise(rng: np.random.Generator, shape: tuple[int, ...], metres: float, octaves: int = 3) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and about -1..1; its largest features are `metres` wide, each octave half as wide and half as strong."""
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        cell = max(1.0, metres / GSD / 2**octave)
        grid = rng.uniform(-1.0, 1.0, (math.ceil(shape[0] / cell) + 2, math.ceil(shape[1] / cell) + 2)).astype(np.float32)
        wide = cv2.resize(grid, (round(grid.shape[1] * cell), round(grid.shape[0] * cell)), interpolation=cv2.INTER_CUBIC)
        total += wide[: shape[0], : shape[1]] * np.float32(0.5**octave)
    return total


def spectrum(red: float, green: float, blue: float, infrared: float) -> NDArray[np.float32]:
    """A colour as the array of four that `Canvas.paint` takes."""
    return np.array((red, green, blue, infrared), dtype=np.float32)
