"""Losses per sample: the RITM family's normalized focal loss (MODELS.md 8, golden values in protocol_ritm.npz) and what helps it start.

The focal loss alone rests for hundreds of steps where every pixel says one half: its weights then are all alike. Cross entropy and the soft
IoU pull it off that plateau; near the end, the focal loss is what sharpens edges.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


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


def soft_iou_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - soft intersection over union per sample, [B]; ignored pixels (-1) left out. Pulls on whole shapes where NFL pulls on pixels."""
    valid, target = labels >= 0, labels.clamp(min=0)
    probability = torch.sigmoid(logits.float()) * valid
    both = (probability * target).sum(dim=(1, 2, 3))
    either = torch.maximum(probability, target).sum(dim=(1, 2, 3))
    return 1.0 - both / (either + 1e-6)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy of the valid pixels per sample, [B]."""
    valid = labels >= 0
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels.clamp(min=0), reduction="none")
    return (loss * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp(min=1)


def sample_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """What training minimises, [B]: normalized focal loss + cross entropy + soft IoU."""
    return normalized_focal_loss(logits, labels) + cross_entropy(logits, labels) + soft_iou_loss(logits, labels)
