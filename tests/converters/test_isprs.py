"""What the names of ISPRS files say, and what their labels look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from converters.isprs import looks_like_labels, parse_name


@pytest.mark.parametrize(
    ("path", "dataset", "tile", "role", "bands"),
    [
        ("2_Ortho_RGB/2_Ortho_RGB/top_potsdam_2_10_RGB.tif", "potsdam", "2_10", "image", ("R", "G", "B")),
        ("3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif", "potsdam", "2_10", "image", ("IR", "R", "G")),
        ("4_Ortho_RGBIR/top_potsdam_7_13_RGBIR.tif", "potsdam", "7_13", "image", ("R", "G", "B", "IR")),
        ("5_Labels_all/top_potsdam_2_10_label.tif", "potsdam", "2_10", "label", None),
        ("5_Labels_all_noBoundary/top_potsdam_2_10_label_noBoundary.tif", "potsdam", "2_10", "label", None),
        ("Label_Potsdam_02_10.tif", "potsdam", "2_10", "label", None),
        ("1_DSM/dsm_potsdam_02_10.tif", "potsdam", "2_10", "height", None),
        ("1_DSM_normalisation/dsm_potsdam_02_10_normalized_lastools.jpg", "potsdam", "2_10", "height", None),
        ("potsdam_2_10_0_0_512_512.png", "potsdam", "2_10", "image", None),
        ("top/top_mosaic_09cm_area1.tif", "vaihingen", "area1", "image", ("IR", "R", "G")),
        ("top_mosaic_09cm_area38_noBoundary.tif", "vaihingen", "area38", "label", None),
        ("vaihingen_area1_0_0_512_512.png", "vaihingen", "area1", "image", ("IR", "R", "G")),
    ],
)
def test_every_published_name_is_understood(path: str, dataset: str, tile: str, role: str, bands: tuple[str, ...] | None) -> None:
    name = parse_name(path)
    assert name is not None
    assert (name.dataset, name.tile, name.role, name.bands) == (dataset, tile, role, bands)


@pytest.mark.parametrize("path", ["tile.tif", "potsdam.tif", "top_mosaic_05cm_area1.tif", "area1.tif"])
def test_other_names_say_nothing(path: str) -> None:
    assert parse_name(path) is None


def test_labels_are_told_from_imagery_by_their_colours(shared: Path) -> None:
    for name in ("potsdam_2_10_0_0_512_512.png", "vaihingen_area1_0_0_512_512.png"):
        with rasterio.open(shared / "data/isprs_crops/images" / name) as dataset:
            assert not looks_like_labels(np.moveaxis(dataset.read(), 0, -1))


def test_a_lossy_label_is_still_a_label() -> None:
    corners = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], dtype=np.int16)
    rng = np.random.default_rng(0)
    picture = corners[rng.integers(0, 6, (64, 64))] + rng.integers(-30, 31, (64, 64, 3))
    assert looks_like_labels(np.clip(picture, 0, 255).astype(np.uint8))
