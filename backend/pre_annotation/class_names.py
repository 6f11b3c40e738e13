"""What the shipped classes mean in a project's own words, so that a project without annotations gets proposals too."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SYNONYMS = {
    "building": "building buildings house houses roof roofs rooftop rooftops footprint home residential gebäude haus dach",
    "road": "road roads street streets highway pavement asphalt path track strasse",
    "ground": "ground land bare soil barren sand dirt earth bare_soil bare_ground",
    "vegetation": "vegetation green plants greenery",
    "low vegetation": "low_vegetation lowveg grass lawn meadow field crop crops shrub shrubs grassland low_veg farmland pasture",
    "tree": "tree trees forest crown crowns tree_crown tree_crowns canopy woods woodland high_vegetation baum",
    "water": "water river lake sea pond pool swimming_pool stream",
    "car": "car cars vehicle vehicles truck trucks van bus auto automobile",
    "airplane": "airplane aeroplane plane aircraft jet airplanes planes",
    "ship": "ship ships boat boats vessel",
    "storage tank": "storage_tank storage_tanks tank tanks silo oil_tank",
    "sports court": "sports_court tennis_court basketball_court court courts",
    "baseball diamond": "baseball_diamond baseball_field",
    "running track": "ground_track_field running_track athletics_track",
    "harbor": "harbor harbour port pier dock",
    "bridge": "bridge bridges overpass",
    "impervious": "impervious impervious_surface impervious_surfaces sealed sealed_surface paved parking parking_lot imp_surf",
}
_MEANING = {word: meaning for meaning, words in _SYNONYMS.items() for word in words.split()}
_PARTS = {
    "impervious": ("road", "ground"),
    "vegetation": ("tree", "low vegetation"),
}
"""A meaning that others are parts of: who has only the whole gets all of them, who has only parts shares out the whole."""


THINGS = frozenset(("airplane", "ship", "storage tank", "sports court", "baseball diamond", "running track", "harbor", "bridge"))
LAND_COVER = 4
"""A project with so many known classes is taken to name everything there is."""


def meaning(name: str) -> str | None:
    """The meaning of a class by its name alone, in any spelling of blanks and capitals; None for one that is not known here."""
    return _MEANING.get(re.sub(r"[\s_-]+", "_", name.strip().lower()))


def in_words_of(shipped: Sequence[str], probabilities: NDArray[np.float32], wanted: Sequence[str]) -> NDArray[np.float32] | None:
    """NxK probabilities of the `wanted` classes from NxC of the shipped ones; what is left of 1 is none of them.

    First, what nobody looks for here is ruled out: things such as ships and sports courts that the project has no class for, and, in a
    project with `LAND_COVER` known classes or more, every class that it has not. Background stays.

    A wanted class with the very name of a shipped one, or of its meaning, gets its probability; several classes of one meaning share it
    equally. A whole that the project has only parts of (vegetation: tree, low vegetation) is shared out as the parts are probable; parts
    that it has only the whole of are added to it. None when no wanted class has a meaning.
    """
    meanings = [name if name in shipped else meaning(name) for name in wanted]
    if not any(meanings):
        return None
    place = {name: number for number, name in enumerate(shipped)}
    among = _among(probabilities, [_may_be(name, meanings) for name in shipped])
    mass = {name: among[:, number] for name, number in place.items()}
    for whole, parts in _PARTS.items():
        given = [part for part in parts if part in meanings]
        if whole in meanings:
            _pour(mass, [part for part in parts if part not in meanings], [whole])
        elif given:
            _pour(mass, [whole], given)
    zero = np.zeros(len(probabilities))
    columns = [zero if one is None else mass.get(one, zero) / meanings.count(one) for one in meanings]
    return np.stack(columns, axis=1).astype(np.float32)


def _may_be(shipped: str, meanings: Sequence[str | None]) -> bool:
    """Whether an object in a project with these meanings may be of a shipped class."""
    related = shipped in meanings or any(
        (shipped == whole and set(parts) & set(meanings)) or (shipped in parts and whole in meanings) for whole, parts in _PARTS.items()
    )
    if related or shipped == "background":
        return True
    return shipped not in THINGS and len({name for name in meanings if name}) < LAND_COVER


def _among(probabilities: NDArray[np.float32], allowed: Sequence[bool]) -> NDArray[np.float64]:
    """The probabilities given that it is one of the allowed classes."""
    kept = probabilities.astype(np.float64) * np.asarray(allowed)
    return kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-9)


def _pour(mass: dict[str, NDArray[np.float64]], sources: Sequence[str], into: Sequence[str]) -> None:
    """Move the probability of `sources` to the classes `into`, in proportion to what they have."""
    poured = [mass.pop(source) for source in sources if source in mass]
    if not poured:
        return
    amount = np.stack(poured).sum(axis=0)
    own = {name: mass[name] if name in mass else np.zeros_like(amount) for name in into}
    total = np.stack(list(own.values())).sum(axis=0)
    for name, before in own.items():
        share = np.where(total > 1e-6, before / np.maximum(total, 1e-6), 1 / len(own))
        mass[name] = before + share * amount
