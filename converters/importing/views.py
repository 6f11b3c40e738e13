"""Display recipes: which bands of a raster the browser sees as red, green and blue, in one view or several of the same chip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from converters import bands as band_letters
from converters.errors import RasterError

NAMED: dict[str, tuple[str, ...]] = {"true": ("R", "G", "B"), "cir": ("IR", "R", "G"), "grey": ("L",)}
"""true: true colour. cir: colour infrared, where vegetation is red. grey: panchromatic."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a chip.

    name: "true", "cir" or the user's own; the task shows the first view as `$image` and any other as `$image_<name>`.
    recipe: band letters such as ("IR", "R", "G"), or 1-based band numbers in the file; None: the best that the raster has.
    """

    name: str
    recipe: tuple[str, ...] | tuple[int, ...] | None = None

    def numbers(self, letters: tuple[str, ...], raster: PurePath | str) -> tuple[int, int, int]:
        """1-based numbers of the bands shown as red, green, blue. letters: what the raster's bands mean, in file order.

        Raises RasterError when the raster lacks a band of the recipe.
        """
        if self.recipe is None:
            return band_letters.display(letters)
        if isinstance(self.recipe[0], int):
            numbers = tuple(int(number) for number in self.recipe)
            if max(numbers) > len(letters):
                raise RasterError(
                    f"{raster} has {len(letters)} bands, and the view {self.name} shows band {max(numbers)}; expected numbers up to "
                    f"{len(letters)}; choose another --view"
                )
        else:
            numbers = band_letters.select(letters, [tuple(str(letter) for letter in self.recipe)])
        red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
        return red, green, blue


AUTO = View("image")


def parse_view(text: str) -> View:
    """The view that a user typed: `true`, `cir`, `grey`, or NAME=BANDS with letters (`veg=IRRG`) or 1-based numbers (`swir=6,5,4`).

    Raises RasterError for anything else.
    """
    name, equals, recipe = text.strip().partition("=")
    if not equals and name in NAMED:
        return View(name, NAMED[name])
    if equals and _NAME.fullmatch(name) and re.fullmatch(r"\d+(,\d+)*", recipe):
        numbers = tuple(int(number) for number in recipe.split(","))
        if len(numbers) in (1, 3) and min(numbers) >= 1:
            return View(name, numbers)
    elif equals and _NAME.fullmatch(name):
        letters = band_letters.parse_bands(recipe)
        if len(letters) in (1, 3) and "A" not in letters:
            return View(name, letters)
    raise RasterError(
        f'"{text}" is no view; expected {", ".join(NAMED)}, or NAME=BANDS with one or three bands by letter or number, such as veg=IRRG or '
        "swir=6,5,4 (NAME in lower case)"
    )


def check_views(views: tuple[View, ...]) -> tuple[View, ...]:
    """The views, or the one automatic view for none. RasterError for two of one name."""
    names = [view.name for view in views]
    for name in names:
        if names.count(name) > 1:
            raise RasterError(f"two views are called {name}; expected different names; rename one, as in NAME=BANDS")
    return views or (AUTO,)
