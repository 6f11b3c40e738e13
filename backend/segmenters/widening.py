"""Weights of a network for images of three bands as weights of the same network for more: it answers as before until it is trained on.

In every family the layers that read the image read its bands first and click maps, if any, behind them (FocalClick's refiner and VitClick's
stem read both), so the columns of a new band are put in after the bands that were there, and are zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.errors import ModelError
from backend.segmenters import registry


def widened(tensors: Mapping[str, Tensor], *, family: str, architecture: str, bands: int, had: int = 3) -> dict[str, Tensor]:
    """A state dict for `registry.build(family, architecture, bands)` from one for `had` bands, which must be the first of the new recipe.

    Raises ModelError where `bands` is not more than `had`, or the tensors are not those of that network.
    """
    if bands <= had:
        raise ModelError(f"weights for {had} bands cannot be widened to {bands}; expected more than {had}; use them as they are")
    before, after = _shapes(family, architecture, had), _shapes(family, architecture, bands)
    result = dict(tensors)
    for name, shape in before.items():
        found = tensors.get(name)
        if found is None or tuple(found.shape) != shape:
            raise ModelError(
                f"the weights are not those of {family} {architecture} for {had} bands: {name} is {_shown(found)}, expected {shape}; "
                "name the architecture they were trained with"
            )
        if after[name] != shape:
            new = found.new_zeros(shape[0], bands - had, *shape[2:])
            result[name] = torch.cat([found[:, :had], new, found[:, had:]], dim=1)
    return result


def _shapes(family: str, architecture: str, bands: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):  # shapes without memory
        net = registry.build(family, architecture, bands)
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def _shown(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else str(tuple(tensor.shape))
