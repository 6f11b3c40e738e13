"""The normalized focal loss of the RITM family (MODELS.md 8, golden values in protocol_ritm.npz)."""

from __future__ import annotations

import torch
from torch import Tensor


def normalized_focal_loss(logits: Tensor, labels: Tensor, *, alpha: float = 0.5, gamma: float = 2.0, eps: float = 1e-12) -> Tensor:
    """Loss per sample, float32 [B].

    logits: [B, 1, H, W]. labels: [B, 1, H, W] of 1 object, 0 background, -1 ignored.
    The focal weights of a sample are scaled so that they sum to its number of valid pixels: easy pixels then do not silence a sample.
    That scale is a constant to the gradient; the focal weights themselves are not.
    """
    logits = logits.float()
    valid = labels >= 0
    target = (labels > 0).to(logits.dtype)
    probability = torch.sigmoid(logits)
    confidence = torch.where(valid, 1.0 - (target - probability).abs(), torch.ones_like(probability))  # p of the true class
    focus = (1.0 - confidence) ** gamma
    count = valid.sum(dim=(1, 2, 3)).to(logits.dtype)  # (B,)
    with torch.no_grad():
        scale = count / (focus.sum(dim=(1, 2, 3)) + eps)
    weight = torch.where(target > 0, alpha, 1.0 - alpha)
    loss = -weight * focus * scale.view(-1, 1, 1, 1) * torch.log((confidence + eps).clamp(max=1.0))
    return (loss * valid).sum(dim=(1, 2, 3)) / (count + eps)
