"""Flip averaging: the network sees the crop and its mirror image, and the two answers are averaged as logits. MODELS.md, gotcha 2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.inference.crop import IndexClick


def with_mirror(x: Tensor) -> Tensor:
    """[B, C, H, W] and then their left-right mirror images, as [2B, C, H, W]."""
    return torch.cat([x, x.flip(3)])


def mirrored_clicks(clicks: Sequence[IndexClick], width: int) -> list[IndexClick]:
    """Clicks of the mirror image: col becomes width - col - 1, which is slightly negative in the last, fractional pixel."""
    return [(row, width - col - 1, positive) for row, col, positive in clicks]


def average(logits: Tensor) -> Tensor:
    """[2B, 1, H, W] of images and then their mirror images to the mean logits [B, 1, H, W] in the images' own frame."""
    count = len(logits) // 2
    return 0.5 * (logits[:count] + logits[count:].flip(3))
