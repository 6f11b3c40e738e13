"""The image normalisation that every network of the RITM family does inside. MODELS.md 1.2."""

from __future__ import annotations

from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalised(image: Tensor) -> Tensor:
    """[B, 3, H, W] in 0..1 to (x - mean) / std, channel by channel. Not part of the state dict."""
    mean = image.new_tensor(MEAN).view(1, 3, 1, 1)
    std = image.new_tensor(STD).view(1, 3, 1, 1)
    return (image - mean) / std
