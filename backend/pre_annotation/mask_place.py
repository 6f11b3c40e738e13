"""A mask kept as its bounding box: a chip has many, and most are small."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.frames import Size


@dataclass(frozen=True, slots=True, eq=False)
class MaskPlace:
    """A mask that is not empty, in native px of a chip.

    box: (row0, col0, row1, col1), half open. inside: bool of the box's shape, true where the object is. chip: size of the chip.
    """

    box: tuple[int, int, int, int]
    inside: NDArray[np.bool_] = field(repr=False)
    chip: Size

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> MaskPlace | None:
        """mask: HxW of a chip; None when no pixel is in it."""
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return None
        row0, col0, row1, col1 = int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
        return cls((row0, col0, row1, col1), mask[row0:row1, col0:col1].copy(), Size(mask.shape[1], mask.shape[0]))

    @property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.inside))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """HxW of the chip."""
        mask = np.zeros((self.chip.height, self.chip.width), np.bool_)
        row0, col0, row1, col1 = self.box
        mask[row0:row1, col0:col1] = self.inside
        return mask

    def common(self, other: MaskPlace) -> int:
        """Pixels of both."""
        row0, col0 = max(self.box[0], other.box[0]), max(self.box[1], other.box[1])
        row1, col1 = min(self.box[2], other.box[2]), min(self.box[3], other.box[3])
        if row0 >= row1 or col0 >= col1:
            return 0
        here = self.inside[row0 - self.box[0] : row1 - self.box[0], col0 - self.box[1] : col1 - self.box[1]]
        there = other.inside[row0 - other.box[0] : row1 - other.box[0], col0 - other.box[1] : col1 - other.box[1]]
        return int(np.count_nonzero(here & there))

    def iou(self, other: MaskPlace) -> float:
        """Intersection over union, 0..1."""
        common = self.common(other)
        return common / (self.area + other.area - common)

    def without(self, taken: NDArray[np.bool_]) -> MaskPlace | None:
        """What is left of it outside `taken`, HxW of the chip; None when nothing is."""
        mask = self.mask
        mask &= ~taken
        return MaskPlace.of(mask)

    def centre(self) -> tuple[int, int]:
        """(row, col) of the pixel that is farthest from the mask's edge; the chip's edge counts as one. The first of several."""
        distance = cv2.distanceTransform(np.pad(self.inside, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, col = np.unravel_index(int(distance.argmax()), distance.shape)
        return self.box[0] + int(row), self.box[1] + int(col)
