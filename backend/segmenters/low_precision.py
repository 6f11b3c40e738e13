"""Layers that compute in bfloat16 inside a network whose activations stay float32 between blocks.

Rounding only products and convolutions keeps masks several times closer to float32 than a network rounded as a whole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Bf16Linear(nn.Module):
    """A linear layer computed in bfloat16, as `PackedLinear` is, for devices without packed weights."""

    def __init__(self, layer: nn.Linear, *, gelu: bool = False, keep: bool = False) -> None:
        super().__init__()
        self.layer = layer.to(torch.bfloat16)
        self.gelu = gelu
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        y = self.layer(x.to(torch.bfloat16))
        y = F.gelu(y) if self.gelu else y
        return y if self.keep else y.to(x.dtype)


class Bf16Convolution(nn.Module):
    """A convolution or transposed convolution computed in bfloat16 that gives back the dtype it was given."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.layer = layer.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, H', W']."""
        return self.layer(x.to(torch.bfloat16)).to(x.dtype)
