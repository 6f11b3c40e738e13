"""SUEM on scenes of all sizes."""

from __future__ import annotations

import numpy as np
import pytest

from backend.training.copy_paste import Suem
from backend.training.scene_mixing import AerialScene, mixed

RGB = ("R", "G", "B")


def scene(height: int, width: int, grey: int, bands: tuple[str, ...] = RGB) -> AerialScene:
    """An object of a quarter of the size, 40 brighter than its ground; the first row ignored."""
    image, target = np.full((height, width, len(bands)), grey, np.uint8), np.zeros((height, width), np.int8)
    target[height // 4 : height // 2, width // 4 : width // 2] = 1
    image[target == 1] += 40
    target[0] = -1
    return image, target, bands


@pytest.mark.parametrize("other", [(60, 80), (200, 300), (30, 500), (40, 40)])
def test_whatever_the_other_scenes_size_the_result_has_the_first_ones(other: tuple[int, int]) -> None:
    first, rng = scene(60, 80, 20), np.random.default_rng(0)
    for _ in range(30):
        image, target, bands = mixed(first, lambda: scene(*other, 150), Suem(), rng)
        assert image.shape == (60, 80, 3) and image.dtype == np.uint8 and target.shape == (60, 80) and target.dtype == np.int8
        assert bands == RGB and set(np.unique(target)) <= {-1, 0, 1} and (target == 1).sum() > 20


def test_an_object_of_a_larger_scene_is_pasted_with_its_pixels() -> None:
    suem, rng = Suem(paste_prob=1.0, mix_prob=0.0, fewest_opaque=1.0), np.random.default_rng(1)
    first, seen = scene(60, 80, 20), 0
    for _ in range(60):
        image, target, _ = mixed(first, lambda: scene(400, 400, 150), suem, rng)
        # Simple: on the other image, whose ground is 150; then an object of 190 over it, wanted or not.
        assert set(np.unique(image)) <= {60, 150, 190}
        wanted = set(np.unique(image[target == 1]))
        assert wanted in ({60}, {190}, {60, 190})
        seen += wanted == {60, 190}
    assert seen > 3


def test_without_a_step_the_scene_is_itself() -> None:
    first = scene(60, 80, 20)
    image, target, _ = mixed(first, lambda: scene(90, 90, 150), Suem(paste_prob=0.0, mix_prob=0.0), np.random.default_rng(2))
    np.testing.assert_array_equal(image, first[0])
    np.testing.assert_array_equal(target, first[1])


def test_single_bands_are_mixed_too() -> None:
    first = scene(60, 80, 20, ("R",))
    image, _, _ = mixed(first, lambda: scene(30, 30, 150, ("R",)), Suem(1.0, 1.0), np.random.default_rng(3))
    assert image.shape == (60, 80, 1)
