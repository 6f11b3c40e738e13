"""Losses per sample: the RITM family's normalized focal loss (MODELS.md 8, golden values in protocol_ritm.npz) and what helps it start.
Beside them FocalClick's, for who trains a refiner (golden values in protocol_focal.npz).

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
    count = (labels >= 0).sum(dim=(1, 2, 3)).to(torch.float32)  # (B,)
    return _focal_losses(logits, labels, alpha, gamma, eps).sum(dim=(1, 2, 3)) / (count + eps)


def weighted_focal_loss(
    logits: Tensor, labels: Tensor, doubtful: Tensor, *, share: float = 0.5, alpha: float = 0.5, gamma: float = 2.0, eps: float = 1e-12
) -> Tensor:
    """FocalClick's WFNL, one number for the batch: the normalized focal loss with more weight where the refiner is to work. MODELS.md 8.

    logits, labels: as for `normalized_focal_loss`. doubtful: [B, 1, H, W] in 0..1, the trimap round the object's border.
    share: w of the weights w * doubtful + (1 - w), by whose sum over the batch the loss is divided.
    """
    weights = share * doubtful + (1.0 - share)
    return (_focal_losses(logits, labels, alpha, gamma, eps) * weights).sum() / (weights.sum() + eps)


def _focal_losses(logits: Tensor, labels: Tensor, alpha: float, gamma: float, eps: float) -> Tensor:
    """The loss of every pixel, float32 [B, 1, H, W]; zero where ignored."""
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
    return -weight * focus * scale.view(-1, 1, 1, 1) * torch.log((confidence + eps).clamp(max=1.0)) * valid


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


def cross_entropy_over_all(logits: Tensor, labels: Tensor) -> Tensor:
    """The published binary cross entropy per sample, [B]: the valid pixels' sum over the number of all pixels.

    A sample with much to ignore so weighs less. Written as max(x, 0) - x y + log(1 + exp(-|x|)), whose gradient rounds as the recorded one
    does: torch's own loss, the same to the reader, differs by 3e-4 of a gradient that is nearly zero.
    """
    logits, target = logits.float(), labels.clamp(min=0)
    loss = logits.relu() - logits * target + F.softplus(-logits.abs())
    return (loss * (labels >= 0)).mean(dim=(1, 2, 3))


def sample_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """What training minimises, [B]: normalized focal loss + cross entropy + soft IoU."""
    return normalized_focal_loss(logits, labels) + cross_entropy(logits, labels) + soft_iou_loss(logits, labels)
