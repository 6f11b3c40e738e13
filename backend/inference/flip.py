"""Flip averaging: the network sees the crop and its mirror image, and the two answers are averaged as logits. MODELS.md, gotcha 2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.inference.crop import IndexClick


def with_mirror(x: Tensor) -> Tensor:
    """[1, C, H, W] and its left-right mirror image as [2, C, H, W]."""
    return torch.cat([x, x.flip(3)])


def mirrored_clicks(clicks: Sequence[IndexClick], width: int) -> list[IndexClick]:
    """Clicks of the mirror image: col becomes width - col - 1, which is slightly negative in the last, fractional pixel."""
    return [(row, width - col - 1, positive) for row, col, positive in clicks]


def average(logits: Tensor) -> Tensor:
    """[2, 1, H, W] of an image and its mirror image to the mean logits [1, 1, H, W] in the image's own frame."""
    return 0.5 * (logits[:1] + logits[1:].flip(3))
