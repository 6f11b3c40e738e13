"""Clicks as maps: hard disks, the same with rounded centres, and distances; what each does with padding, fractions and borders."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.inference.click_maps import disk_maps, distance_maps, points_tensor, rounded_disk_maps

SIZE = (17, 23)
clicks = st.lists(st.tuples(st.floats(-0.875, 18, width=32), st.floats(-0.875, 24, width=32), st.booleans()), max_size=5)


def nearest(found: list[tuple[float, float, bool]], positive: bool) -> np.ndarray:
    """Distance to the nearest click of a sign, pixel by pixel."""
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    each = [np.hypot(rows - row, cols - col) for row, col, sign in found if sign == positive and max(row, col) >= 0]
    return np.min(each, axis=0) if each else np.full(SIZE, np.inf)


@given(clicks, st.sampled_from([2.0, 3.0, 4.0, 100.0]))
def test_distances_are_those_to_the_nearest_click_of_the_sign(found, radius):
    maps = distance_maps(points_tensor([found]), SIZE, radius)
    for channel, positive in enumerate((True, False)):
        np.testing.assert_allclose(maps[0, channel], np.tanh(2 * nearest(found, positive) / radius), atol=1e-5)


@given(clicks)
def test_rounded_disks_are_the_disks_of_whole_pixels(found):
    whole = [(float(np.rint(row)), float(np.rint(col)), sign) for row, col, sign in found if max(row, col) >= 0]
    torch.testing.assert_close(rounded_disk_maps(points_tensor([found]), SIZE, 4.0), disk_maps(points_tensor([whole]), SIZE, 4.0))


def test_halves_round_to_the_even_pixel_and_padding_stays_padding():
    maps = rounded_disk_maps(points_tensor([[(2.5, 3.5, True)]]), SIZE, 0.5)
    assert maps[0].nonzero().tolist() == [[0, 2, 4]]
    assert not rounded_disk_maps(points_tensor([[(-0.3, -0.2, True)]]), SIZE, 3.0).any(), "both negative: no click"
    assert rounded_disk_maps(points_tensor([[(-0.3, 5.0, True)]]), SIZE, 0.0)[0, 0, 0, 5] == 1


def test_without_a_click_everything_is_as_far_as_can_be():
    assert (distance_maps(points_tensor([[(3.0, 3.0, True)]]), SIZE, 260.0)[0, 1] == 1).all()
    assert math.isclose(float(distance_maps(points_tensor([[(3.0, 3.0, True)]]), SIZE, 5.0)[0, 0, 3, 8]), math.tanh(2), rel_tol=1e-6)


def test_samples_of_a_batch_are_drawn_by_themselves():
    points = points_tensor([[(4.0, 5.0, True)], [(9.0, 9.0, False), (1.0, 1.0, False)]])
    for draw in (disk_maps, rounded_disk_maps, distance_maps):
        together = draw(points, SIZE, 3.0)
        torch.testing.assert_close(together[1:], draw(points[1:], SIZE, 3.0))
