"""What the bands of a raster mean, by letter, and which of them a model or a browser gets.

R, G, B     red, green, blue
IR          near infrared
L           grey, panchromatic
A           alpha: a mask, never a picture
X           unknown
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from converters.errors import RasterError

LETTERS = ("R", "G", "B", "IR", "L", "A", "X")
_SPECTRAL = ("R", "G", "B", "IR")
# NIR and N are how other programs write IR; the longest spelling is tried first, so "RIR" is red, infrared.
_TOKEN = re.compile(r"NIR|IR|N|R|G|B|L|A|X")
_SPELLINGS: dict[str, str] = {"NIR": "IR", "N": "IR"}

# What the browser shows, best first.
DISPLAY_RECIPES: tuple[tuple[str, ...], ...] = (("R", "G", "B"), ("IR", "R", "G"))


def parse_bands(text: str) -> tuple[str, ...]:
    """Letters in file order from a band string: "RGBIR" -> ("R", "G", "B", "IR"); "NIR" and "N" mean IR, commas and blanks are allowed.

    Raises RasterError for anything else, for an empty string, and for a colour or alpha named twice.
    """
    compact = re.sub(r"[\s,;+_-]+", "", text).upper()
    tokens: list[str] = _TOKEN.findall(compact)
    if not tokens or "".join(tokens) != compact:
        raise RasterError(
            f'"{text}" is no list of bands; expected letters of {", ".join(LETTERS)} in file order, such as RGB, IRRG or RGBIR'
        )
    letters = tuple(_SPELLINGS.get(token, token) for token in tokens)
    twice = sorted({letter for letter in (*_SPECTRAL, "A") if letters.count(letter) > 1})
    if twice:
        raise RasterError(f'"{text}" names {" and ".join(twice)} more than once; expected each once, and X for a band of unknown meaning')
    return letters


def format_bands(letters: Sequence[str]) -> str:
    """The band string of letters: ("IR", "R", "G") -> "IRRG"; inverse of `parse_bands`."""
    return "".join(letters)


def select(available: Sequence[str], recipes: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """1-based indices of the first recipe whose bands `available` (letters in file order) has, in the recipe's order.

    A raster whose only picture is grey serves every recipe by repeating that band, as a grey photograph would.
    Raises RasterError when no recipe fits.
    """
    for recipe in recipes:
        if all(letter in available for letter in recipe):
            return tuple(available.index(letter) + 1 for letter in recipe)
    pictures = [index for index, letter in enumerate(available, start=1) if letter != "A"]
    if recipes and len(pictures) == 1 and available[pictures[0] - 1] == "L":
        return (pictures[0],) * len(recipes[0])
    wanted = " or ".join(format_bands(recipe) for recipe in recipes)
    raise RasterError(
        f"the raster's bands are {format_bands(available) or 'none'}; expected {wanted}; "
        "if the letters are wrong, import the raster again with --bands and the right ones"
    )


def display(available: Sequence[str]) -> tuple[int, int, int]:
    """1-based indices of the three bands a browser shows as red, green, blue.

    RGB where the raster has it, else IRRG, else its first three bands that are not alpha, else its first band thrice (grey).
    Raises RasterError for a raster without a band to show.
    """
    for recipe in DISPLAY_RECIPES:
        if all(letter in available for letter in recipe):
            red, green, blue = (available.index(letter) + 1 for letter in recipe)
            return red, green, blue
    pictures = [index for index, letter in enumerate(available, start=1) if letter != "A"]
    if not pictures:
        raise RasterError(
            f"the raster's bands are {format_bands(available) or 'none'}; expected at least one that is not alpha; check --bands"
        )
    if len(pictures) < 3:
        return pictures[0], pictures[0], pictures[0]
    return pictures[0], pictures[1], pictures[2]


def alpha(available: Sequence[str]) -> int | None:
    """1-based index of the alpha band, None without one."""
    return available.index("A") + 1 if "A" in available else None
