"""Simulated annotations: the first click, the region of interest, the next click."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.training.episode import Episode, EpisodeSettings, new_episode
from backend.training.episode_training import EpisodeTraining
from backend.training.objects import PooledObject

SETTINGS = EpisodeSettings(input_size=56, min_crop=20)


def square(side: int = 80, low: int = 30, high: int = 50) -> Episode:
    target = np.zeros((side, side), np.int8)
    target[low:high, low:high] = 1
    return Episode(np.full((side, side, 3), 90, np.uint8), target, clicks_left=3)


def test_the_first_click_is_positive_and_in_the_middle() -> None:
    episode = square(low=30, high=51)
    assert episode.add_click(None)
    assert episode.clicks == [(40.0, 40.0, True)]


def test_the_first_look_is_a_window_and_the_next_one_is_round_the_mask() -> None:
    episode = square()
    episode.add_click(None)
    x, labels, clicks = episode.look(SETTINGS, None)
    assert episode.roi == (0, 0, 80, 80)
    assert x.shape == (4, 56, 56) and labels.shape == (56, 56) and x.dtype == labels.dtype == np.float32
    assert clicks[0][0] == pytest.approx(episode.clicks[0][0] * 56 / 80)
    episode.learn(labels)  # a perfect answer
    assert episode.iou > 0.9
    episode.look(SETTINGS, None)
    assert episode.roi == (26, 26, 55, 55)  # 20 px object, 1.4 times: 28 px about its centre 39.5, ends included


def test_what_was_not_looked_at_is_no_longer_object() -> None:
    episode = square()
    episode.add_click(None)
    episode.look(SETTINGS, None)
    episode.learn(np.ones((56, 56), np.float32))
    episode.roi = (0, 0, 40, 40)
    episode.learn(np.ones((56, 56), np.float32))
    assert episode.probability[:40, :40].min() == 1 and episode.probability[40:].max() == 0


def test_a_negative_click_follows_when_too_much_was_found_and_none_when_all_is_right() -> None:
    episode = square()
    episode.probability = np.zeros((80, 80), np.float32)
    episode.probability[30:50, 10:50] = 1
    assert episode.add_click(None)
    row, col, positive = episode.clicks[-1]
    assert not positive and 30 <= row < 50 and 10 <= col < 30
    episode.probability = (episode.target == 1).astype(np.float32)
    assert not episode.add_click(None)


def test_ignored_pixels_attract_no_click_and_do_not_count() -> None:
    episode = square()
    episode.target[0:20] = -1
    episode.probability = (episode.target != 0).astype(np.float32)
    assert episode.iou == 1.0
    assert not episode.add_click(None)


def test_an_episode_is_reproducible_from_its_seed() -> None:
    image = np.random.default_rng(1).integers(0, 255, (300, 260, 3), dtype=np.uint8)
    item = PooledObject(0, "roof", (100, 90, 160, 170), np.ones((60, 80), np.int8))
    one, other = (new_episode(image, item, SETTINGS, np.random.default_rng(7), augment=True) for _ in range(2))
    assert one is not None and other is not None
    np.testing.assert_array_equal(one.image, other.image)
    assert one.clicks == other.clicks and one.clicks_left == other.clicks_left


def test_every_cut_keeps_image_and_object_together() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[150:230, 120:260] = 200
    item = PooledObject(0, "roof", (150, 120, 230, 260), np.ones((80, 140), np.int8))
    made = [new_episode(image, item, SETTINGS, np.random.default_rng(seed), augment=False) for seed in range(30)]
    kept = [episode for episode in made if episode is not None]
    assert len(kept) > 15
    for episode in kept:
        bright = episode.image[..., 0] > 100
        both, either = (bright & (episode.target == 1)).sum(), (bright | (episode.target == 1)).sum()
        assert both / either > 0.97


def test_scenes_keep_their_scale_where_the_settings_say_so() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    item = PooledObject(0, "roof", (180, 180, 220, 220), np.ones((40, 40), np.int8))
    made = [
        new_episode(image, item, replace(SETTINGS, scales=(1.0, 1.0)), np.random.default_rng(seed), augment=False) for seed in range(40)
    ]
    areas = {int((episode.target == 1).sum()) for episode in made if episode is not None}
    jittered = [new_episode(image, item, SETTINGS, np.random.default_rng(seed), augment=False) for seed in range(40)]
    assert max(areas) == 1600  # whole objects keep their pixels, cut ones have fewer
    assert len({int((episode.target == 1).sum()) for episode in jittered if episode is not None} - areas) > 10
    assert max(int((episode.target == 1).sum()) for episode in jittered if episode is not None) > 2500


def test_where_nothing_was_found_the_scene_a_window_and_the_object_itself_are_looked_at() -> None:
    """A quarter the whole scene, 45 % a window about the click whose side varies, the rest the object; without chance always the window."""
    settings = EpisodeSettings(input_size=28, first_window=60, min_crop=20)
    episode = square(side=200, low=90, high=110)
    episode.add_click(None)
    rng = np.random.default_rng(0)
    sides: list[int] = []
    for _ in range(600):
        episode.look(settings, rng)
        assert episode.roi is not None
        row0, col0, row1, col1 = episode.roi
        row, col, _ = episode.clicks[0]
        assert row1 - row0 == col1 - col0 and row0 <= row < row1 and col0 <= col < col1
        sides.append(row1 - row0)
    shares = [np.mean([low <= side < high for side in sides]) for low, high in ((200, 201), (33, 101), (20, 33))]
    # A window of the smallest sides is as large as the object's own region of the largest: 1.3 * 1.4 * 20 px and one more.
    assert shares[0] == pytest.approx(0.25, abs=0.06) and sum(shares) > 0.85
    assert np.mean([side > 37 for side in sides]) == pytest.approx(0.7, abs=0.06)
    assert max(side for side in sides if side < 200) == pytest.approx(60 * np.exp(0.5), abs=2)
    episode.look(settings, None)
    row, col, _ = episode.clicks[0]
    assert episode.roi == (row - 30, col - 30, row + 30, col + 30)


def test_a_window_at_the_edge_is_pushed_inside() -> None:
    episode = square(side=200, low=4, high=20)
    episode.add_click(None)
    episode.look(EpisodeSettings(input_size=28, first_window=60), None)
    assert episode.roi == (0, 0, 60, 60)


def test_an_annotation_goes_on_with_clicks_or_is_looked_at_once_more_and_ends() -> None:
    method = EpisodeTraining(EpisodeSettings(input_size=28, look_again=0.5))
    again = clicked = 0
    for seed in range(200):
        episode = square()
        episode.add_click(None)
        assert method.going_on([episode], np.random.default_rng(seed)) == [episode]
        again += len(episode.clicks) == 1
        clicked += len(episode.clicks) == 2
    assert again + clicked == 200 and 70 < again < 130
    done = square()
    done.clicks_left = 0
    assert method.going_on([done], np.random.default_rng(0)) == []
    right = square()
    right.add_click(None)
    right.probability = (right.target == 1).astype(np.float32)
    assert EpisodeTraining(EpisodeSettings(look_again=0.0)).going_on([right], np.random.default_rng(0)) == []


def test_a_packed_annotation_goes_on_as_it_was() -> None:
    method = EpisodeTraining(SETTINGS)
    episode = square()
    episode.add_click(None)
    episode.probability[30:40, 30:50] = 0.75
    episode.add_click(None)
    copy = method.unpacked(method.packed(episode))
    assert copy.clicks == episode.clicks and copy.clicks_left == episode.clicks_left
    for name in ("image", "target", "probability"):
        one, other = getattr(copy, name), getattr(episode, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    looks = [one.look(SETTINGS, np.random.default_rng(3)) for one in (copy, episode)]
    np.testing.assert_array_equal(looks[0][0], looks[1][0])
