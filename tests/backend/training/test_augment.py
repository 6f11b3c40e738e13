"""Changes of light and sensor: for red, green and blue as they have always been; infrared is never made of colours, nor colours of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from backend.errors import UsageError
from backend.training.augment import ColourChanges, colours, dihedral

OFF = ColourChanges(infrared=0, shuffle=0, grey=0)


def picture(bands: int, side: int = 24) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (side, side + 3, bands), dtype=np.uint8)


def as_first_written(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The changes of the run that made the first shipped weights, written down so that later runs stay comparable with it."""
    pixels = image.astype(np.float32)
    chance = rng.random()
    if chance < 0.25:
        red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        infrared = 0.6 * green + 0.4 * red + rng.uniform(0.5, 3.5) * np.maximum(2 * green - red - blue, 0) + rng.uniform(0, 25)
        pixels = np.stack([infrared, red, green], axis=2, dtype=np.float32)
    elif chance < 0.4:
        pixels = pixels[..., rng.permutation(3)]
    elif chance < 0.45:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.8:
        mean = pixels.mean()
        contrast, brightness = rng.uniform(0.7, 1.35), rng.uniform(-35, 35)
        pixels = (pixels - mean) * contrast + mean + brightness
    if rng.random() < 0.5:
        pixels = pixels * rng.uniform(0.85, 1.15, size=3).astype(np.float32)
    if rng.random() < 0.4:
        grey = pixels.mean(axis=2, keepdims=True)
        pixels = grey + (pixels - grey) * rng.uniform(0.3, 1.6)
    if rng.random() < 0.4:
        pixels = 255.0 * (np.clip(pixels, 0, 255) / 255.0) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(2, 9), size=pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def test_red_green_and_blue_change_bit_for_bit_as_they_always_did() -> None:
    image, one, other = picture(3), np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(300):
        np.testing.assert_array_equal(colours(one, image), as_first_written(other, image))
    assert one.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize("bands", [("IR", "R", "G"), ("R", "G", "B", "IR"), ("L",), ("R", "G", "B", "IR", "X")])
def test_no_other_channel_leaks_into_infrared_nor_infrared_into_another(bands: tuple[str, ...]) -> None:
    """A channel that is the same everywhere stays without edges unless another one is mixed into it."""
    flat = [number for number, letter in enumerate(bands) if letter == "IR"] or [0]
    for channels in (flat, [number for number in range(len(bands)) if number not in flat]):
        image = picture(len(bands))
        image[..., channels] = 100
        rng = np.random.default_rng(2)
        for _ in range(150):
            state = rng.bit_generator.state
            changed = colours(rng, image, bands)
            noise_free = _without_noise(state, image, bands)
            if noise_free is not None:
                for channel in channels:
                    assert len(np.unique(noise_free[..., channel])) == 1
            assert changed.shape == image.shape and changed.dtype == np.uint8


def _without_noise(state: object, image: NDArray[np.uint8], bands: tuple[str, ...]) -> NDArray[np.uint8] | None:
    """The same draw again; None where it ended in noise, which no other change of a flat channel does."""

    class Silent(np.random.Generator):
        noisy = False

        def normal(self, *args: object, **settings: object) -> NDArray[np.float64]:  # type: ignore[override]
            self.noisy = True
            return super().normal(*args, **settings)  # type: ignore[arg-type]

    bits = np.random.PCG64()
    bits.state = state  # type: ignore[assignment]
    again = Silent(bits)
    changed = colours(again, image, bands)
    return None if again.noisy else changed


def test_infrared_gets_the_light_of_the_picture_and_a_gain_of_its_own() -> None:
    image = np.full((8, 8, 4), 100, np.uint8)
    seen = {tuple(colours(np.random.default_rng(seed), image, ("R", "G", "B", "IR"))[0, 0].tolist()) for seed in range(200)}
    assert any(one[3] != 100 for one in seen)
    assert any(one[3] - one[0] > 5 for one in seen) and any(one[0] - one[3] > 5 for one in seen)


def test_saturation_of_four_bands_moves_the_visible_three_only() -> None:
    class Saturating(np.random.Generator):
        """Says no to light and gain, yes to saturation, no to everything behind it."""

        answers = iter((0.9, 0.9, 0.0, 0.9, 0.9, 0.9))

        def random(self, *args: object, **settings: object) -> float:  # type: ignore[override]
            return next(self.answers)

    image = picture(4)
    changed = colours(Saturating(np.random.PCG64(3)), image, ("R", "G", "B", "IR"))
    np.testing.assert_array_equal(changed[..., 3], image[..., 3])
    assert not np.array_equal(changed[..., :3], image[..., :3])
    # grey + (value - grey) * factor keeps the mean of the three where nothing was clipped.
    inside = ((changed[..., :3] > 0) & (changed[..., :3] < 255)).all(axis=2)
    assert np.abs(changed[inside][:, :3].mean(axis=1) - image[inside][:, :3].mean(axis=1)).max() <= 1.0


def test_each_mixing_change_happens_as_often_as_its_probability_says() -> None:
    """Told apart by three flat channels: grey makes them equal, shuffling moves their levels, infrared makes one of them up."""
    only = {name: ColourChanges(**{"infrared": 0.0, "shuffle": 0.0, "grey": 0.0, name: 0.3}) for name in ("infrared", "shuffle", "grey")}
    image = np.zeros((4, 4, 3), np.uint8)
    image[...] = (40, 120, 200)
    for name, changes in only.items():
        plain = changed = 0
        for seed in range(1500):
            one, other = (np.random.default_rng(seed) for _ in range(2))
            chance = np.random.default_rng(seed).random()
            same = np.array_equal(colours(one, image, changes=changes), colours(other, image, changes=OFF))
            changed += chance < 0.3
            plain += same and chance < 0.3
            assert same or chance < 0.3, name
        assert 0.25 < changed / 1500 < 0.35
        assert plain < (0.35 if name == "shuffle" else 0.1) * changed, name  # one permutation in six changes nothing


def test_switched_off_changes_leave_the_order_of_the_channels() -> None:
    image = np.zeros((6, 6, 3), np.uint8)
    image[...] = (40, 120, 200)
    for seed in range(400):
        red, green, blue = colours(np.random.default_rng(seed), image, changes=OFF).astype(int).mean(axis=(0, 1))
        assert red < green < blue


@pytest.mark.parametrize("wrong", [{"infrared": -0.1}, {"shuffle": 1.2}, {"infrared": 0.6, "shuffle": 0.5}, {"grey": float("nan")}])
def test_what_is_no_probability_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected numbers from 0 to 1"):
        ColourChanges(**wrong)


def test_turns_and_mirrors_move_every_band_with_the_mask() -> None:
    image = picture(4)
    mask = (image[..., 3] > 128).astype(np.int8)
    seen = set()
    for seed in range(60):
        turned, with_it = dihedral(np.random.default_rng(seed), image, mask)
        np.testing.assert_array_equal(with_it, turned[..., 3] > 128)
        seen.add(turned.tobytes())
    assert len(seen) == 8
