"""A region of interest, and how images, clicks and maps go into it and come back.

All coordinates are pixel indices (row, col): a pixel's centre is an integer, bounds are inclusive.
Imported without torch: the settings of ZoomIn stand on this, and the server reads them before any network is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

IndexClick = tuple[float, float, bool]
"""(row, col, positive) in pixel indices, fractions kept."""


@dataclass(frozen=True, slots=True)
class Roi:
    """A rectangle of whole pixels, both ends included."""

    row_min: int
    row_max: int
    col_min: int
    col_max: int

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Roi:
        """All of an image of (height, width)."""
        return cls(0, size[0] - 1, 0, size[1] - 1)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.row_max - self.row_min + 1, self.col_max - self.col_min + 1

    def cut(self, x: Tensor) -> Tensor:
        """The part of [..., H, W] inside; a view."""
        return x[..., self.row_min : self.row_max + 1, self.col_min : self.col_max + 1]

    def contains(self, row: float, col: float) -> bool:
        """Whether a click counts as inside. The last row and column do not: MODELS.md 6.2 replaces the RoI for a click on them."""
        return self.row_min <= row < self.row_max and self.col_min <= col < self.col_max

    def iou(self, other: Roi) -> float:
        """Product of the overlaps of the two row ranges and of the two column ranges. Not the IoU of the boxes (MODELS.md, gotcha 17)."""
        rows = _range_iou(self.row_min, self.row_max, other.row_min, other.row_max)
        return rows * _range_iou(self.col_min, self.col_max, other.col_min, other.col_max)


def _range_iou(a_min: int, a_max: int, b_min: int, b_max: int) -> float:
    shared = max(0, min(a_max, b_max) - max(a_min, b_min) + 1)
    return shared / (max(a_max, b_max) - min(a_min, b_min) + 1)


@dataclass(frozen=True, slots=True)
class Crop:
    """A RoI of an image together with the (height, width) the network sees it at."""

    roi: Roi
    size: tuple[int, int]

    def resize(self, x: Tensor) -> Tensor:
        """[B, C, *roi.size] to [B, C, *size], bilinear, align_corners=True."""
        return resize(x, self.size)

    def clicks(self, clicks: Sequence[IndexClick]) -> list[IndexClick]:
        """Clicks of the image as clicks of the crop. Scaled by size / roi.size from the RoI's corner, which is not the align_corners
        mapping of the pixels (MODELS.md, gotcha 3); a click outside the RoI gets coordinates outside the crop."""
        (height, width), (rows, cols) = self.size, self.roi.size
        return [
            (height * (row - self.roi.row_min) / rows, width * (col - self.roi.col_min) / cols, positive) for row, col, positive in clicks
        ]

    def paste(self, probability: Tensor, image_size: tuple[int, int]) -> Tensor:
        """[B, C, h, w] of the crop as [B, C, *image_size], zero outside the RoI."""
        inside = resize(probability, self.roi.size)
        if self.roi.size == image_size:
            return inside
        pasted = inside.new_zeros(*inside.shape[:2], *image_size)
        self.roi.cut(pasted).copy_(inside)
        return pasted


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with align_corners=True, as everywhere in the click pipelines (MODELS.md, gotcha 1); the same size is the identity."""
    from torch.nn import functional as F  # noqa: N812, PLC0415 - see the module

    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def longest_side_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) scaled so that the longer side is `longest`, aspect kept, rounded half to even (MODELS.md 6.2)."""
    scale = longest / max(size)
    return round(size[0] * scale), round(size[1] * scale)


def limit_longest_side(size: tuple[int, int], limit: int | None) -> Crop | None:
    """LimitLongestSide: the whole of `size` shrunk so that its longer side is `limit`; None where it already fits. MODELS.md 6.2."""
    if limit is None or max(size) <= limit:
        return None
    return Crop(Roi.whole(size), longest_side_size(size, limit))
