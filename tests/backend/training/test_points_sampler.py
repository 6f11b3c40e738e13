"""The clicks a sample starts with: how many, where, in which slots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.training.points_sampler import SAMPLED, PointsSampler, deeper
from backend.training.scene import BACKGROUND, IGNORED, OTHER

DRAWS = 4000
SIGMAS = 4.5


def labels() -> np.ndarray:
    """A 30 x 30 object, another object to its right, an ignored strip at the bottom."""
    scene = np.full((80, 100), BACKGROUND, np.uint8)
    scene[20:50, 20:50] = 1
    scene[20:50, 70:90] = OTHER
    scene[74:] = IGNORED
    return scene


def as_likely(hits: int, draws: int, probability: float) -> bool:
    return abs(hits - draws * probability) <= SIGMAS * (draws * probability * (1 - probability)) ** 0.5


def signed(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The used positive and negative slots."""
    positive, negative = np.split(points, 2)
    return positive[positive[:, 0] >= 0], negative[negative[:, 0] >= 0]


def test_the_numbers_of_clicks_fall_by_a_fifth_from_one_to_the_next() -> None:
    sampler, rng = PointsSampler(max_points=5), np.random.default_rng(1)
    counts = [tuple(map(len, signed(sampler.sample(labels(), rng)))) for _ in range(DRAWS)]
    positive, negative = np.bincount([one for one, _ in counts], minlength=7), np.bincount([two for _, two in counts], minlength=7)
    assert positive[0] == positive[6] == negative[6] == 0
    for number in range(1, 6):  # 1 + i, i < 5, by 0.8 ** i
        assert as_likely(positive[number], DRAWS, 0.8 ** (number - 1) / sum(0.8**i for i in range(5)))
    for number in range(6):  # i <= 5
        assert as_likely(negative[number], DRAWS, 0.8**number / sum(0.8**i for i in range(6)))


def test_slots_are_filled_from_the_front_of_each_half_and_padded_with_minus_one() -> None:
    sampler, rng = PointsSampler(max_points=4), np.random.default_rng(2)
    for _ in range(50):
        points = sampler.sample(labels(), rng)
        assert points.shape == (8, 3) and points.dtype == np.float32
        for half in np.split(points, 2):
            used = int((half[:, 0] >= 0).sum())
            assert (half[:used] >= 0).all() and (half[:used, 2] == SAMPLED).all() and (half[used:] == -1).all()


def test_nine_positives_in_ten_keep_three_pixels_from_the_border() -> None:
    sampler, rng = PointsSampler(), np.random.default_rng(3)
    firsts = np.array([sampler.sample(labels(), rng)[0, :2] for _ in range(DRAWS)])
    assert ((firsts >= 20) & (firsts < 50)).all()
    inner = ((firsts >= 23) & (firsts < 47)).all(axis=1)
    share = (24 / 30) ** 2  # of the pixels lie inside
    assert as_likely(int(inner.sum()), DRAWS, 0.9 + 0.1 * share)


def test_an_object_of_which_the_erosion_leaves_ten_pixels_or_fewer_is_clicked_anywhere() -> None:
    scene, rng = np.zeros((40, 40), np.uint8), np.random.default_rng(4)
    scene[10:19, 10:19] = 1  # 3 x 3 = 9 pixels would be left
    firsts = {tuple(PointsSampler(erode_prob=1.0).sample(scene, rng)[0, :2]) for _ in range(1500)}
    assert len(firsts) == 81
    scene[10:20, 10:19] = 1  # 4 x 3 = 12
    firsts = {tuple(PointsSampler(erode_prob=1.0).sample(scene, rng)[0, :2]) for _ in range(300)}
    assert firsts == {(row, col) for row in range(13, 17) for col in range(13, 16)}


def test_negatives_are_a_tenth_background_four_tenths_others_and_half_border() -> None:
    sampler, rng, scene = PointsSampler(), np.random.default_rng(5), labels()
    outline = sampler.outline(scene)
    assert outline.sum() == 36**2 - 30**2  # ceil(0.1 * sqrt(900)) = 3 px all round
    found = np.concatenate([signed(sampler.sample(scene, rng))[1] for _ in range(1500)])[:, :2].astype(int).T
    draws = found.shape[1]
    on = scene[tuple(found)]
    assert set(np.unique(on)) == {BACKGROUND, OTHER}
    assert as_likely(int((on == OTHER).sum()), draws, 0.4)
    near = outline.sum() / (scene == BACKGROUND).sum()  # background clicks fall there too
    assert as_likely(int(outline[tuple(found)].sum()), draws, 0.5 + 0.1 * near)


def test_where_there_is_no_other_object_background_is_clicked_instead_and_ignored_pixels_never() -> None:
    scene = labels()
    scene[scene == OTHER] = BACKGROUND
    sampler, rng = PointsSampler(other=1.0, background=0.0, border=0.0), np.random.default_rng(6)
    for _ in range(200):
        for row, col, _ in signed(sampler.sample(scene, rng))[1]:
            assert scene[int(row), int(col)] == BACKGROUND


def test_a_centred_first_click_is_anywhere_deep_in_the_object() -> None:
    sampler, rng, scene = PointsSampler(centred=True), np.random.default_rng(7), labels()
    deep = deeper(scene == 1, 1.7)
    firsts = np.array([sampler.sample(scene, rng)[0, :2] for _ in range(DRAWS)], int)
    assert deep[tuple(firsts.T)].all()
    hits = np.bincount(firsts[:, 0] * 100 + firsts[:, 1], minlength=8000)[deep.ravel()]
    expected = DRAWS / deep.sum()
    chi = float(((hits - expected) ** 2 / expected).sum())
    freedom = int(deep.sum()) - 1
    assert abs(chi - freedom) < SIGMAS * (2 * freedom) ** 0.5


def test_depth_is_counted_from_the_edge_of_the_image_too() -> None:
    assert np.argwhere(deeper(np.ones((5, 5), bool), 1.4)).tolist() == [[2, 2]]  # 3 in the middle, 2 round it: 3 / 1.4 = 2.14
    assert deeper(np.ones((5, 5), bool), 1.7).sum() == 9


def test_every_merged_object_is_clicked() -> None:
    scene, rng = labels(), np.random.default_rng(8)
    scene[60:70, 60:70] = 2
    for _ in range(100):
        on = {int(scene[int(row), int(col)]) for row, col, _ in signed(PointsSampler().sample(scene, rng))[0]}
        assert on == {1, 2}


def test_fifteen_samples_in_a_hundred_ask_for_two_objects_where_there_are_two() -> None:
    sampler, rng = PointsSampler(), np.random.default_rng(9)
    assert {sampler.objects(1, rng) for _ in range(100)} == {1}
    asked = [sampler.objects(6, rng) for _ in range(DRAWS)]
    assert set(asked) == {1, 2}
    assert as_likely(asked.count(2), DRAWS, 0.15)
    assert {replace(sampler, merge_prob=1.0, max_merged=4).objects(9, rng) for _ in range(200)} == {2, 3, 4}


def test_shuffled_orders_number_the_clicks_once_each() -> None:
    sampler, rng = PointsSampler(order="shuffled"), np.random.default_rng(10)
    firsts = []
    for _ in range(200):
        points = sampler.sample(labels(), rng)
        positive, negative = signed(points)
        orders = np.concatenate([positive[:, 2], negative[:, 2]])
        assert sorted(orders) == list(range(len(orders)))
        firsts.append(orders[0])
    assert len(set(firsts)) > 3


def test_a_scene_without_an_object_has_negative_clicks_only() -> None:
    scene, rng = np.zeros((40, 40), np.uint8), np.random.default_rng(11)
    samples = [signed(PointsSampler().sample(scene, rng)) for _ in range(50)]
    assert all(len(positive) == 0 for positive, _ in samples)
    assert sum(len(negative) for _, negative in samples) > 50


def test_a_sampler_is_repeatable() -> None:
    one, two = (PointsSampler().sample(labels(), np.random.default_rng(12)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("size", [(40, 60), (60, 40)])
def test_an_object_that_fills_the_scene_can_be_clicked(size: tuple[int, int]) -> None:
    points = PointsSampler(centred=True).sample(np.ones(size, np.uint8), np.random.default_rng(13))
    positive, negative = signed(points)
    assert len(positive) >= 1 and len(negative) == 0
