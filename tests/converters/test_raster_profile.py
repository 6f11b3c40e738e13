"""What an import settles: the file's word, the user's word, what an ISPRS name adds, and which of them it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from converters.errors import RasterError
from converters.raster_profile import settle

WORLD_FILE = "0.05\n0\n0\n-0.05\n366976.525\n5809761.000\n"


def write(path: Path, values: np.ndarray, **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile) as dataset:
        dataset.write(values)
    return path


def picture(count: int = 3, side: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, side, side)).astype(np.uint8)


def test_potsdam_without_a_crs_gets_its_grid_and_says_that_it_was_assumed(tmp_path: Path) -> None:
    path = write(tmp_path / "4_Ortho_RGBIR" / "top_potsdam_2_10_RGBIR.tif", picture(4))
    path.with_suffix(".tfw").write_text(WORLD_FILE)
    profile = settle(path)
    assert (profile.crs, profile.crs_source, profile.bands, profile.bands_source) == (
        "EPSG:32633",
        "assumed",
        ("R", "G", "B", "IR"),
        "ISPRS name",
    )
    assert profile.gsd == pytest.approx(0.05)
    assert any("EPSG:32633 is assumed" in warning for warning in profile.warnings)


def test_potsdam_with_a_crs_of_its_own_keeps_it(tmp_path: Path) -> None:
    path = write(tmp_path / "top_potsdam_2_10_RGB.tif", picture(), crs="EPSG:25833", transform=Affine(0.05, 0, 366976.5, 0, -0.05, 5809761))
    assert (settle(path).crs, settle(path).crs_source) == ("EPSG:25833", "file")


def test_a_potsdam_picture_without_any_place_gets_no_crs(tmp_path: Path) -> None:
    profile = settle(write(tmp_path / "top_potsdam_2_10_RGB.tif", picture()))
    assert (profile.crs, profile.crs_source) == (None, "none")


def test_vaihingen_never_gets_a_crs_unasked_only_a_suggestion(tmp_path: Path) -> None:
    path = write(tmp_path / "top" / "top_mosaic_09cm_area1.tif", picture(), transform=Affine(0.09, 0, 496985, 0, -0.09, 5420000))
    profile = settle(path)
    assert (profile.crs, profile.crs_source, profile.bands) == (None, "none", ("IR", "R", "G"))
    assert any("--crs EPSG:32632" in warning for warning in profile.warnings)
    assert settle(path, crs="epsg:32632").crs == "EPSG:32632"


@pytest.mark.parametrize("name", ["gts/top_mosaic_09cm_area1.tif", "top_potsdam_2_10_label.tif", "top_potsdam_2_10_RGB.tif"])
def test_an_isprs_label_is_not_taken_for_an_image_of_the_same_name(tmp_path: Path, name: str) -> None:
    corners = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], dtype=np.uint8)
    label = np.moveaxis(corners[np.random.default_rng(0).integers(0, 6, (64, 64))], -1, 0)
    with pytest.raises(RasterError, match="is a label of ISPRS"):
        settle(write(tmp_path / name, label))


def test_the_users_word_overrides_the_file_and_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "tile.tif", picture(4), crs="EPSG:32632", transform=Affine(1, 0, 5e5, 0, -1, 5e6))
    profile = settle(path, bands=("IR", "R", "G", "B"), crs="EPSG:32633")
    assert (profile.bands, profile.bands_source, profile.crs, profile.crs_source) == (("IR", "R", "G", "B"), "given", "EPSG:32633", "given")
    assert profile.warnings == ("the given EPSG:32633 replaces the file's own EPSG:32632",)


def test_bands_that_do_not_fit_and_a_crs_that_is_none_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "tile.tif", picture(3))
    with pytest.raises(RasterError, match=r"has 3 bands \(RGB\), and --bands names 4 \(RGBIR\)"):
        settle(path, bands=("R", "G", "B", "IR"))
    with pytest.raises(RasterError, match='"EPSG:nope" is no CRS'):
        settle(path, crs="EPSG:nope")
