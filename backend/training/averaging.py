"""The exponential moving average of a network's weights: what is validated and kept, since it moves less than the weights themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Follows a network.

    keep: how much of the average stays at a step, 0 for the network's own weights. Of the first steps less is kept, or the random weights
    at the start would stay for long.
    """

    def __init__(self, net: nn.Module, keep: float) -> None:
        self.keep = keep
        self._weights = {name: _averaged(value).clone() for name, value in net.state_dict().items()}

    @property
    def weights(self) -> dict[str, Tensor]:
        """The state dict, numbers with a point in float32. Not a copy: the next `follow` changes it."""
        return self._weights

    @torch.no_grad()
    def follow(self, net: nn.Module, step: int) -> None:
        """Takes in the weights after a step (0-based)."""
        keep = min(self.keep, (step + 1) / (step + 10))
        state = net.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        for name in moving:
            self._weights[name].lerp_(_averaged(state[name]), 1.0 - keep)
        for name in state.keys() - set(moving):
            self._weights[name].copy_(state[name])

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Goes on from weights of the same network."""
        for name, value in weights.items():
            self._weights[name].copy_(value)


def _averaged(value: Tensor) -> Tensor:
    value = value.detach()
    return value.float() if value.is_floating_point() else value
