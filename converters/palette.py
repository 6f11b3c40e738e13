"""A colour for every class name, always the same one."""

from __future__ import annotations

import hashlib

# The classes of the ISPRS benchmark, in its own colours and order.
ISPRS_CLASSES = {
    "impervious surfaces": "#ffffff",
    "building": "#0000ff",
    "low vegetation": "#00ffff",
    "tree": "#00ff00",
    "car": "#ffff00",
    "clutter": "#ff0000",
}
_SPELLINGS = {
    "impervious": "impervious surfaces",
    "impervious surface": "impervious surfaces",
    "buildings": "building",
    "roof": "building",
    "low veg": "low vegetation",
    "trees": "tree",
    "cars": "car",
    "vehicle": "car",
    "background": "clutter",
    "clutter/background": "clutter",
}
# Twelve hues that stay apart on imagery, none of them one of the above.
_OTHERS = (
    "#e6194b", "#f58231", "#bfef45", "#3cb44b", "#469990", "#4363d8", "#911eb4", "#f032e6", "#fabed4", "#9a6324", "#dcbeff", "#808000",
)  # fmt: skip


def isprs_colour(name: str) -> str | None:
    """ "#rrggbb" of a class of the ISPRS benchmark, also under its usual other spellings; None for any other class."""
    plain = _plain(name)
    return ISPRS_CLASSES.get(_SPELLINGS.get(plain, plain))


def colour(name: str) -> str:
    """ "#rrggbb" of a class name; case, underscores and surrounding blanks do not matter. Unknown names share twelve colours by hash."""
    known = isprs_colour(name)
    if known:
        return known
    # Python's own hash differs from run to run.
    return _OTHERS[hashlib.sha256(_plain(name).encode()).digest()[0] % len(_OTHERS)]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
