"""A view of an image: resized, mirrored, turned, padded and cropped in one resampling, and only the pixels it shows are read.

A chain of the geometric steps of an augmentation is one affine map, so a crop out of a tile of any size costs what the crop costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""3x3, of homogeneous (x, y, 1) with edges as integers: (0, 0) is the outer corner of the upper left pixel."""
MOST_CHANNELS = 4  # of one call of OpenCV's


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """size: (height, width) of what is seen. to_image: `Matrix` from the view to the image."""

    size: tuple[int, int]
    to_image: Matrix

    def window(self, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(row0, col0, row1, col1), half open: the part of an image of (height, width) that the view needs, two pixels round it too.

        Empty, all of it (0, 0, 0, 0), where the view lies outside the image.
        """
        (height, width), (rows, cols) = self.size, image_size
        corners = self.to_image @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
        low, high = np.floor(corners[:2].min(axis=1)).astype(int) - 2, np.ceil(corners[:2].max(axis=1)).astype(int) + 2
        row0, row1, col0, col1 = max(low[1], 0), min(high[1], rows), max(low[0], 0), min(high[0], cols)
        return (int(row0), int(col0), int(row1), int(col1)) if row0 < row1 and col0 < col1 else (0, 0, 0, 0)

    def image(self, part: NDArray[np.uint8], corner: tuple[int, int]) -> NDArray[np.uint8]:
        """What the view shows, uint8 HxWxbands, bilinear; zero where there is no image. part: its `window` of the image. corner: of the
        window, (row, col)."""
        channels = [part[..., first : first + MOST_CHANNELS] for first in range(0, part.shape[2], MOST_CHANNELS)]
        warped = [self._warped(one, corner, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE) for one in channels]
        seen = np.concatenate([one if one.ndim == 3 else one[..., None] for one in warped], axis=2)
        seen[self.labels(np.ones(part.shape[:2], np.uint8), corner) == 0] = 0
        return seen

    def labels(self, part: NDArray[np.uint8], corner: tuple[int, int]) -> NDArray[np.uint8]:
        """As `image`, for uint8 HxW without values between those there are: the nearest pixel's."""
        return self._warped(part, corner, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)

    def _warped(self, part: NDArray[np.uint8], corner: tuple[int, int], interpolation: int, border: int) -> NDArray[Any]:
        # OpenCV counts pixel centres.
        to_part = moved(-corner[1] - 0.5, -corner[0] - 0.5) @ self.to_image @ moved(0.5, 0.5)
        height, width = self.size
        flags = interpolation | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(np.ascontiguousarray(part), to_part[:2], (width, height), flags=flags, borderMode=border)

    def seen_from(self, row0: float, col0: float, row1: float, col1: float, size: tuple[int, int]) -> View:
        """A part of this view, given by its edges in px of the view, at a size of its own."""
        (height, width), into = size, moved(col0, row0)
        return View(size, self.to_image @ into @ scaled((col1 - col0) / width, (row1 - row0) / height))


def moved(x: float, y: float) -> Matrix:
    """Adds (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def scaled(x: float, y: float) -> Matrix:
    """Multiplies by (x, y), which mirror where negative."""
    return np.diag([x, y, 1.0])


def turned(degrees: float) -> Matrix:
    """About (0, 0), exact for quarter turns."""
    radians = np.deg2rad(degrees)
    cosine, sine = (float(np.round(one, 15)) for one in (np.cos(radians), np.sin(radians)))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)
