"""Which class carries out the method that a recipe asks for, and whether a network can be trained by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backend.errors import UsageError
from backend.segmenters.catalogue_entry import Entry
from backend.training.episode import EpisodeSettings
from backend.training.episode_training import EpisodeTraining
from backend.training.focal_training import FocalSettings, FocalTraining
from backend.training.icl import IclSettings, IclTraining
from backend.training.iterative import IterativeSettings, IterativeTraining
from backend.training.method import Method
from backend.training.recipes import Recipe
from backend.training.sam_training import SamSettings, SamTraining

CLICKS = ("ritm", "simpleclick", "vitclick", "focalclick")
"""Families whose networks answer `net(x, points)` with logits."""
WHOLE = ("ritm", "simpleclick", "vitclick")
"""Those of them that are one network, trained by these logits alone."""


def method_of(recipe: Recipe, entry: Entry) -> Method[Any]:
    """The method of a recipe, for the network of an entry. Raises UsageError for a network that it cannot train.

    Where a network reads one size only (`Entry.input_size`), samples are of that size instead of the recipe's.
    """
    settings = recipe.method
    if isinstance(settings, IterativeSettings | IclSettings):
        _expect(recipe, entry, WHOLE)
        if isinstance(settings, IterativeSettings) and settings.auxiliary_weight and entry.family != "ritm":
            raise _without_auxiliary(recipe, entry)
        scene = settings.scene if entry.input_size is None else replace(settings.scene, crop=entry.input_size)
        if isinstance(settings, IclSettings):
            return IclTraining(replace(settings, scene=scene))
        return IterativeTraining(replace(settings, scene=scene))
    if isinstance(settings, FocalSettings):
        _expect(recipe, entry, ("focalclick",))
        if settings.auxiliary_weight and not entry.architecture.startswith("hrnet"):
            raise _without_auxiliary(recipe, entry)
        size = settings.crop.size if entry.input_size is None else entry.input_size[0]
        return FocalTraining(replace(settings, crop=replace(settings.crop, size=size)))
    if isinstance(settings, SamSettings):
        _expect(recipe, entry, ("sam",))
        side = settings.views.side if entry.input_size is None else entry.input_size[0]
        return SamTraining(replace(settings, views=replace(settings.views, side=side)))
    assert isinstance(settings, EpisodeSettings)  # no other is left
    _expect(recipe, entry, CLICKS)
    if entry.input_size is None:
        return EpisodeTraining(settings)
    # A transformer whose position embeddings are resized reads any side; the others read their own.
    sides = settings.sides if entry.family == "vitclick" else ()
    return EpisodeTraining(replace(settings, input_size=entry.input_size[0], sides=sides))


def _expect(recipe: Recipe, entry: Entry, families: tuple[str, ...]) -> None:
    if entry.family not in families:
        raise UsageError(
            f"the recipe {recipe.name} trains networks of {', '.join(families)}, and {entry.name} is of the family {entry.family}; "
            f"choose a recipe for that family with --recipe, or another --model"
        )


def _without_auxiliary(recipe: Recipe, entry: Entry) -> UsageError:
    return UsageError(
        f"the recipe {recipe.name} learns from auxiliary logits too, which {entry.name} ({entry.family} {entry.architecture}) has not; "
        f"choose a recipe of its own family with --recipe"
    )
