"""The iterative click loss: how many answers, what each weighs, and that no gradient runs from one to the one before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from click_scenes import losses, network, samples
from torch import Tensor, nn

from backend.training.augment_published import PublishedAugmentation
from backend.training.copy_paste import Suem
from backend.training.icl import IclSettings, IclTraining
from backend.training.losses import normalized_focal_loss
from backend.training.points_sampler import PointsSampler
from backend.training.scene_source import SceneSettings

SCENE = SceneSettings((112, 112), PublishedAugmentation(), PointsSampler(max_points=12, order="shuffled"), background_prob=0.0, suem=Suem())
SETTINGS = IclSettings(SCENE)


class Follower(nn.Module):
    """Logit of every pixel: own + gain * previous probability."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.tensor(-1.0))
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.asked: list[tuple[Tensor, Tensor, bool, bool]] = []

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        self.asked.append((x, points.clone(), self.training, torch.is_grad_enabled()))
        return self.own + self.gain * x[:, -1:]


def answers_of(seed: int) -> int:
    return int(np.random.default_rng(seed).integers(1, 4))


def three() -> np.random.Generator:
    return np.random.default_rng(next(seed for seed in range(99) if answers_of(seed) == 3))


def test_one_to_three_answers_all_with_gradient_in_train_mode() -> None:
    method = IclTraining(SETTINGS)
    batch, asked = samples(method, 2), set()
    for seed in range(20):
        net = Follower().train()
        step = method.loss(net, batch, np.random.default_rng(seed), "cpu")
        assert len(net.asked) == answers_of(seed) == step.scalars["answers"]
        assert all(training and gradient for _, _, training, gradient in net.asked)
        asked.add(len(net.asked))
    assert asked == {1, 2, 3}


def test_the_answers_weigh_one_two_three_and_the_one_before_is_a_constant() -> None:
    method, net = IclTraining(SETTINGS), Follower().train()
    batch = samples(method, 3)
    step = method.loss(net, batch, three(), "cpu")
    step.loss.backward()
    target = torch.tensor(np.stack([sample.target for sample in batch]))[:, None].float()
    own, gain = (torch.tensor(value, requires_grad=True) for value in (-1.0, 0.5))
    previous, expected = torch.zeros_like(target), torch.zeros(())
    for weight in (1.0, 2.0, 3.0):
        logits = own + gain * previous
        expected = expected + weight * normalized_focal_loss(logits, target).mean()
        previous = logits.sigmoid().detach()
    expected.backward()
    torch.testing.assert_close(step.loss.detach(), expected.detach())
    torch.testing.assert_close(net.own.grad, own.grad)
    torch.testing.assert_close(net.gain.grad, gain.grad)
    assert not any(x.requires_grad for x, _, _, _ in net.asked)


def test_new_clicks_take_the_first_free_slot_and_none_follows_the_last_answer() -> None:
    method, net = IclTraining(SETTINGS), Follower().train()
    batch = samples(method, 6)
    method.loss(net, batch, three(), "cpu")
    used = [[int((points[:12, 0] >= 0).sum()) for points in asked[1]] for asked in net.asked]
    for sample, first, second, third, points in zip(batch, *used, net.asked[-1][1], strict=True):
        assert first == (sample.points[:12, 0] >= 0).sum()
        assert second == min(first + 1, 12) and third == min(second + 1, 12)  # nothing is ever found: all clicks are positive
        if first < 11:
            for row, col, _ in points[first:third]:
                assert sample.target[int(row), int(col)] == 1
    assert len(net.asked) == 3


def test_a_few_steps_on_the_same_samples_lower_the_loss() -> None:
    method = IclTraining(replace(SETTINGS, scene=replace(SCENE, suem=None)))
    history = losses(method, network("simpleclick"), 20, 2e-3, batch=4)
    assert np.mean(history[-3:]) < 0.75 * history[0]
