"""Training recipes: every hyper-parameter of a run in one value, stored in its checkpoints and on the card."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import UsageError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. Learning rates warm up linearly, stay, and fall linearly over the last `decay_share` of the steps.

    input_size: side of the square network input, pixels.
    body_lr, new_lr: AdamW learning rates of pretrained and of new parameters; layer_decay: factor per block towards the input.
    chain: probability of an episode of 1, 2, ... clicks.
    expansion, min_crop: the region of interest around the previous mask, as ZoomIn's expansion ratio and smallest side in native px.
    """

    name: str
    input_size: int = 224
    batch: int = 16
    steps: int = 4000
    warmup: int = 100
    decay_share: float = 0.3
    body_lr: float = 6e-5
    new_lr: float = 4e-4
    layer_decay: float = 0.85
    weight_decay: float = 0.02
    clip: float = 1.0
    ema: float = 0.998
    chain: tuple[float, ...] = (0.22, 0.2, 0.17, 0.13, 0.11, 0.08, 0.05, 0.04)
    expansion: float = 1.4
    min_crop: int = 64
    min_area: int = 80


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("aerial"),
        Recipe("scratch", body_lr=5e-4, new_lr=5e-4, layer_decay=1.0),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; UsageError names the known ones."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}; expected one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
