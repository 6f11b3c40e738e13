"""Looks and clicks on several threads: the same samples, to the byte, as on one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from click_scenes import samples
from torch import Tensor, nn

from backend.training import episode_training
from backend.training.episode import EpisodeSettings
from backend.training.episode_training import EpisodeTraining
from backend.training.losses import sample_loss
from backend.training.threads import each

SETTINGS = EpisodeSettings(input_size=56, min_crop=20, sides=((28, 0.5), (56, 0.5)), chain=(0.0, 0.0, 1.0))
STEPS = 3  # of the three clicks that each sample has


class Inverted(nn.Module):
    """Its logits follow the image, so that every sample has errors to click into."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.seen: list[bytes] = []

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        self.seen += [x.numpy().tobytes(), points.numpy().tobytes()]
        return self.scale * (x[:, :1] - 0.3)


def history(threads: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[bytes], list[float], list[object]]:
    """Bytes of every x, points, labels and gradient, the losses and IoUs, and the samples' clicks and masks at the end."""
    method, net = EpisodeTraining(SETTINGS, threads), Inverted()
    batch, numbers, clicks = samples(method, 9), list[float](), list[object]()

    def watched(logits: Tensor, labels: Tensor) -> Tensor:
        net.seen.append(labels.numpy().tobytes())
        return sample_loss(logits, labels)

    monkeypatch.setattr(episode_training, "sample_loss", watched)
    for step in range(STEPS):
        found = method.loss(net, batch, np.random.default_rng(step), "cpu")
        found.loss.backward()
        assert net.scale.grad is not None
        numbers += [float(found.loss.detach()), found.scalars["iou"], float(net.scale.grad)]
        batch = method.going_on(batch, np.random.default_rng((step, 1)))
        clicks += [one.clicks.copy() for one in batch] + [one.probability.tobytes() for one in batch]
    return net.seen, numbers, clicks


def test_looks_labels_clicks_and_losses_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    none, one, four = (history(threads, monkeypatch) for threads in (0, 1, 4))
    assert len(none[0]) == 3 * STEPS and len(none[2]) > 20  # nearly all go on twice
    assert none == one == four


def test_each_sample_has_a_generator_of_its_own_and_each_step_others() -> None:
    """What is drawn for a sample does not depend on how much the samples before it drew."""
    method = EpisodeTraining(EpisodeSettings(input_size=28, look_again=0.5))
    many, alone = samples(method, 12), samples(method, 12)
    alone[0].clicks_left = 0  # draws nothing
    rng = np.random.default_rng(5)
    kept = method.going_on(many, np.random.default_rng(5))
    others = method.going_on(alone, rng)
    assert [one.clicks for one in many[1:]] == [one.clicks for one in alone[1:]]
    assert len(kept) > len(others) > 0
    before = [len(one.clicks) for one in alone]
    for _ in range(2):
        method.going_on(alone, rng)
    added = [len(one.clicks) - count for one, count in zip(alone, before, strict=True)]
    assert {0, 1, 2} >= set(added) and len(set(added[1:])) > 1


def test_items_are_shared_by_the_threads_and_come_back_in_order() -> None:
    both = threading.Barrier(2, timeout=30)  # breaks unless two threads are in a task at once

    def task(item: int) -> int:
        if item < 2:
            both.wait()
        return item * item

    assert each(task, range(50), 2) == [item * item for item in range(50)]
    assert each(lambda _: threading.get_ident(), range(3), 1) == [threading.get_ident()] * 3
    assert each(task, [], 4) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_a_task_is_raised(threads: int) -> None:
    def task(item: int) -> None:
        if item == 5:
            raise ValueError("the sixth")

    with pytest.raises(ValueError, match="the sixth"):
        each(task, range(8), threads)


def test_threads_are_torchs_unless_said_otherwise() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert EpisodeTraining(SETTINGS).threads == 2 and EpisodeTraining(SETTINGS, 5).threads == 5
        torch.set_num_threads(1)
        assert EpisodeTraining(SETTINGS).threads == 1
    finally:
        torch.set_num_threads(before)
