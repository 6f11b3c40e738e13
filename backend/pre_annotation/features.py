"""What an object looks like, as numbers: the model's features of its pixels and of those around it, and its colour, size and shape.

Features of the model come from networks that describe an image nobody has clicked on (`describe`, as VitClick's). Others have none:
a classifier for them knows colour, size and shape alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from backend.inference.encoding import Encoding
from backend.pre_annotation.mask_place import MaskPlace

TILE = 300
"""Native px of a chip's side that the network is shown at once, at most; a tile is enlarged to `SHOWN`."""
SHOWN = 336
APPEARANCE = 22
"""Numbers of `appearance`."""


@runtime_checkable
class Describes(Protocol):
    """A network that has features of an image without clicks."""

    def describe(self, image: Tensor) -> Tensor:
        """[B, C, H, W] in 0..1 to [B, E, h, w]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A chip ready to be measured.

    pixels: HxWxC uint8. grid: float32 [E, h, w], the model's features of h x w equal cells of the chip; None where the model has none.
    """

    pixels: NDArray[np.uint8]
    grid: NDArray[np.float32] | None

    @property
    def kind(self) -> str:
        """Which classifiers can read it: "body" or "appearance"."""
        return "appearance" if self.grid is None else "body"

    def of(self, place: MaskPlace) -> NDArray[np.float32]:
        """The features of one object, float32 [F]."""
        look = appearance(self.pixels, place)
        if self.grid is None:
            return look
        inside, around = _weights(place, self.grid.shape[1:])
        cells = self.grid.reshape(len(self.grid), -1)
        half = len(cells) // 2  # the ring: only the deeper half, it says what surrounds the object
        return np.concatenate([cells @ inside, cells[half:] @ around, look]).astype(np.float32)

    def of_cells(self) -> NDArray[np.float32] | None:
        """Features of every cell as if it were an object of unknown look, [h*w, F]; None where the model has no features."""
        if self.grid is None:
            return None
        half = len(self.grid) // 2
        around = np.stack([cv2.blur(channel, (5, 5)) for channel in self.grid[half:]])
        cells = np.concatenate([self.grid, around]).reshape(len(self.grid) + len(around), -1).T
        return np.concatenate([cells, np.full((len(cells), APPEARANCE), np.nan, np.float32)], axis=1)


def describe_tiles(net: Describes, encoding: Encoding, tile: tuple[int, int], tiles: tuple[int, int]) -> NDArray[np.float32]:
    """The features [E, h, w] of one of (rows, columns of) `tiles` of a chip."""
    height, width = encoding.size
    rows = _edges(height, tiles[0])[tile[0] : tile[0] + 2]
    cols = _edges(width, tiles[1])[tile[1] : tile[1] + 2]
    with torch.inference_mode():
        shown = encoding.pixels[:, :, rows[0] : rows[1], cols[0] : cols[1]].float().div(255)
        shown = F.interpolate(shown, (SHOWN, SHOWN), mode="bilinear", align_corners=False, antialias=True)
        return net.describe(shown)[0].float().cpu().numpy()


def tiling(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tiles for a chip of (height, width)."""
    return math.ceil(size[0] / TILE), math.ceil(size[1] / TILE)


def _edges(side: int, count: int) -> list[int]:
    return [round(number * side / count) for number in range(count + 1)]


def _weights(place: MaskPlace, grid: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shares of the cells in an object and in the ring round it, each summing to 1 (to 0 for a ring that is outside the chip)."""
    size = (grid[1], grid[0])
    mask = place.mask.astype(np.uint8)
    width = max(4, round(0.15 * math.sqrt(place.area)))
    ring = cv2.dilate(mask, np.ones((2 * width + 1, 2 * width + 1), np.uint8)) - mask
    inside, around = (cv2.resize(one.astype(np.float32), size, interpolation=cv2.INTER_AREA).ravel() for one in (mask, ring))
    return (inside / inside.sum()).astype(np.float32), (around / max(float(around.sum()), 1e-6)).astype(np.float32)


def appearance(pixels: NDArray[np.uint8], place: MaskPlace) -> NDArray[np.float32]:
    """Colour (of the first three bands), size and shape of an object: float32 [APPEARANCE]."""
    row0, col0, row1, col1 = place.box
    inside = place.inside
    window = pixels[row0:row1, col0:col1, :3].astype(np.float32) / 255
    if window.shape[2] < 3:
        window = np.repeat(window[:, :, :1], 3, axis=2)
    colours = window[inside]
    grey = window.mean(axis=2)
    rough = np.abs(cv2.Laplacian(grey, cv2.CV_32F))[inside]
    mean, spread = colours.mean(axis=0), colours.std(axis=0)
    total = float(mean.sum()) + 1e-3
    outside = ~inside
    contrast = mean - (window[outside].mean(axis=0) if outside.any() else mean)
    return np.concatenate([mean, spread, mean / total, contrast, [rough.mean(), np.abs(contrast).sum()], shape(place)]).astype(np.float32)


def shape(place: MaskPlace) -> NDArray[np.float32]:
    """Size and form: float32 [8]."""
    area = place.area
    row0, col0, row1, col1 = place.box
    height, width = row1 - row0, col1 - col0
    contours, _ = cv2.findContours(place.inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)
    perimeter = sum(cv2.arcLength(each, True) for each in contours) + 4.0
    hull = max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
    long, short = sorted(cv2.minAreaRect(outline)[1], reverse=True)
    touches = float(row0 == 0) + (col0 == 0) + (row1 == place.chip.height) + (col1 == place.chip.width)
    return np.array(
        [
            math.log(area),
            math.log(area / (place.chip.width * place.chip.height)),
            area / (height * width),
            4 * math.pi * area / perimeter**2,
            min(area / hull, 1.5),
            (short + 1) / (long + 1),
            min(area / ((long + 1) * (short + 1)), 1.5),
            touches,
        ],
        np.float32,
    )
