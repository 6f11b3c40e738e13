"""Which class carries out the method that a recipe asks for."""

from __future__ import annotations

from typing import Any

from backend.segmenters.catalogue_entry import Entry
from backend.training.episode_training import EpisodeTraining
from backend.training.method import Method
from backend.training.recipes import Recipe


def method_of(recipe: Recipe, entry: Entry) -> Method[Any]:
    """The method of a recipe, for networks of the entry's family."""
    return EpisodeTraining(recipe.method)
