"""Scenes out of a pool: the object, its neighbours, and how several become one wish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.training.augment_published import PublishedAugmentation
from backend.training.objects import Pool, PooledObject
from backend.training.points_sampler import PointsSampler
from backend.training.scene import IGNORED, OTHER, wanted
from backend.training.scene_source import SMALLEST, SceneSettings, SceneSource, labelled

STILL = PublishedAugmentation(scale=(1.0, 1.0), light_prob=0.0, rgb_prob=0.0)
SETTINGS = SceneSettings((96, 128), STILL, PointsSampler(merge_prob=0.0), background_prob=0.0)


def pool() -> Pool:
    """Two images of 300 x 400: in the first a bright and a middling square side by side and one far away, in the second one."""
    images = [np.full((300, 400, 3), 20, np.uint8) for _ in range(2)]
    objects = []
    for image, row, col, grey in ((0, 100, 100, 200), (0, 100, 140, 120), (0, 250, 360, 80), (1, 50, 50, 240)):
        images[image][row : row + 30, col : col + 30] = grey
        objects.append(PooledObject(image, "roof", (row, col, row + 30, col + 30), np.ones((30, 30), np.int8)))
    return Pool(tuple(images), tuple(objects), np.array([0.25] * 4))


def draws(settings: SceneSettings, count: int = 400) -> list:
    source, rng, data = SceneSource(settings), np.random.default_rng(0), pool()
    return [source.draw(data, rng) for _ in range(count)]


def test_labels_lie_on_their_objects_and_neighbours_are_others() -> None:
    scenes = draws(SETTINGS)
    kept = [scene for scene in scenes if scene is not None]
    assert len(kept) > 250  # some crops hold less than 20 pixels of their object
    with_others = 0
    for scene in kept:
        assert scene.image.shape == (96, 128, 3) and scene.labels.shape == (96, 128)
        (grey,) = np.unique(scene.image[scene.labels == 1])
        assert ((scene.image[..., 0] == grey) == (scene.labels == 1)).all()
        assert np.count_nonzero(scene.labels == 1) >= SMALLEST
        assert (scene.image[scene.labels == 0] <= 20).all() and (scene.image[scene.labels == OTHER] > 20).all()
        with_others += bool((scene.labels == OTHER).any())
    assert with_others > 50


def test_two_objects_in_view_may_be_wanted_together() -> None:
    scenes = [scene for scene in draws(replace(SETTINGS, sampler=PointsSampler(merge_prob=1.0))) if scene is not None]
    together = [scene for scene in scenes if (scene.labels == 2).any()]
    assert len(together) > 50
    for scene in together:
        assert {*np.unique(scene.image[wanted(scene.labels)])} <= {200, 120, 80}
    alone = [scene for scene in scenes if scene.image.max() == 240]
    assert alone and all(set(np.unique(scene.labels)) <= {0, 1} for scene in alone)


def test_a_share_of_the_crops_lies_anywhere_and_may_be_empty() -> None:
    scenes = [scene for scene in draws(replace(SETTINGS, background_prob=1.0)) if scene is not None]
    assert len(scenes) == 400
    empty = sum(not wanted(scene.labels).any() for scene in scenes)
    assert 200 < empty < 400


def test_chosen_objects_cover_others_the_first_covers_all_and_what_they_ignore_is_ignored() -> None:
    def item(row: int, col: int, mask: list[list[int]]) -> PooledObject:
        cells = np.array(mask, np.int8)
        return PooledObject(0, "roof", (row, col, row + cells.shape[0], col + cells.shape[1]), cells)

    first, second = item(0, 0, [[1, 1], [1, -1]]), item(0, 1, [[1, 1], [0, 1]])
    third = item(1, 0, [[1, 1, 1, 1]])
    assert labelled((0, 0, 3, 4), [first, second], [second, third]).tolist() == [[1, 1, 2, 0], [1, IGNORED, 2, OTHER], [0, 0, 0, 0]]
    assert labelled((1, 1, 2, 3), [first], []).tolist() == [[IGNORED, 0]]


def test_the_target_says_wanted_not_or_ignored() -> None:
    scene = next(scene for scene in draws(SETTINGS) if scene is not None and (scene.labels == OTHER).any())
    scene.labels[0, :5] = IGNORED
    assert (scene.target[scene.labels == OTHER] == 0).all() and (scene.target[0, :5] == -1).all()
    assert ((scene.target == 1) == wanted(scene.labels)).all()


def test_infrared_keeps_its_colour() -> None:
    data = pool()
    image = np.concatenate([data.images[0], np.full((300, 400, 1), 77, np.uint8)], axis=2)
    bands = ("R", "G", "B", "IR")
    four = Pool((image,), (replace(data.objects[0], bands=bands),), np.array([1.0]), bands)
    shifting = SceneSource(replace(SETTINGS, augmentation=replace(STILL, rgb_prob=1.0)))
    scenes = [shifting.draw(four, np.random.default_rng(seed)) for seed in range(20)]
    kept = [scene for scene in scenes if scene is not None]
    assert kept and all((scene.image[..., 3] == 77).all() for scene in kept)
    assert any((scene.image[scene.labels == 1][:, 0] != 200).any() for scene in kept)
