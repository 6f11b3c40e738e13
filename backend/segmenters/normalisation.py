"""The image normalisation that every network of the RITM family does inside. MODELS.md 1.2."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def for_bands(three: Sequence[float], bands: int) -> tuple[float, ...]:
    """What is known of three bands (their means, or standard deviations) for an image of so many, in the order of its recipe.

    Three bands have ImageNet's, whatever their meaning. ImageNet knows no fourth: it gets those of the first, so in RGBIR infrared has
    those of red, its neighbour in the spectrum. What counts is that they never change, since weights are learned with them. A single
    band gets the mean of the three.
    """
    if bands == 1:
        return (sum(three) / 3,)
    return (*three[:bands], *([three[0]] * max(0, bands - 3)))


def normalised(image: Tensor) -> Tensor:
    """[B, bands, H, W] in 0..1 to (x - mean) / std, band by band. Not part of the state dict."""
    mean = image.new_tensor(for_bands(MEAN, image.shape[1])).view(1, -1, 1, 1)
    std = image.new_tensor(for_bands(STD, image.shape[1])).view(1, -1, 1, 1)
    return (image - mean) / std
