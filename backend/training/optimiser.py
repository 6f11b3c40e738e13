"""The optimiser of a run: which parameter moves how fast, and which shrink."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from backend.training.optimisation import Optimisation

# A block's place in the networks of this project: `blocks.7.`, `backbone.blocks.7.`, `image_encoder.layers.2.blocks.1.`
_PLACE = re.compile(r"\b(?:layers\.(\d+)\.)?blocks\.(\d+)\.")


def optimiser_of(net: nn.Module, pretrained: frozenset[str], plan: Optimisation) -> torch.optim.Optimizer:
    """AdamW or Adam over all parameters with a gradient. Each group's `peak` is its learning rate at the height of the schedule."""
    kind = torch.optim.AdamW if plan.optimiser == "adamw" else torch.optim.Adam
    return kind(_groups(net, pretrained, plan), betas=plan.betas, eps=plan.eps)


def peaks(net: nn.Module, pretrained: frozenset[str], plan: Optimisation) -> dict[str, float]:
    """The peak learning rate of every parameter, by its name.

    Pretrained parameters before the first block (embeddings) learn as slowly as its depth asks, those behind the last block as fast as it.
    """
    levels = _levels([name for name, _ in net.named_parameters()])
    top = max((levels[name] for name in pretrained if name in levels), default=0)
    rates: dict[str, float] = {}
    for name, level in levels.items():
        rate = plan.lr
        if name in pretrained and plan.pretrained_lr is not None:
            rate = plan.pretrained_lr
        if name in pretrained:
            rate *= plan.layer_decay ** max(top - level, 0)
        fitting = [(prefix, factor) for prefix, factor in plan.multipliers if name.startswith(prefix)]
        rates[name] = rate * max(fitting, key=lambda pair: len(pair[0]), default=("", 1.0))[1]
    return rates


def _levels(names: Sequence[str]) -> dict[str, int]:
    """Of every parameter, the number of its block, counted from 1 in the order of the network; 0 before the first block."""
    places = {name: tuple(int(part or 0) for part in found.groups()) for name in names if (found := _PLACE.search(name))}
    order = {place: number for number, place in enumerate(sorted(set(places.values())), start=1)}
    levels: dict[str, int] = {}
    reached = 0
    for name in names:
        reached = max(reached, order[places[name]]) if name in places else reached
        levels[name] = order[places[name]] if name in places else reached
    return levels


def _groups(net: nn.Module, pretrained: frozenset[str], plan: Optimisation) -> list[dict[str, Any]]:
    """Parameters of one learning rate and decay are one group. Only matrices and kernels decay."""
    rates = peaks(net, pretrained, plan)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            decay = plan.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rates[name], decay), []).append(parameter)
    return [{"params": params, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]
