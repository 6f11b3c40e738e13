"""How the weights are moved: the course of the learning rate, which parameter learns how fast, and the average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.segmenters import registry
from backend.training.averaging import Average
from backend.training.optimisation import Optimisation
from backend.training.optimiser import optimiser_of, peaks
from backend.training.schedule import share_of_peak


def test_the_linear_schedule_rises_stays_and_falls() -> None:
    plan = Optimisation(steps=100, warmup=10, decay_share=0.2)
    assert share_of_peak(0, plan) == pytest.approx(0.1)
    assert share_of_peak(50, plan) == 1.0
    assert share_of_peak(90, plan) == pytest.approx(0.5)
    assert share_of_peak(99, plan) == pytest.approx(0.05)


def test_the_cosine_schedule_falls_slowly_at_both_ends() -> None:
    plan = Optimisation(steps=100, schedule="cosine", decay_share=1.0)
    assert share_of_peak(0, plan) == 1.0
    assert share_of_peak(25, plan) == pytest.approx(0.8536, abs=1e-4)
    assert share_of_peak(50, plan) == pytest.approx(0.5)
    assert share_of_peak(99, plan) == 0.02


def test_the_step_schedule_divides_by_ten_at_each_milestone() -> None:
    plan = Optimisation(steps=20, schedule="step", milestones=(0.8, 0.95), warmup=2)
    assert [share_of_peak(step, plan) for step in (0, 1, 15, 16, 18, 19)] == pytest.approx([0.5, 1.0, 1.0, 0.1, 0.1, 0.01])


def test_pretrained_blocks_learn_slower_towards_the_input_and_what_is_new_learns_fast() -> None:
    net = registry.build("vitclick", "tiny")  # two blocks
    names = [name for name, _ in net.named_parameters()]
    body = frozenset(name for name in names if name.startswith(("blocks.", "patch_embed", "cls_token", "pos_embed")))
    plan = Optimisation(lr=1.0, pretrained_lr=0.1, layer_decay=0.5)
    found = peaks(net, body, plan)
    assert found["blocks.1.mlp.fc1.weight"] == pytest.approx(0.1)
    assert found["blocks.0.mlp.fc1.weight"] == pytest.approx(0.05)
    assert found["patch_embed.weight"] == found["pos_embed"] == pytest.approx(0.025)
    assert found["predict.weight"] == found["click_embed.weight"] == 1.0
    whole = peaks(net, frozenset(names), plan)  # a weight file that is fine-tuned: its head is no embedding
    assert whole["predict.weight"] == pytest.approx(0.1) and whole["click_embed.weight"] == pytest.approx(0.025)


def test_the_longest_prefix_decides_the_multiplier() -> None:
    net = nn.ModuleDict({"body": nn.ModuleDict({"stem": nn.Linear(1, 1), "rest": nn.Linear(1, 1)}), "head": nn.Linear(1, 1)})
    found = peaks(net, frozenset(), Optimisation(lr=1.0, multipliers=(("body", 0.1), ("body.stem", 0.5))))
    assert (found["body.rest.weight"], found["body.stem.bias"], found["head.weight"]) == (0.1, 0.5, 1.0)


def test_only_matrices_decay_and_frozen_parameters_are_left_out() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].requires_grad_(False)
    optimiser = optimiser_of(net, frozenset(), Optimisation(lr=0.5, weight_decay=0.1))
    decays = {tuple(param.shape): group["weight_decay"] for group in optimiser.param_groups for param in group["params"]}
    assert decays == {(2, 2): 0.1, (2,): 0.0}
    assert isinstance(optimiser, torch.optim.AdamW)
    assert not isinstance(optimiser_of(net, frozenset(), Optimisation(optimiser="adam")), torch.optim.AdamW)


def test_the_average_follows_by_its_share_and_sooner_at_the_start() -> None:
    net = nn.BatchNorm1d(1)
    average = Average(net, keep=0.9)
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    average.follow(net, 0)  # keeps 0.1
    assert average.weights["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    assert average.weights["num_batches_tracked"].item() == 7
    average.load({"weight": torch.zeros(1)})
    average.follow(net, 1000)
    assert average.weights["weight"].item() == pytest.approx(0.2)


def test_no_average_is_the_network_itself() -> None:
    net = nn.Linear(1, 1)
    average = Average(net, keep=0.0)
    with torch.no_grad():
        net.weight.fill_(3.0)
    average.follow(net, 500)
    assert average.weights["weight"].item() == 3.0
