"""Which letter each band of a file deserves, from what the file and its name say and, where that is not enough, from its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.isprs import IsprsName

_COLOURS = {"red": "R", "green": "G", "blue": "B", "nir": "IR", "alpha": "A", "pan": "L", "gray": "L"}
_DESCRIPTIONS = {
    "r": "R", "red": "R",
    "g": "G", "green": "G",
    "b": "B", "blue": "B",
    "n": "IR", "ir": "IR", "nir": "IR", "infrared": "IR", "near infrared": "IR", "near-infrared": "IR", "nearinfrared": "IR",
    "a": "A", "alpha": "A", "mask": "A",
    "l": "L", "gray": "L", "grey": "L", "pan": "L", "panchromatic": "L",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BandMeaning:
    """Letters in file order, where they come from, and what a user should know about them.

    source: "file", "ISPRS name", "given" or "assumed".
    warnings: sentences for the import summary.
    """

    letters: tuple[str, ...]
    source: str
    warnings: tuple[str, ...] = ()


def meaning(
    colours: Sequence[str],
    descriptions: Sequence[str | None],
    name: IsprsName | None,
    sample: Callable[[int], NDArray[np.generic]],
) -> BandMeaning:
    """What the bands of a file mean.

    colours: GDAL's colour interpretation a band, lower case. descriptions: the file's own band names.
    sample: reads a piece of a band (1-based); called only for a band that may or may not be alpha.
    The ISPRS name wins, since those files mark infrared as alpha or not at all; then descriptions; then colours; then custom.
    """
    if name is not None and name.bands is not None and len(name.bands) == len(colours):
        return BandMeaning(name.bands, "ISPRS name")
    letters = [_letter(colour, text, len(colours)) for colour, text in zip(colours, descriptions, strict=True)]
    letters = _without_repeats(letters)
    declared = list(letters)
    if letters in (["X"] * 3, ["X"] * 4):
        letters[:3] = ["R", "G", "B"]
    warnings: list[str] = []
    if letters[:3] == ["R", "G", "B"] and letters[3:] == ["X"]:
        letters[3] = "A" if _is_mask(sample(4)) else "IR"
    elif "A" in letters and not _is_mask(sample(letters.index("A") + 1)):
        warnings.append(
            f"band {letters.index('A') + 1} is declared as alpha but holds a picture; it is left out of the picture; "
            "if it is infrared, import with --bands RGBIR"
        )
    if letters == declared:
        return BandMeaning(tuple(letters), "file", tuple(warnings))
    warnings.append(f"the file does not say what its bands are; {''.join(letters)} is assumed; if that is wrong, import with --bands")
    return BandMeaning(tuple(letters), "assumed", tuple(warnings))


def _letter(colour: str, description: str | None, count: int) -> str:
    """The letter of one band; "gray" as the first of several bands is only GDAL's way of saying nothing."""
    if description and (letter := _DESCRIPTIONS.get(description.strip().lower())):
        return letter
    if colour == "gray" and count > 1:
        return "X"
    return _COLOURS.get(colour, "X")


def _without_repeats(letters: Sequence[str]) -> list[str]:
    """The letters with every second R, G, B, IR or A turned into X: two bands of one name name nothing."""
    return ["X" if letter not in "LX" and letter in letters[:index] else letter for index, letter in enumerate(letters)]


def _is_mask(values: NDArray[np.generic]) -> bool:
    """Whether pixels look like an alpha band: its two commonest values (nothing and full) cover nearly all, soft edges are few."""
    counts = np.sort(np.unique(values, return_counts=True)[1])
    return bool(counts[-2:].sum() >= 0.9 * values.size)
