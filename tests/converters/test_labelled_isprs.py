"""ISPRS trees as labelled sets: bands, windows, splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from isprs_trees import (
    potsdam,
    vaihingen,
)

from converters import rasters
from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.labelled import open_labelled
from converters.labelled_isprs import isprs_set

# --- bands


def test_every_product_gives_the_bands_asked_for(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, products=("RGB", "IRRG", "RGBIR"))
    means = {"R": 100, "G": 120, "B": 140, "IR": 160}
    for bands, kind in (
        (("R", "G", "B"), "ISPRS Potsdam, RGB, full labels"),
        (("IR", "R", "G"), "ISPRS Potsdam, IRRG, full labels"),
        (("R", "G", "B", "IR"), "ISPRS Potsdam, RGBIR, full labels"),
        (("B", "IR"), "ISPRS Potsdam, BIR from RGBIR files, full labels"),
        (None, "ISPRS Potsdam, RGBIR, full labels"),
    ):
        found = open_labelled(tree, bands=bands)
        assert found.kind == kind
        (image,) = found.images
        letters = bands or ("R", "G", "B", "IR")
        assert image.bands == letters
        assert np.rint(image.read().mean(axis=(0, 1)) / 20).tolist() == [means[letter] / 20 for letter in letters]


def test_the_four_band_product_serves_every_recipe(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, products=("RGBIR",))
    whole = open_labelled(tree).images[0].read()
    for bands, channels in ((("R", "G", "B"), [0, 1, 2]), (("IR", "R", "G"), [3, 0, 1])):
        assert np.array_equal(open_labelled(tree, bands=bands).images[0].read(), whole[..., channels])


def test_the_product_that_covers_the_most_tiles_wins(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("2_10", "2_11"), products=("RGBIR",))
    potsdam(tmp_path, ("2_10",), products=("RGB",))
    found = open_labelled(tree, bands=("R", "G", "B"))
    assert (len(found.images), found.kind) == (2, "ISPRS Potsdam, RGB from RGBIR files, full labels")


def test_bands_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    tree = potsdam(tmp_path / "p", products=("RGB",))
    with pytest.raises(TaskError, match=r"no image with the bands IRRG .* product IRRG or RGBIR"):
        open_labelled(tree, bands=("IR", "R", "G"))
    (tree / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tif").rename(tree / "2_Ortho_RGB" / "top_potsdam_2_10.tif")
    assert any("files that name no product" in note for note in open_labelled(tree).notes)
    with pytest.raises(TaskError, match="Vaihingen has no bands RGB; expected bands of IRRG"):
        open_labelled(vaihingen(tmp_path / "v"), bands=("R", "G", "B"))


def test_a_window_is_read_without_the_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = open_labelled(potsdam(tmp_path)).images
    whole = image.read()
    asked: list[PixelWindow] = []
    read = rasters._read
    monkeypatch.setattr(rasters, "_read", lambda *a, **k: asked.append(a[3]) or read(*a, **k))
    window = PixelWindow(33, 90, 100, 40)
    assert np.array_equal(image.read(window), whole[90:130, 33:133])
    image.objects(30, window)
    assert set(asked) == {window}


# --- splits


def test_a_split_chooses_tiles_and_must_be_there(tmp_path: Path) -> None:
    tree = potsdam(tmp_path, ("2_14", "3_14", "4_14", "5_14", "6_14", "7_13", "2_10"))
    assert [image.name for image in isprs_set(tree, split="study-test").images] == [
        "potsdam_2_14", "potsdam_3_14", "potsdam_4_14", "potsdam_5_14", "potsdam_6_14", "potsdam_7_13",
    ]  # fmt: skip
    with pytest.raises(TaskError, match=r"study-train names potsdam_2_11, of which .* has no full labels \(31 of 32 are missing\)"):
        isprs_set(tree, split="study-train")
    (tree / "2_Ortho_RGB" / "top_potsdam_7_13_RGB.tif").unlink()
    with pytest.raises(TaskError, match="no image with the bands RGB for 1 of 6 labelled tiles, potsdam_7_13 among them"):
        isprs_set(tree, split="study-test", bands=("R", "G", "B"))
    found = open_labelled(tree)
    assert len(found.images) == 6 and any("1 of 7 labelled tiles have no RGB image" in note for note in found.notes)
