"""The published augmentation: sizes, mirrors, crops that hold the object, light, and bands."""

from __future__ import annotations

import numpy as np

from backend.training.augment_published import PublishedAugmentation
from backend.training.view import View

PLAIN = PublishedAugmentation(scale=(1.0, 1.0))
SBD = PublishedAugmentation(scale=(0.75, 1.25), mirrors="any", quarter_turns=True, shift=0.03, tilt=3.0)
RGBI = ("R", "G", "B", "IR")
DRAWS = 4000


def views(
    augmentation: PublishedAugmentation, anchor: tuple[float, float] | None, draws: int = DRAWS, size: tuple[int, int] = (400, 600)
) -> list[View]:
    rng = np.random.default_rng(0)
    return [augmentation.view(size, (100, 150), anchor, rng) for _ in range(draws)]


def share(hits: list[bool] | np.ndarray, probability: float) -> bool:
    return abs(np.mean(hits) - probability) < 4.5 * (probability * (1 - probability) / len(hits)) ** 0.5


def test_sizes_are_drawn_from_their_range_and_half_the_views_are_mirrored() -> None:
    matrices = np.array([view.to_image for view in views(PublishedAugmentation(), (200, 300))])
    factors = 1 / np.abs(matrices[:, 0, 0])
    assert 0.748 < factors.min() < 0.76 and 1.39 < factors.max() < 1.402
    assert abs(factors.mean() - 1.075) < 4.5 * 0.65 / np.sqrt(12 * DRAWS)
    assert share(matrices[:, 0, 0] < 0, 0.5)
    assert (matrices[:, 1, 1] > 0).all() and (matrices[:, 0, 1] == 0).all()


def test_every_crop_holds_its_pixel_and_lies_in_the_image_anywhere_it_can() -> None:
    tops = []
    for view in views(PLAIN, (210.5, 17.5)):
        x, y, _ = np.linalg.inv(view.to_image) @ [17.5, 210.5, 1]
        assert 0 <= x < 150 and 0 <= y < 100
        corner = np.array([view.to_image @ [x, y, 1] for x, y in ((0, 0), (150, 100))])
        assert corner[:, 0].min() >= 0 and corner[:, 0].max() <= 600
        tops.append(210.5 - y)
    assert min(tops) == 111 and max(tops) == 210  # 100 places, each as likely
    counts = np.bincount(np.array(tops, int) - 111, minlength=100)
    assert abs(((counts - 40) ** 2 / 40).sum() - 99) < 4.5 * (2 * 99) ** 0.5


def test_a_crop_without_a_pixel_to_hold_lies_anywhere() -> None:
    tops = [view.to_image[1, 2] for view in views(PLAIN, None)]
    assert min(tops) == 0 and max(tops) == 300


def test_a_small_image_lies_in_the_middle_of_its_crop() -> None:
    for view in views(PLAIN, (10.5, 10.5), 20, size=(60, 80)):
        x, y, _ = np.linalg.inv(view.to_image) @ [40, 30, 1]
        assert (x, y) == (75, 50)


def test_the_sbd_variant_turns_by_quarters_tilts_and_shifts() -> None:
    matrices = np.array([view.to_image for view in views(SBD, (200, 300))])
    across = np.abs(matrices[:, 0, 1]) > np.abs(matrices[:, 0, 0])  # turned by 90 or 270 degrees
    assert share(across, 0.25)  # half of the half that is turned
    unturned = matrices[~across]
    tilt = np.degrees(np.arctan2(unturned[:, 1, 0], unturned[:, 1, 1]))
    tilt = (tilt + 90) % 180 - 90
    assert np.abs(tilt).max() < 3.01
    assert share(np.abs(tilt) > 1e-9, 0.75)
    assert {bool(x) for x in np.linalg.det(matrices[:, :2, :2]) < 0} == {False, True}
    for view in views(SBD, (200, 300), 300):
        x, y, _ = np.linalg.inv(view.to_image) @ [300, 200, 1]
        assert -1e-6 <= x <= 150 and -1e-6 <= y <= 100


def test_light_is_as_often_and_as_strong_as_published() -> None:
    rng, image = np.random.default_rng(1), np.full((2, 2, 3), 100, np.uint8)
    only_light = PublishedAugmentation(rgb_prob=0.0)
    seen = np.array([int(only_light.light(image, "RGB", rng)[0, 0, 0]) for _ in range(DRAWS)])
    changed = seen != 100
    assert abs(changed.mean() - 0.75) < 0.035  # a change may round to nothing
    assert seen.min() >= 100 * 0.85 - 63.75 - 1 and seen.max() <= 100 * 1.4 + 63.75 + 1
    assert seen.min() < 30 and seen.max() > 195


def test_colours_are_shifted_by_ten_at_most_and_infrared_never() -> None:
    rng, image = np.random.default_rng(2), np.full((1, 1, 4), 100, np.uint8)
    only_shift = PublishedAugmentation(light_prob=0.0)
    seen = np.array([only_shift.light(image, RGBI, rng)[0, 0] for _ in range(DRAWS)]).astype(int) - 100
    assert (seen[:, 3] == 0).all()
    assert (seen[:, :3].min(axis=0) == -10).all() and (seen[:, :3].max(axis=0) == 10).all()
    assert abs((seen[:, :3] != 0).any(axis=1).mean() - 0.75) < 0.03
    assert abs(np.corrcoef(seen[seen.any(axis=1), 0], seen[seen.any(axis=1), 1])[0, 1]) < 0.1
    irrg = np.array([only_shift.light(image[..., :3], ("IR", "R", "G"), rng)[0, 0] for _ in range(200)]).astype(int) - 100
    assert (irrg[:, 0] == 0).all() and (irrg[:, 1] != 0).any() and (irrg[:, 2] != 0).any()


def test_light_changes_every_band_alike() -> None:
    rng, image = np.random.default_rng(3), np.full((1, 1, 4), 100, np.uint8)
    seen = np.array([PublishedAugmentation(rgb_prob=0.0).light(image, RGBI, rng)[0, 0] for _ in range(200)])
    assert (seen == seen[:, :1]).all() and len(np.unique(seen)) > 20


def test_values_stay_in_range() -> None:
    rng = np.random.default_rng(4)
    for value in (0, 255):
        seen = [PublishedAugmentation().light(np.full((4, 4, 3), value, np.uint8), "RGB", rng) for _ in range(100)]
        assert all(abs(int(one.max()) - value) <= 255 * 0.4 + 10 for one in seen)
