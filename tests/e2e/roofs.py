"""Ground truth for clicks: the roofs of the procedural scene, and where to click them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from converters.scene import ScenePaths
from converters.scene_canvas import BUILDING


@dataclass(frozen=True)
class Roof:
    """A roof that lies within one chip. mask: its pixels in the chip. col, row: native px of the point farthest from its edge."""

    task: dict[str, Any]
    mask: NDArray[np.bool_]
    col: float
    row: float

    @property
    def native(self) -> tuple[int, int]:
        return self.mask.shape[1], self.mask.shape[0]


def largest_roof(task: dict[str, Any], scene: ScenePaths) -> Roof | None:
    """The largest roof that lies within the task's chip, None when there is none."""
    window = Window(*task["data"]["window"])
    with rasterio.open(scene.objects) as objects, rasterio.open(scene.classes) as classes:
        numbers = np.where(classes.read(1, window=window) == BUILDING, objects.read(1, window=window), 0)
    edge = np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])
    whole = [number for number in np.unique(numbers) if number and number not in edge]
    if not whole:
        return None
    mask = numbers == max(whole, key=lambda number: (numbers == number).sum())
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return Roof(task, mask, float(col) + 0.5, float(row) + 0.5)
