"""Band letters: read from a string, picked for a model, picked for the browser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import bands
from converters.errors import RasterError

ONCE = st.lists(st.sampled_from(["R", "G", "B", "IR", "A"]), unique=True, max_size=5)
OFTEN = st.lists(st.sampled_from(["L", "X"]), max_size=3)


@given(st.tuples(ONCE, OFTEN).map(lambda pair: tuple(pair[0] + pair[1])).filter(bool))
def test_formatting_then_parsing_returns_the_letters(letters: tuple[str, ...]) -> None:
    assert bands.parse_bands(bands.format_bands(letters)) == letters


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("RGBIR", ("R", "G", "B", "IR")),
        ("IRRG", ("IR", "R", "G")),
        ("RIR", ("R", "IR")),
        ("rgbn", ("R", "G", "B", "IR")),
        ("R, G, B, NIR", ("R", "G", "B", "IR")),
        ("XXRGB", ("X", "X", "R", "G", "B")),
    ],
)
def test_common_spellings_are_understood(text: str, letters: tuple[str, ...]) -> None:
    assert bands.parse_bands(text) == letters


@pytest.mark.parametrize("text", ["", "  ", "RGBQ", "I", "RGBR", "RGBAA", "IRNIR"])
def test_what_is_no_band_list_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(RasterError, match="expected"):
        bands.parse_bands(text)


def test_the_first_recipe_the_raster_has_is_used_in_the_recipes_order() -> None:
    recipes = (("R", "G", "B"), ("IR", "R", "G"))
    assert bands.select(("R", "G", "B", "IR"), recipes) == (1, 2, 3)
    assert bands.select(("B", "G", "R"), recipes) == (3, 2, 1)
    assert bands.select(("IR", "R", "G"), recipes) == (1, 2, 3)
    assert bands.select(("X", "G", "IR", "R"), recipes) == (3, 4, 2)


def test_a_grey_raster_serves_every_recipe_by_repetition() -> None:
    assert bands.select(("L", "A"), (("IR", "R", "G"),)) == (1, 1, 1)


@pytest.mark.parametrize("available", [("IR", "R", "G"), ("X", "X", "X"), ("A",), ()])
def test_a_raster_without_the_bands_names_both_sides(available: tuple[str, ...]) -> None:
    with pytest.raises(RasterError, match="expected RGB"):
        bands.select(available, (("R", "G", "B"),))


@pytest.mark.parametrize(
    ("available", "shown"),
    [
        (("R", "G", "B", "IR"), (1, 2, 3)),
        (("B", "G", "R", "A"), (3, 2, 1)),
        (("IR", "R", "G"), (1, 2, 3)),
        (("A", "X", "X", "X"), (2, 3, 4)),
        (("L",), (1, 1, 1)),
        (("A", "L"), (2, 2, 2)),
        (("R", "IR"), (1, 1, 1)),
    ],
)
def test_the_browser_never_sees_alpha(available: tuple[str, ...], shown: tuple[int, int, int]) -> None:
    assert bands.display(available) == shown


def test_a_raster_of_alpha_alone_cannot_be_shown() -> None:
    with pytest.raises(RasterError, match="not alpha"):
        bands.display(("A",))
    assert bands.alpha(("A",)) == 1
    assert bands.alpha(("R", "G", "B")) is None
