"""ZoomIn and crops: where the network looks, and that everything comes back to its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.inference.crop import Crop, Roi, limit_longest_side
from backend.inference.zoom_in import ZoomIn, ZoomMemory
from converters.frames import Box


def object_map(size=(300, 400), rows=(100, 149), cols=(200, 219)):
    """A probability map with one rectangle of object, bounds inclusive."""
    probability = np.zeros(size, np.float32)
    probability[rows[0] : rows[1] + 1, cols[0] : cols[1] + 1] = 0.9
    return probability


SEEN = ZoomMemory(predicted=True)


def test_the_roi_is_the_box_expanded_about_its_centre():
    # rows 100..149: centre 124.5, side max(1.4 * 50, 60) = 70 -> 89.5, 159.5, rounded half to even: 90, 160
    # cols 200..219: centre 209.5, side max(1.4 * 20, 60) = 60 -> 179.5, 239.5 -> 180, 240
    view = ZoomIn(skip_clicks=-1, min_crop_size=60).view([(120, 210, True)], object_map(), SEEN)
    assert view.paste == Roi(90, 160, 180, 240)


def test_a_positive_click_outside_the_object_widens_the_roi_and_a_negative_one_does_not():
    zoom = ZoomIn(skip_clicks=-1, min_crop_size=1, expansion_ratio=1.0)
    # centre 149.5 and side 100 give 99.5..199.5, both rounded to even: one pixel beyond the box at the far end
    assert zoom.view([(199.7, 210, True)], object_map(), SEEN).paste == Roi(100, 200, 200, 220)
    assert zoom.view([(199.7, 210, False)], object_map(), SEEN).paste == Roi(100, 150, 200, 220)


def test_skipped_clicks_see_the_whole_image_unscaled():
    view = ZoomIn(skip_clicks=1).view([(5, 5, True)], object_map(), ZoomMemory())
    assert (view.crop, view.paste) == (None, None)


def test_a_drawn_box_is_where_even_a_skipped_click_is_looked_at():
    zoom = ZoomIn(skip_clicks=1, min_crop_size=10, expansion_ratio=1.4)
    # rows 100..139: centre 119.5, side 56 -> 91.5, 147.5 -> 92, 148; cols 389.5..400 reach the pixels 389..399, the image ends there
    drawn = zoom.of_box(Box(row_min=100, row_max=140, col_min=389.5, col_max=400), (300, 400))
    view = zoom.view([(119.5, 394, True)], np.zeros((300, 400), np.float32), drawn)
    assert view.paste == Roi(92, 148, 386, 399)
    assert view.crop is not None and view.crop.roi == view.paste
    assert not zoom.wants_another_look([], drawn, np.zeros((300, 400), np.float32), 1)


def test_a_box_without_area_is_a_region_all_the_same():
    drawn = ZoomIn(min_crop_size=10).of_box(Box(row_min=300, row_max=300, col_min=0, col_max=0), (300, 400))
    assert drawn.roi == Roi(295, 299, 0, 5)


def test_without_skipping_the_first_click_sees_the_whole_image_resized():
    view = ZoomIn(skip_clicks=-1, target_size=(448, 448)).view([(5, 5, True)], np.zeros((300, 400), np.float32), ZoomMemory())
    assert view.crop == Crop(Roi(0, 299, 0, 399), (448, 448))


def test_an_int_target_is_the_longer_side():
    view = ZoomIn(skip_clicks=-1, target_size=160).view([(5, 5, True)], np.zeros((180, 260), np.float32), ZoomMemory())
    assert view.crop is not None
    assert view.crop.size == (111, 160)


def test_a_roi_in_use_stays_while_it_fits():
    stored = Roi(80, 170, 170, 250)
    memory = ZoomMemory(roi=stored, predicted=True)
    zoom = ZoomIn(skip_clicks=-1, min_crop_size=60)
    assert zoom.view([(120, 210, True)], object_map(), memory).paste == stored
    # The last row of the RoI does not count as inside (MODELS.md 6.2).
    assert zoom.view([(120, 210, True), (170, 210, True)], object_map(), memory).paste != stored
    # Overlap of 71/300 of the rows times 61/400 of the columns with the whole image is below one half.
    whole = ZoomMemory(roi=Roi(0, 299, 0, 399), predicted=True)
    assert zoom.view([(120, 210, True)], object_map(), whole).paste == Roi(90, 160, 180, 240)


def test_overlap_is_the_product_of_the_two_ranges():
    assert Roi(0, 9, 0, 9).iou(Roi(5, 14, 0, 9)) == pytest.approx(5 / 15)
    assert Roi(0, 9, 0, 9).iou(Roi(5, 14, 5, 14)) == pytest.approx((5 / 15) ** 2)
    assert Roi(0, 9, 0, 9).iou(Roi(20, 29, 0, 9)) == 0


def test_an_empty_prediction_forgets_the_roi_unless_the_originals_behaviour_is_asked_for():
    empty, memory = np.zeros((300, 400), np.float32), ZoomMemory(roi=Roi(80, 170, 170, 250), predicted=True)
    clicks = [(120, 210, True), (10, 10, False)]
    guarded = ZoomIn(skip_clicks=1).view(clicks, empty, memory)
    assert (guarded.crop, guarded.paste) == (None, None)
    stale = ZoomIn(skip_clicks=1, keep_stale_roi=True).view(clicks, empty, memory)
    assert (stale.crop, stale.paste) == (None, memory.roi)


def test_a_second_look_is_for_small_objects_and_skip_clicks_0_alone():
    small, large = object_map(), object_map(rows=(0, 299), cols=(0, 399))
    assert ZoomIn(skip_clicks=0, min_crop_size=60).wants_another_look([], SEEN, small, 1)
    assert not ZoomIn(skip_clicks=0, min_crop_size=60).wants_another_look([], SEEN, large, 1)
    assert not ZoomIn(skip_clicks=0).wants_another_look([], SEEN, np.zeros((300, 400), np.float32), 1)
    assert not ZoomIn(skip_clicks=0).wants_another_look([], ZoomMemory(Roi(0, 9, 0, 9), True), small, 1)
    assert not ZoomIn(skip_clicks=1, min_crop_size=60).wants_another_look([], SEEN, small, 1)


@st.composite
def scenes(draw):
    height, width = draw(st.integers(8, 60)), draw(st.integers(8, 60))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top, height - 1)), draw(st.integers(left, width - 1))
    place = st.tuples(st.floats(0, height - 1), st.floats(0, width - 1), st.booleans())
    return object_map((height, width), (top, bottom), (left, right)), draw(st.lists(place, min_size=1, max_size=4))


@given(scenes(), st.integers(1, 40), st.floats(1.0, 2.0))
def test_a_new_roi_lies_in_the_image_and_holds_the_object_and_the_positive_clicks(scene, min_crop_size, ratio):
    probability, clicks = scene
    zoom = ZoomIn(skip_clicks=-1, min_crop_size=min_crop_size, expansion_ratio=ratio)
    roi = zoom.view(clicks, probability, SEEN).paste
    assert roi is not None
    height, width = probability.shape
    assert 0 <= roi.row_min <= roi.row_max < height
    assert 0 <= roi.col_min <= roi.col_max < width
    rows, cols = np.nonzero(probability > 0.5)
    # Rounding the two ends half to even may lose half a pixel.
    assert roi.row_min <= rows.min() + 0.5 and rows.max() <= roi.row_max + 0.5
    assert roi.col_min <= cols.min() + 0.5 and cols.max() <= roi.col_max + 0.5
    for row, col, positive in clicks:
        if positive:
            assert roi.row_min <= int(row) <= roi.row_max
            assert roi.col_min <= int(col) <= roi.col_max


@given(scenes())
def test_what_is_pasted_back_is_zero_outside_the_roi_and_the_crop_inside(scene):
    probability, clicks = scene
    roi = ZoomIn(skip_clicks=-1, min_crop_size=1, expansion_ratio=1.0).view(clicks, probability, SEEN).paste
    assert roi is not None
    inside = torch.rand(1, 1, *roi.size)
    pasted = Crop(roi, roi.size).paste(inside, probability.shape)
    assert torch.equal(roi.cut(pasted), inside)
    assert pasted.count_nonzero() == inside.count_nonzero()


def test_clicks_scale_from_the_corner_of_the_roi():
    crop = Crop(Roi(10, 19, 20, 39), (100, 100))
    assert crop.clicks([(10, 20, True), (15, 30, False), (5, 20, False)]) == [(0, 0, True), (50, 50, False), (-50, 0, False)]


def test_limit_longest_side_leaves_small_images_alone():
    assert limit_longest_side((180, 260), None) is None
    assert limit_longest_side((180, 260), 260) is None
    assert limit_longest_side((180, 260), 128) == Crop(Roi(0, 179, 0, 259), (89, 128))


LOCAL = ZoomIn(target_size=(224, 224), skip_clicks=-1, min_crop_size=20, first_window=100, first_looks=3, again_below=0.6)


def test_a_first_window_lies_about_the_click_and_inside_the_image() -> None:
    nothing = np.zeros((300, 400), np.float32)
    assert LOCAL.view([(150.0, 200.0, True)], nothing, ZoomMemory()).paste == Roi(100, 199, 150, 249)
    assert LOCAL.view([(2.0, 399.0, True)], nothing, ZoomMemory()).paste == Roi(0, 99, 300, 399)
    assert LOCAL.view([(5.0, 5.0, True)], np.zeros((60, 80), np.float32), ZoomMemory()).paste == Roi(0, 59, 0, 79)


def test_the_first_click_looks_again_at_the_scale_of_what_it_found_and_later_clicks_do_not() -> None:
    click = (150.0, 200.0, True)
    small = np.zeros((300, 400), np.float32)
    small[145:156, 195:206] = 1
    seen = ZoomMemory(Roi(100, 199, 150, 249), True)
    assert LOCAL.wants_another_look([click], seen, small, 1)
    again = LOCAL.view([click], small, seen).paste
    assert again == Roi(140, 160, 190, 210)  # 11 px object: at least 20 px about its centre
    assert not LOCAL.wants_another_look([click], ZoomMemory(again, True), small, 2)
    assert not LOCAL.wants_another_look([click], seen, small, 3)
    assert not LOCAL.wants_another_look([click, click], seen, small, 1)
    assert not LOCAL.wants_another_look([click], seen, np.zeros((300, 400), np.float32), 1)


def test_an_object_that_fills_the_first_window_is_looked_at_from_further_away() -> None:
    wide = np.zeros((300, 400), np.float32)
    wide[100:200, 150:250] = 1
    seen = ZoomMemory(Roi(100, 199, 150, 249), True)
    assert LOCAL.wants_another_look([(150.0, 200.0, True)], seen, wide, 1)
    assert LOCAL.view([(150.0, 200.0, True)], wide, replace(seen, looks=1)).paste == Roi(80, 220, 130, 270)
