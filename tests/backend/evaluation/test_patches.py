"""Cutting labelled images into patches: which objects there are, and what their masks show."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.evaluation.patches import patches, read_patch, windows
from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.frames import Size
from converters.labelled import LabelledImage, open_labelled


def labelled(folder: Path, label: np.ndarray) -> LabelledImage:
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    (folder / "classes.json").write_text(json.dumps({"classes": {"roof": 1, "car": 2}, "ignore": [9], "background": [0]}))
    image = np.arange(label.size, dtype=np.uint32).reshape(label.shape)
    cv2.imwrite(str(folder / "images" / "a.png"), np.dstack([image % 251, image % 7, image % 13]).astype(np.uint8))
    cv2.imwrite(str(folder / "labels" / "a.png"), label)
    return open_labelled(folder).images[0]


def a_label() -> np.ndarray:
    """40 x 50: a roof across the patch edge at column 20, a U that the edge at row 20 cuts in two, a car, an ignored strip."""
    label = np.zeros((40, 50), np.uint8)
    label[2:12, 15:27] = 1
    label[15:23, 30:33] = label[15:23, 36:39] = label[23:26, 30:39] = 1
    label[30:34, 44:49] = 2
    label[30:40, 0:5] = 9
    return label


def test_without_patches_an_image_is_one_patch_with_its_components(tmp_path: Path) -> None:
    (whole,) = patches(labelled(tmp_path, a_label()), None, 10)
    assert whole.window == PixelWindow(0, 0, 50, 40)
    assert [(each.class_name, each.area) for each in whole.objects] == [("roof", 120), ("roof", 2 * 24 + 27), ("car", 20)]


def test_patches_cut_objects_into_their_connected_parts(tmp_path: Path) -> None:
    cut = patches(labelled(tmp_path, a_label()), 20, 10)
    found = {(patch.window.col_off, patch.window.row_off): [(each.class_name, each.area) for each in patch.objects] for patch in cut}
    assert found == {
        (0, 0): [("roof", 50)],
        (20, 0): [("roof", 70), ("roof", 15), ("roof", 15)],  # the U's two arms
        (20, 20): [("roof", 2 * 9 + 27)],  # joined below
        (40, 20): [("car", 20)],
    }
    assert [(patch.window.width, patch.window.height) for patch in cut] == [(20, 20), (20, 20), (20, 20), (10, 20)]


def test_min_area_holds_for_the_parts(tmp_path: Path) -> None:
    cut = patches(labelled(tmp_path, a_label()), 20, 16)
    assert sorted(each.area for patch in cut for each in patch.objects) == [20, 45, 50, 70]


def test_the_masks_of_all_patches_together_are_the_label(tmp_path: Path) -> None:
    label = a_label()
    covered = np.zeros(label.shape, int)
    for patch in patches(labelled(tmp_path, label), 20, 1):
        window = patch.window
        for each in patch.objects:
            assert each.mask.shape == (window.height, window.width)
            assert (each.mask == 1).sum() == each.area
            top, left, bottom, right = each.box
            assert (each.mask[top:bottom, left:right] == 1).sum() == each.area
            covered[window.row_off :, window.col_off :][: window.height, : window.width] += each.mask == 1
    assert np.array_equal(covered, np.isin(label, (1, 2)))


def test_ignored_pixels_stay_ignored_in_a_patch(tmp_path: Path) -> None:
    label = a_label()
    label[25:30, 8:15] = 2
    (patch,) = [patch for patch in patches(labelled(tmp_path, label), 20, 10) if (patch.window.col_off, patch.window.row_off) == (0, 20)]
    assert np.array_equal(patch.objects[0].mask == -1, label[20:40, 0:20] == 9)


def test_windows_tile_the_image_with_partial_ones_at_the_edges() -> None:
    tiles = list(windows(Size(50, 40), 20))
    assert len(tiles) == 6
    assert sum(tile.width * tile.height for tile in tiles) == 50 * 40


def test_the_study_s_patch_counts_follow_from_the_tile_sizes() -> None:
    # 38 Potsdam tiles of 6000 px, 600 px patches: 3200 + 600.
    assert 38 * len(list(windows(Size(6000, 6000), 600))) == 3200 + 600


def test_a_patch_is_read_from_its_place(tmp_path: Path) -> None:
    image = labelled(tmp_path, a_label())
    assert np.array_equal(read_patch(image, PixelWindow(40, 20, 10, 20)), image.read()[20:40, 40:50])


def test_a_window_that_leaves_the_image_is_refused(tmp_path: Path) -> None:
    image = labelled(tmp_path, a_label())
    with pytest.raises(TaskError, match=r"a\.png is 50 x 40 px; expected a window inside it, found 20 x 20 px at column 40, row 20"):
        read_patch(image, PixelWindow(40, 20, 20, 20))
