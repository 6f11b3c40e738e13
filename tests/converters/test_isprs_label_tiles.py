"""The real label tiles of Potsdam: classes and objects, tile by tile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from isprs_trees import areas

from converters import isprs_labels
from converters.chips import PixelWindow
from converters.frames import Size
from converters.labelled import LabelledImage, open_labelled

# Impervious surfaces, building, low vegetation, tree, car: objects of at least 30 px in 600 px patches, counted once with
# scipy.ndimage.label on the class numbers, and pixels.
COUNTS = {
    "potsdam_2_10": (235, 163, 486, 183, 132),
    "potsdam_2_11": (254, 81, 489, 392, 122),
    "potsdam_3_12": (315, 173, 663, 361, 293),
    "potsdam_4_12": (241, 131, 420, 209, 440),
    "potsdam_5_10": (284, 163, 521, 393, 192),
    "potsdam_6_12": (352, 175, 424, 197, 357),
    "potsdam_6_7": (207, 270, 385, 338, 132),
    "potsdam_7_10": (159, 72, 325, 235, 286),
}
PIXELS = {
    "potsdam_2_10": (7433797, 5447007, 15182061, 2679388, 313148),
    "potsdam_2_11": (8179469, 3639401, 13233674, 7772916, 290622),
    "potsdam_3_12": (10554635, 8766924, 7629351, 7534216, 628926),
    "potsdam_4_12": (11976195, 12069654, 7267176, 2752612, 914098),
    "potsdam_5_10": (9762272, 8142358, 8656839, 7788191, 384255),
    "potsdam_6_12": (11885030, 15828014, 4188942, 2761311, 791467),
    "potsdam_6_7": (4459505, 4857912, 19962121, 5669942, 253053),
    "potsdam_7_10": (11414176, 7369861, 5198534, 4623375, 599769),
}


@pytest.fixture(scope="module")
def label_tiles(shared: Path) -> dict[str, LabelledImage]:
    return {image.name: image for image in open_labelled(shared / "data/potsdam_label_tiles").images}


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_label_tiles_decode_and_count(label_tiles: dict[str, LabelledImage], name: str) -> None:
    image = label_tiles[name]
    assert (image.size, image.gsd) == (Size(6000, 6000), 0.05)
    counts: Counter[str] = Counter()
    pixels: Counter[str] = Counter()
    for row in range(0, 6000, 600):
        for col in range(0, 6000, 600):
            for each in image.objects(1, PixelWindow(col, row, 600, 600)):
                pixels[each.class_name] += each.area
                counts[each.class_name] += each.area >= 30
    classes = tuple(isprs_labels.CLASSES.values())
    assert tuple(counts[each] for each in classes) == COUNTS[name]
    assert tuple(pixels[each] for each in classes) == PIXELS[name]


def test_all_eight_real_tiles_are_found_and_7_10_is_flagged(shared: Path, label_tiles: dict[str, LabelledImage]) -> None:
    assert sorted(label_tiles) == sorted(COUNTS)
    assert sum(map(sum, COUNTS.values())) == 11250  # 1406 a tile; the study has (47152 + 10365) / 38 = 1514 over all tiles
    assert any("potsdam_7_10" in note for note in open_labelled(shared / "data/potsdam_label_tiles").notes)


@pytest.mark.parametrize("name", ["02_10", "04_12", "06_07"])
def test_one_patch_a_real_tile_agrees_with_another_implementation(shared: Path, label_tiles: dict[str, LabelledImage], name: str) -> None:
    from scipy import ndimage

    window = PixelWindow(2400, 3000, 600, 600)
    with rasterio.open(shared / f"data/potsdam_label_tiles/Label_Potsdam_{name}.tif") as dataset:
        numbers = dataset.read(1)[3000:3600, 2400:3000]
    expected: dict[str, list[int]] = {}
    for number, class_name in enumerate(isprs_labels.CLASSES.values(), start=1):
        components, _ = ndimage.label(numbers == number, structure=np.ones((3, 3)))
        sizes = np.bincount(components.ravel())[1:]
        if kept := sorted(int(size) for size in sizes if size >= 30):
            expected[class_name] = kept
    row, column = name.split("_")
    assert areas(label_tiles[f"potsdam_{int(row)}_{int(column)}"], window) == expected
