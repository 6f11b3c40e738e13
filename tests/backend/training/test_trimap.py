"""The trimap: detail that is lost at an eighth of the size, and its surroundings."""

from __future__ import annotations

import numpy as np

from backend.training.trimap import trimap


def test_a_half_plane_on_the_coarse_grid_loses_nothing() -> None:
    mask = np.zeros((64, 64), bool)
    mask[:, 32:] = True
    assert not trimap(mask).any()


def test_what_an_eighth_of_the_size_cannot_show_is_doubtful_with_two_pixels_round_it() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20, 40] = True  # one pixel vanishes, so it alone changes
    expected = np.zeros_like(mask)
    expected[18:23, 38:43] = True
    np.testing.assert_array_equal(trimap(mask), expected)


def test_an_edge_off_the_grid_is_doubtful_up_to_where_it_is_put_back() -> None:
    # Columns 34.. are object. Halved three times, column c stands for the pair in the middle of its eight: 32 + 3, 32 + 4 of cell 4 are
    # object. Brought back, the edge is at 32: columns 32 and 33 changed, and two more on either side are doubtful.
    mask = np.zeros((64, 64), bool)
    mask[:, 34:] = True
    assert np.flatnonzero(trimap(mask).any(axis=0)).tolist() == [30, 31, 32, 33, 34, 35]
    assert trimap(mask)[:, 30:36].all()


def test_corners_are_doubtful_and_the_inside_is_not() -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    found = trimap(mask)
    assert found[16, 16] and not found[24:40, 24:40].any() and not found[:8].any()


def test_any_size_will_do() -> None:
    assert trimap(np.ones((5, 70), bool)).shape == (5, 70)
