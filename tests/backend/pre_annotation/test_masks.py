"""Masks as boxes, what stays of overlapping ones, and when a mask is sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.pre_annotation.mask_place import MaskPlace
from backend.pre_annotation.overlaps import disjoint, suppressed
from backend.pre_annotation.stability import clicked_part, stability


def square(row: int, col: int, side: int, chip: int = 64) -> MaskPlace:
    mask = np.zeros((chip, chip), bool)
    mask[row : row + side, col : col + side] = True
    place = MaskPlace.of(mask)
    assert place is not None
    return place


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_iou_of_boxed_masks_is_that_of_whole_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        mask = np.zeros((20, 30), bool)
        row, col = rng.integers(0, 15), rng.integers(0, 25)
        mask[row : row + 5, col : col + 5] = rng.random((5, 5)) < 0.7
        mask[row, col] = True
        masks.append(mask)
    first, second = (MaskPlace.of(mask) for mask in masks)
    assert first is not None and second is not None
    assert np.array_equal(first.mask, masks[0])
    assert first.iou(second) == pytest.approx((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_an_empty_mask_has_no_place() -> None:
    assert MaskPlace.of(np.zeros((4, 4), bool)) is None


def test_the_centre_lies_inside_also_of_a_ring() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:35] = True
    mask[12:28, 12:28] = False
    place = MaskPlace.of(mask)
    assert place is not None
    assert mask[place.centre()]


def test_of_two_masks_of_one_object_the_better_stays() -> None:
    places = [square(0, 0, 20), square(1, 1, 20), square(40, 40, 10)]
    assert suppressed(places, [0.5, 0.9, 0.6], ["roof"] * 3) == [1, 2]


def test_a_part_of_the_same_class_is_no_object_but_a_car_on_a_road_is() -> None:
    road, car = square(0, 0, 40), square(10, 10, 8)
    assert suppressed([road, car], [0.9, 0.8], ["road", "road"]) == [0]
    assert suppressed([road, car], [0.9, 0.8], ["road", "car"]) == [0, 1]


def test_no_pixel_is_in_two_masks_and_what_lies_on_another_keeps_all_of_its_own() -> None:
    road, car, beside = square(0, 0, 40), square(10, 10, 8), square(0, 35, 24)
    cut = disjoint([road, beside, car], min_area=30)
    assert all(place is not None for place in cut)
    total = sum(place.mask.astype(int) for place in cut if place is not None)
    assert total.max() == 1
    assert cut[2] is not None and cut[2].area == car.area
    assert cut[0] is not None and cut[0].area == road.area - car.area
    assert cut[1] is not None and cut[1].area == beside.area - 5 * 24


def test_a_mask_that_better_ones_have_most_of_is_dropped() -> None:
    assert disjoint([square(0, 0, 20), square(0, 4, 20)], min_area=30)[1] is None


def test_stability_falls_with_a_soft_edge() -> None:
    sharp = np.full((40, 40), 0.02, np.float32)
    sharp[10:30, 10:30] = 0.98
    soft = sharp.copy()
    soft[10:14, 10:30] = 0.55
    places = [MaskPlace.of(each > 0.49) for each in (sharp, soft)]
    assert places[0] is not None and places[1] is not None
    assert stability(sharp, 0.49, places[0]) == 1
    assert stability(soft, 0.49, places[1]) == pytest.approx(16 / 20)


def test_the_part_under_the_click_is_taken_else_the_largest() -> None:
    mask = np.zeros((40, 40), bool)
    mask[2:6, 2:6] = True
    mask[20:30, 20:30] = True
    small, large = clicked_part(mask, (3, 3)), clicked_part(mask, (39, 39))
    assert small is not None and small.area == 16
    assert large is not None and large.area == 100
    assert clicked_part(np.zeros((4, 4), bool), (0, 0)) is None
