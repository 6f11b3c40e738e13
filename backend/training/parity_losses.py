"""Parity of the training losses: values and gradients against the recorded ones. Names of the arrays: the README of the fixtures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from backend.evaluation.parity import LOSS_TOLERANCE, Check, Fixture, close_relatively
from backend.training.losses import cross_entropy_over_all, normalized_focal_loss, soft_iou_loss, weighted_focal_loss

Loss = Callable[[Tensor], Tensor]
"""Logits [B, 1, H, W] to one loss per sample [B], or to one for the batch [] where it is defined so."""


def check(fixture: Fixture) -> Iterator[Check]:
    """Every recorded loss, and the gradient of its mean by the logits."""
    for name in sorted(fixture.arrays or ()):
        plain, weighted = re.fullmatch(r"loss_([\w.]+?)(_grad_of_mean)?", name), re.fullmatch(r"wfnl_w([\d.]+?)(_grad)?", name)
        if weighted:
            yield _compared(fixture, name, "logits", _weighted(fixture, float(weighted[1])), gradient=weighted[2] is not None)
        elif plain and plain[1] not in ("logits", "labels"):
            loss = _plain(fixture, plain[1])
            if loss is not None:
                yield _compared(fixture, name, "loss_logits", loss, gradient=plain[2] is not None)


def _plain(fixture: Fixture, name: str) -> Loss | None:
    """The loss of that name; None for one that is not built, which the run then names as not compared."""
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bce": cross_entropy_over_all, "softiou": soft_iou_loss}
    focal = re.fullmatch(r"nfl_a([\d.]+)_g([\d.]+)", name)
    if focal:
        losses[name] = partial(normalized_focal_loss, alpha=_number(focal[1]), gamma=_number(focal[2]))
    if name not in losses:
        return None
    labels = torch.tensor(fixture.array("loss_labels"))
    return lambda logits: losses[name](logits, labels)


def _weighted(fixture: Fixture, share: float) -> Loss:
    labels, doubtful = (torch.tensor(fixture.array(name)) for name in ("labels", "trimap"))
    return lambda logits: weighted_focal_loss(logits, labels, doubtful, share=share)


def _number(text: str) -> float:
    """`05` is 0.5, `2` is 2, `0.25` is itself: file names leave the point out."""
    return float(text if "." in text or not text.startswith("0") or len(text) == 1 else f"0.{text[1:]}")


def _compared(fixture: Fixture, name: str, logits: str, loss: Loss, *, gradient: bool) -> Check:
    variable = torch.tensor(fixture.array(logits)).requires_grad_()
    value = loss(variable)
    ours = torch.autograd.grad(value.mean(), variable)[0] if gradient else value.detach()
    return close_relatively(fixture.name, f"protocol:{name}", ours.numpy(), fixture.array(name), LOSS_TOLERANCE)
