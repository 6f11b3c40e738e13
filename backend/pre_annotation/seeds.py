"""Where a chip is clicked on when nobody does: the middle of what looks like one thing first, then a grid over what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.frames import Size

Seed = tuple[int, int]
"""(row, col) of a pixel of the chip."""


def grid(chip: Size, spacing: int) -> list[Seed]:
    """A grid of pixels about `spacing` px apart, coarse to fine: every second one of every second row comes first."""
    rows, cols = (_centres(side, spacing) for side in (chip.height, chip.width))
    coarse = [(row, col) for row in rows[::2] for col in cols[::2]]
    known = set(coarse)
    return coarse + [(row, col) for row in rows for col in cols if (row, col) not in known]


def _centres(side: int, spacing: int) -> list[int]:
    count = max(1, round(side / spacing))
    return [min(side - 1, int((number + 0.5) * side / count)) for number in range(count)]


def middles_of_classes(classes: NDArray[np.int_], chip: Size, *, least_cells: int = 2) -> list[Seed]:
    """The middle of every patch of cells of one class, largest patch first. classes: [h, w] of equal cells of the chip; -1 is none."""
    found: list[tuple[int, Seed]] = []
    h, w = classes.shape
    for number in np.unique(classes[classes >= 0]).tolist():
        count, parts, statistics, _ = cv2.connectedComponentsWithStats((classes == number).astype(np.uint8), connectivity=4)
        for part in range(1, count):
            cells = int(statistics[part, cv2.CC_STAT_AREA])
            if cells < least_cells:
                continue
            row, col = _middle(parts == part)
            found.append((cells, (int((row + 0.5) * chip.height / h), int((col + 0.5) * chip.width / w))))
    return [seed for _, seed in sorted(found, key=lambda one: (-one[0], one[1]))]


def quiet_middles(pixels: NDArray[np.uint8], spacing: int, most: int) -> list[Seed]:
    """Middles of the areas without edges in them, largest first: what looks like one thing where no model says so.

    pixels: HxWxC uint8. spacing: px that two of them are apart at least.
    """
    grey = cv2.GaussianBlur(pixels.mean(axis=2).astype(np.float32), (0, 0), 2.0)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    quiet = edges <= np.percentile(edges, 80)
    distance = cv2.distanceTransform(np.pad(quiet, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    found: list[Seed] = []
    while len(found) < most and distance.max() >= 2:
        row, col = (int(place) for place in np.unravel_index(int(distance.argmax()), distance.shape))
        found.append((row, col))
        cv2.circle(distance, (col, row), spacing, 0.0, -1)
    return found


def uncovered(seeds: Sequence[Seed], covered: NDArray[np.bool_]) -> Iterator[Seed]:
    """The seeds that lie on nothing found yet, looked up when each is asked for: `covered` (HxW) may grow meanwhile."""
    for seed in seeds:
        if not covered[seed]:
            yield seed


def gaps(covered: NDArray[np.bool_], least: int) -> Iterator[Seed]:
    """The middle of the largest area that nothing covers, again and again, until none holds a circle of radius `least` px.

    covered: HxW, looked up when each is asked for; it may grow meanwhile. What was asked for is not asked for again.
    """
    tried = np.zeros(covered.shape, np.uint8)
    while True:
        free = np.pad(~covered & (tried == 0), 1).astype(np.uint8)
        distance = cv2.distanceTransform(free, cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, col = (int(place) for place in np.unravel_index(int(distance.argmax()), distance.shape))
        if distance[row, col] < least:
            return
        yield row, col
        cv2.circle(tried, (col, row), max(int(distance[row, col]) // 2, least), 1, -1)


def _middle(part: NDArray[np.bool_]) -> Seed:
    distance = cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, col = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(row), int(col)
