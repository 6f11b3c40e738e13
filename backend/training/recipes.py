"""Training recipes: a way of training with its settings, and how the weights are moved; stored in checkpoints and on the card."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.errors import UsageError
from backend.training.copy_paste import Suem
from backend.training.episode import EpisodeSettings
from backend.training.focal_training import FocalSettings
from backend.training.icl import IclSettings
from backend.training.iterative import IterativeSettings
from backend.training.optimisation import Optimisation
from backend.training.published_recipes import PUBLISHED
from backend.training.sam_training import SamSettings

MethodSettings = EpisodeSettings | IterativeSettings | IclSettings | FocalSettings | SamSettings
"""Settings of a way of training; `methods.method_of` knows which class they are for."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. min_area: smallest object that is learned from, native px."""

    name: str
    method: MethodSettings
    optimisation: Optimisation
    min_area: int


_AERIAL = Optimisation(
    lr=2.5e-4,
    pretrained_lr=5e-5,
    layer_decay=0.85,
    weight_decay=0.03,
    batch=16,
    steps=4000,
    warmup=100,
    decay_share=0.7,
    clip=1.0,
    ema=0.998,
)

# The default model is shown 336 px; most of what there is to learn is learned at 224, in a third of the time.
_SMALL = ((224, 1.0),)

_FINE_TUNE = replace(_AERIAL, lr=3e-5, pretrained_lr=3e-5, steps=300, warmup=20, ema=0.98)

# A view of SAM's is some ten prompts, so a batch is of few views. docs/training_sam.md
_SAM = replace(_AERIAL, lr=3e-4, pretrained_lr=2e-4, layer_decay=1.0, weight_decay=0.01, batch=4, warmup=20, decay_share=0.8, ema=0.985)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("aerial", EpisodeSettings(sides=_SMALL), _AERIAL, min_area=36),
        Recipe("scratch", EpisodeSettings(), replace(_AERIAL, lr=5e-4, pretrained_lr=None, layer_decay=1.0), min_area=36),
        # Goes on from `aerial` with more detail: from 224 px to 280 saves clicks by itself, and learning at such sides saves more.
        Recipe("aerial_detail", EpisodeSettings(sides=((224, 0.25), (280, 0.3), (336, 0.45))), _AERIAL, min_area=36),
        # Goes on from `aerial_detail` with longer annotations, whose later clicks correct masks that are nearly right.
        Recipe(
            "aerial_long",
            EpisodeSettings(
                sides=((224, 0.15), (280, 0.3), (336, 0.55)), chain=(0.14, 0.14, 0.13, 0.11, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.03)
            ),
            replace(_AERIAL, lr=2e-4, pretrained_lr=4e-5, warmup=50),
            min_area=36,
        ),
        # Some hundred objects of one's own: every parameter is pretrained, and short of data.
        Recipe("fine_tune", EpisodeSettings(), _FINE_TUNE, min_area=36),
        # What ICL has and the aerial recipe has not, each by itself: to be compared with it.
        Recipe("aerial_icl", EpisodeSettings(sides=_SMALL, click_weights=(1.0, 2.0, 3.0)), _AERIAL, min_area=36),
        Recipe("aerial_suem", EpisodeSettings(sides=_SMALL, suem=Suem()), _AERIAL, min_area=36),
        Recipe("sam", SamSettings(), _SAM, min_area=36),
        Recipe("sam_last", SamSettings(trained="last", kept=1500), _SAM, min_area=36),
        Recipe("sam_decoder", SamSettings(trained="decoder"), _SAM, min_area=36),
        *(Recipe(name, one.method, one.optimisation, one.min_area) for name, one in PUBLISHED.items()),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; UsageError names the known ones."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}; expected one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
