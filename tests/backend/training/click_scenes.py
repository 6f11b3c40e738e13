"""Bright squares on a noisy ground, and what a few steps of a method do to a network on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from backend.segmenters import registry
from backend.training.method import Method
from backend.training.objects import Pool, PooledObject


def squares(count: int = 6, side: int = 200) -> Pool:
    """Images of 200 x 200 px with one object of 60 to 100 px each."""
    rng = np.random.default_rng(0)
    images, objects = [], []
    for number in range(count):
        image = rng.integers(20, 60, (side, side, 3), dtype=np.uint8)
        row, col = rng.integers(10, 90, 2)
        high, wide = rng.integers(60, 100, 2)
        image[row : row + high, col : col + wide] += 150
        images.append(image)
        objects.append(PooledObject(number, "roof", (int(row), int(col), int(row + high), int(col + wide)), np.ones((high, wide), np.int8)))
    return Pool(tuple(images), tuple(objects), np.full(count, 1 / count))


def network(family: str, architecture: str = "tiny") -> nn.Module:
    """With the random weights of seed 0."""
    torch.manual_seed(0)
    return registry.build(family, architecture).train()


def samples(method: Method, count: int, seed: int = 0) -> list:
    """So many usable samples."""
    rng, pool, found = np.random.default_rng(seed), squares(), []
    while len(found) < count:
        sample = method.draw(pool, rng)
        if sample is not None:
            found.append(sample)
    return found


def losses(method: Method, net: nn.Module, steps: int, lr: float, batch: int = 6) -> list[float]:
    """The loss of each step on the same samples. The same number of simulated clicks each time: a loss of other clicks is another loss."""
    torch.manual_seed(0)
    fixed, optimiser, history = samples(method, batch), torch.optim.Adam(net.parameters(), lr=lr), []
    for _ in range(steps):
        step = method.loss(net, fixed, np.random.default_rng(3), "cpu")
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
        history.append(float(step.loss.detach()))
    return history
