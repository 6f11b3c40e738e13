"""Where FocalClick looks in training."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from backend.training.focal_crops import AlignedCrop, RefinerCrop, largest_component, small_components

DRAWS = 3000


def as_likely(hits: int, draws: int, probability: float) -> bool:
    return abs(hits - draws * probability) <= 4.5 * (draws * probability * (1 - probability)) ** 0.5


def test_height_and_width_are_shares_of_the_image_from_a_truncated_normal_distribution() -> None:
    rng, crop = np.random.default_rng(0), AlignedCrop()
    views = [crop.view((400, 500), (200.5, 250.5), rng) for _ in range(DRAWS)]
    shares = np.array([np.abs([view.to_image[1, 1] * 256 / 400, view.to_image[0, 0] * 256 / 500]) for view in views])
    assert 0.298 < shares.min() < 0.31 and 1.29 < shares.max() < 1.302
    whole = NormalDist(0.8, 0.4)
    inside = whole.cdf(1.3) - whole.cdf(0.3)
    for bound in (0.5, 0.8, 1.1):
        probability = (whole.cdf(bound) - whole.cdf(0.3)) / inside
        for axis in (0, 1):
            assert as_likely(int((shares[:, axis] < bound).sum()), DRAWS, probability)
    assert abs(np.corrcoef(shares.T)[0, 1]) < 4.5 / DRAWS**0.5


def test_three_in_ten_are_mirrored_either_way_and_all_hold_their_pixel() -> None:
    rng, mirrored = np.random.default_rng(1), np.zeros((2, 2))
    for _ in range(DRAWS):
        view = AlignedCrop().view((400, 500), (10.5, 490.5), rng)
        x, y, _ = np.linalg.inv(view.to_image) @ [490.5, 10.5, 1]
        assert 0 <= x <= 256 and 0 <= y <= 256
        mirrored[int(view.to_image[1, 1] < 0), int(view.to_image[0, 0] < 0)] += 1
    assert as_likely(int(mirrored[1].sum()), DRAWS, 0.3) and as_likely(int(mirrored[:, 1].sum()), DRAWS, 0.3)
    assert as_likely(int(mirrored[1, 1]), DRAWS, 0.09)


def test_a_large_tile_counts_as_an_image_of_the_authors_size() -> None:
    rng = np.random.default_rng(2)
    sides = [abs(AlignedCrop().view((6000, 6000), (3000.5, 3000.5), rng).to_image[0, 0]) * 256 for _ in range(300)]
    assert max(sides) <= 1.3 * 640 + 1 and min(sides) >= 0.3 * 640 - 1


def square(side: int) -> np.ndarray:
    mask = np.zeros((256, 256), bool)
    mask[100 : 100 + side, 90 : 90 + side] = True
    return mask


def test_a_small_object_is_always_refined_whole_with_a_margin_off_its_middle() -> None:
    rng, mask = np.random.default_rng(3), square(50)
    boxes = np.array([RefinerCrop().box(mask, rng) for _ in range(DRAWS)])
    ratios = (boxes[:, 2] - boxes[:, 0]) / 50
    assert 1.1 <= ratios.min() < 1.11 and 1.59 < ratios.max() <= 1.6
    np.testing.assert_allclose((boxes[:, 3] - boxes[:, 1]) / 50, ratios)  # one ratio for both sides
    shifts = ((boxes[:, :2] + boxes[:, 2:]) / 2 - [125, 115]) / 50
    assert 0.29 < shifts.max() <= 0.3 and -0.3 <= shifts.min() < -0.29
    assert (np.abs(shifts.mean(axis=0)) < 4.5 * 0.6 / np.sqrt(12 * DRAWS)).all()


def test_four_in_ten_of_the_others_are_refined_at_a_piece_of_their_border() -> None:
    rng, mask = np.random.default_rng(4), square(100)
    boxes = np.array([RefinerCrop(shift=0.0).box(mask, rng) for _ in range(DRAWS)])
    sides = boxes[:, 2] - boxes[:, 0]
    pieces = boxes[sides < 100]
    assert as_likely(len(pieces), DRAWS, 0.4)
    lengths = sides[sides < 100]
    assert 100 / 3.9 <= lengths.min() < 26 and 66 < lengths.max() <= 100 / 1.5
    middles = (pieces[:, :2] + pieces[:, 2:]) / 2 - [100, 90]
    on_border = np.isclose(middles, 0.5) | np.isclose(middles, 99.5)
    assert on_border.any(axis=1).all()
    assert (sides[sides >= 100] >= 110).all()


def test_parts_end_where_the_view_ends() -> None:
    rng, mask = np.random.default_rng(5), np.zeros((128, 128), bool)
    mask[:90, 60:] = True
    for _ in range(500):
        row0, col0, row1, col1 = RefinerCrop().box(mask, rng)
        assert 0 <= row0 < row0 + 4 <= row1 <= 128 and 0 <= col0 < col0 + 4 <= col1 <= 128
    row0, col0, row1, col1 = RefinerCrop().box(np.ones((64, 64), bool), rng)  # no border in it
    assert 0 <= row0 < row1 <= 64 and 0 <= col0 < col1 <= 64


def test_the_largest_component_decides_and_small_ones_are_found() -> None:
    mask = square(50)
    mask[10:20, 10:20] = True
    mask[20, 20] = True  # touches by a corner, which counts
    np.testing.assert_array_equal(largest_component(mask), square(50))
    np.testing.assert_array_equal(small_components(mask, 102), mask & ~square(50))
    assert not small_components(mask, 101).any()


@pytest.mark.parametrize("fewest", [1, 900])
def test_where_nothing_is_wanted_nothing_is_small(fewest: int) -> None:
    assert not small_components(np.zeros((9, 9), bool), fewest).any()
