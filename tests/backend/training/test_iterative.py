"""RITM's iterative training: which passes are made, in which mode, with which clicks and previous answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click_scenes import losses, network, samples
from torch import Tensor, nn

from backend.training.augment_published import PublishedAugmentation
from backend.training.iterative import IterativeSettings, IterativeTraining
from backend.training.losses import cross_entropy_over_all, normalized_focal_loss
from backend.training.points_sampler import SAMPLED, PointsSampler
from backend.training.scene_source import SceneSettings

SCENE = SceneSettings((112, 112), PublishedAugmentation(), PointsSampler(max_points=6), background_prob=0.0)
SETTINGS = IterativeSettings(SCENE)


class Recorder(nn.Module):
    """Answers every pixel with one learned logit, and keeps what it was asked."""

    def __init__(self, logit: float = -1.0) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))
        self.norm = nn.BatchNorm2d(1)
        self.calls: list[tuple[Tensor, Tensor, bool, bool]] = []

    def forward(self, x: Tensor, points: Tensor, *, auxiliary: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        self.calls.append((x, points.clone(), self.training, torch.is_grad_enabled()))
        logits = self.logit + 0 * self.norm(x[:, :1])
        return (logits, 2 * logits) if auxiliary else logits


def clicks_of(seed: int) -> int:
    return int(np.random.default_rng(seed).integers(0, 4))


def test_none_to_three_passes_without_gradient_in_eval_mode_then_one_in_train_mode() -> None:
    method = IterativeTraining(SETTINGS)
    batch = samples(method, 2)
    asked = set()
    for seed in range(24):
        net = Recorder().train()
        step = method.loss(net, batch, np.random.default_rng(seed), "cpu")
        modes = [(training, gradient) for _, _, training, gradient in net.calls]
        assert modes == [(False, False)] * clicks_of(seed) + [(True, True)]
        assert step.scalars["clicks"] == clicks_of(seed)
        asked.add(len(modes))
    assert asked == {1, 2, 3, 4}


def test_passes_without_gradient_leave_batch_norm_and_frozen_modules_alone() -> None:
    net = Recorder().train()
    net.norm.eval()  # frozen by whoever trains
    method = IterativeTraining(SETTINGS)
    seed = next(seed for seed in range(99) if clicks_of(seed) == 3)
    method.loss(net, samples(method, 2), np.random.default_rng(seed), "cpu")
    assert net.training and not net.norm.training
    assert net.norm.num_batches_tracked == 0
    net.norm.train()
    method.loss(net, samples(method, 2), np.random.default_rng(seed), "cpu")
    assert net.norm.num_batches_tracked == 1  # the learning step alone


def test_each_click_corrects_the_answer_before_from_the_last_slot_on() -> None:
    seed = next(seed for seed in range(99) if clicks_of(seed) == 3)
    method, net = IterativeTraining(SETTINGS), Recorder(-1.0).train()  # never finds anything: every click is positive
    batch = samples(method, 2)
    method.loss(net, batch, np.random.default_rng(seed), "cpu")
    first, last = net.calls[0], net.calls[-1]
    assert (first[0][:, 3] == 0).all()
    torch.testing.assert_close(last[0][:, 3], torch.full((2, 112, 112), torch.tensor(-1.0).sigmoid().item()))
    for sample, points in zip(batch, last[1], strict=True):
        assert points[3:6, 2].tolist() == [3, 2, 1]  # slots 5, 4, 3 of 6
        assert all(sample.target[int(row), int(col)] == 1 for row, col, _ in points[3:6])
        np.testing.assert_array_equal(points[:3], sample.points[:3])
        np.testing.assert_array_equal(points[6:], sample.points[6:])
        assert sample.points[0, 2] == SAMPLED


def test_the_loss_is_the_focal_loss_and_four_tenths_of_the_auxiliary_cross_entropy() -> None:
    seed = next(seed for seed in range(99) if clicks_of(seed) == 0)
    method, net = IterativeTraining(replace(SETTINGS, auxiliary_weight=0.4)), Recorder(-1.0).train()
    batch = samples(method, 2)
    step = method.loss(net, batch, np.random.default_rng(seed), "cpu")
    target = torch.tensor(np.stack([sample.target for sample in batch]))[:, None].float()
    logits = torch.full_like(target, -1.0)
    expected = normalized_focal_loss(logits, target) + 0.4 * cross_entropy_over_all(2 * logits, target)
    torch.testing.assert_close(step.loss.detach(), expected.mean())
    step.loss.backward()
    assert net.logit.grad is not None and net.logit.grad != 0


def test_samples_are_seen_once_and_survive_a_checkpoint() -> None:
    method = IterativeTraining(SETTINGS)
    (sample,) = samples(method, 1)
    assert method.going_on([sample], np.random.default_rng(0)) == []
    again = method.unpacked(method.packed(sample))
    for name in ("image", "target", "points"):
        np.testing.assert_array_equal(getattr(again, name), getattr(sample, name))


@pytest.mark.parametrize(("family", "auxiliary", "steps"), [("ritm", 0.4, 8), ("simpleclick", 0.0, 24)])
def test_a_few_steps_on_the_same_samples_lower_the_loss(family: str, auxiliary: float, steps: int) -> None:
    method = IterativeTraining(replace(SETTINGS, auxiliary_weight=auxiliary))
    history = losses(method, network(family), steps, 2e-3, batch=4)
    assert np.mean(history[-3:]) < 0.8 * history[0]


def test_batch_statistics_of_a_real_network_move_once_a_step() -> None:
    method, net = IterativeTraining(replace(SETTINGS, auxiliary_weight=0.4)), network("ritm")
    seed = next(seed for seed in range(99) if clicks_of(seed) == 3)
    method.loss(net, samples(method, 2), np.random.default_rng(seed), "cpu")
    tracked = {int(value) for name, value in net.state_dict().items() if name.endswith("num_batches_tracked")}
    # f_pixel and f_object of the OCR head are never run (MODELS.md, gotcha 8).
    assert tracked == {0, 1}
    assert net.state_dict()["feature_extractor.bn1.num_batches_tracked"] == 1
