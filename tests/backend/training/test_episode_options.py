"""What the aerial recipe can borrow from ICL: copy-paste between scenes, and later clicks that weigh more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from click_scenes import squares
from torch import Tensor, nn

from backend.training.copy_paste import Suem
from backend.training.episode import Episode, EpisodeSettings, new_episode
from backend.training.episode_training import EpisodeTraining
from backend.training.losses import sample_loss
from backend.training.recipes import recipe

SETTINGS = EpisodeSettings(input_size=56, min_crop=20)


def drawn(settings: EpisodeSettings, seed: int, *, others: bool = True) -> Episode | None:
    pool, rng = squares(3), np.random.default_rng(seed)
    image, item = pool.draw(rng)
    return new_episode(image, item, settings, rng, augment=True, others=pool if others else None)


def test_without_copy_paste_nothing_about_a_draw_changes() -> None:
    for seed in range(5):
        one, other = drawn(SETTINGS, seed), drawn(SETTINGS, seed, others=False)
        assert one is not None and other is not None and one.clicks == other.clicks
        np.testing.assert_array_equal(one.image, other.image)


def test_with_it_scenes_keep_their_size_and_some_change() -> None:
    changed = 0
    for seed in range(30):
        one, other = drawn(replace(SETTINGS, suem=Suem()), seed), drawn(SETTINGS, seed)
        assert one is not None and other is not None
        assert one.image.shape == other.image.shape and one.target.shape == other.target.shape
        assert one.clicks[0][2] and one.target[int(one.clicks[0][0]), int(one.clicks[0][1])] == 1
        changed += not np.array_equal(one.image, other.image)
    assert 20 <= changed <= 30  # 7 in 8


def test_validation_scenes_are_never_mixed() -> None:
    pool = squares(3)
    image, item = pool.draw(np.random.default_rng(0))
    made = [
        new_episode(image, item, replace(SETTINGS, suem=suem), np.random.default_rng(1), augment=False) for suem in (None, Suem(1.0, 1.0))
    ]
    assert made[0] is not None and made[1] is not None
    np.testing.assert_array_equal(made[0].image, made[1].image)


class Constant(nn.Module):
    """One logit everywhere."""

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        return torch.full((len(x), 1, 28, 28), -0.5)


def test_the_loss_of_a_batch_weighs_its_episodes_by_their_clicks() -> None:
    method = EpisodeTraining(replace(SETTINGS, click_weights=(1.0, 2.0, 3.0)))
    episodes = [one for one in (drawn(SETTINGS, seed) for seed in range(4)) if one is not None]
    episodes[1].clicks.append((1.0, 1.0, False))
    episodes[2].clicks += [(1.0, 1.0, False)] * 4
    labels = torch.from_numpy(np.stack([one.look(SETTINGS, None)[1] for one in episodes]))[:, None]
    losses = sample_loss(torch.full_like(labels, -0.5), labels)
    weights = torch.tensor([{1: 1.0, 2: 2.0}.get(len(one.clicks), 3.0) for one in episodes])
    assert weights.tolist()[:3] == [1, 2, 3]
    found = method.loss(Constant(), episodes, None, "cpu").loss
    torch.testing.assert_close(found, (losses * weights).sum() / weights.sum())


def test_the_recipes_differ_from_aerial_in_that_alone() -> None:
    aerial, icl, suem = (recipe(name) for name in ("aerial", "aerial_icl", "aerial_suem"))
    assert isinstance(icl.method, EpisodeSettings) and isinstance(suem.method, EpisodeSettings)
    assert replace(icl, name="aerial", method=replace(icl.method, click_weights=())) == aerial
    assert replace(suem, name="aerial", method=replace(suem.method, suem=None)) == aerial
    assert icl.method.click_weights == (1, 2, 3) and suem.method.suem == Suem()


def test_a_step_looks_at_one_of_the_sides_by_their_shares() -> None:
    seen: list[int] = []

    class Watched(torch.nn.Module):
        def forward(self, x: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape[-1])
            return torch.zeros(len(x), 1, 4, 4, requires_grad=True)

    image = np.zeros((64, 64, 3), np.uint8)
    target = np.zeros((64, 64), np.int8)
    target[20:40, 20:40] = 1
    rng = np.random.default_rng(0)
    method = EpisodeTraining(EpisodeSettings(input_size=28, sides=((28, 0.25), (42, 0.75))))
    for _ in range(400):
        episode = Episode(image, target, 2)
        assert episode.add_click(rng)
        method.loss(Watched(), [episode], rng, "cpu")
    assert set(seen) == {28, 42}
    assert 260 < seen.count(42) < 340  # 300 expected, 8.7 the standard deviation
    assert method.loss(Watched(), [episode], None, "cpu").scalars["iou"] >= 0
    assert seen[-1] == 28
