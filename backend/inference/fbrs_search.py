"""The search of f-BRS: scales and shifts of a feature map with which the rest of a network says what the clicks say. MODELS.md 6.6."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from backend.inference.crop import resize

THRESHOLD = 0.49
"""Probability that a clicked pixel must pass, whichever threshold the segmenter's masks have."""
STEADY_IOU = 0.99
"""The search ends when two successive masks overlap by more."""
PENALTY = 1e-3
SHIFT_PENALTY = 10
"""Of a squared shift, in squared scales."""
OPTIMISER = {"m": 20, "factr": 0, "pgtol": 1e-8, "maxfun": 20, "maxiter": 40}


Answer = tuple[Tensor, Tensor | None]
"""Logits [B, 1, h', w'], and what else a predictor reads: FocalClick's refiner the features that the logits were made of."""
Head = Callable[[Tensor], Answer]
"""The part of a network behind a feature map: [B, channels, h, w] -> its answer, differentiable."""


SplitNetwork = Callable[[Tensor, Tensor], tuple[Tensor, Head]]
"""A network cut in two: x [B, C + 1, H, W], points [B, 2n, 3] (see `predictor.Network`) -> (features, head); `head(features)` is the
network's answer."""


class Objective:
    """How far the head is from what the clicks say, and the gradient, as SciPy asks for them; remembers the best it has seen.

    features: [B, channels, h, w]. clicked: of `squares`. size: (H, W) that logits are resized to.
    """

    def __init__(self, head: Head, features: Tensor, clicked: Tensor, size: tuple[int, int]) -> None:
        self.head = head
        self.features = features
        self.positive, self.negative = clicked[:, :1], clicked[:, 1:]
        self.size = size
        self.evaluations = 0
        self.best = float("inf")
        self.best_answer: Answer | None = None
        self._mask: Tensor | None = None

    def search(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], Answer]:
        """(where the search ended, the answer that came nearest to the clicks). values: where it begins, all scales, then all shifts."""
        found, _, _ = fmin_l_bfgs_b(self, values, **OPTIMISER)
        return found, self.best_answer if self.best_answer is not None else self.at(found)

    def at(self, values: NDArray[np.float64]) -> Answer:
        """The answer with these scales and shifts."""
        return self._answer(torch.tensor(values, dtype=torch.float32, device=self.features.device))

    def __call__(self, values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """(value, gradient); a gradient of zero ends the search: the clicks are satisfied, or the mask has settled."""
        self.evaluations += 1
        variables = torch.tensor(values, dtype=torch.float32, device=self.features.device).requires_grad_()
        with torch.enable_grad():
            logits, rest = self._answer(variables)
            probability = logits.sigmoid()
            total = self._value(probability, variables)
            (gradient,) = torch.autograd.grad(total, variables)
        value = float(total.detach())
        if value < self.best:
            self.best, self.best_answer = value, (logits.detach(), None if rest is None else rest.detach())
        if self._satisfied(probability.detach()) or self._settled(probability.detach() > THRESHOLD):
            return value, np.zeros_like(values)
        return value, gradient.cpu().numpy().astype(np.float64)

    def _answer(self, values: Tensor) -> Answer:
        scale, shift = values.view(2, 1, -1, 1, 1)
        logits, rest = self.head(self.features * (1 + scale) + shift)
        return resize(logits.float(), self.size), rest

    def _value(self, probability: Tensor, variables: Tensor) -> Tensor:
        # The order of these sums is the published one: the search amplifies the last bit of a float32 by a factor of a million.
        missed = (self.positive * (1 - probability).square()).sum() / (self.positive.sum() + 1e-5)
        strayed = (self.negative * probability.square()).sum() / (self.negative.sum() + 1e-5)
        scale, shift = variables.chunk(2)
        return missed + strayed + PENALTY * (scale.square().sum() + SHIFT_PENALTY * shift.square().sum())

    def _satisfied(self, probability: Tensor) -> bool:
        worst_positive = float((self.positive * (1 - probability)).max())
        worst_negative = float((self.negative * probability).max())
        return worst_positive < 1 - THRESHOLD and worst_negative < THRESHOLD

    def _settled(self, mask: Tensor) -> bool:
        before, self._mask = self._mask, mask
        if before is None:
            return False
        union = float((mask | before).sum())
        return union > 0 and float((mask & before).sum()) / union > STEADY_IOU


def squares(points: Tensor, size: tuple[int, int]) -> Tensor:
    """The 3x3 pixels round each rounded click as float32 [B, 2, H, W] of 0 and 1: positive, negative.

    points: [B, 2n, 3] as `points_tensor` makes them. size: (H, W).
    """
    (height, width), (batch, slots, _) = size, points.shape
    row, col = points[..., 0].round(), points[..., 1].round()
    rows, cols = (torch.arange(length, dtype=points.dtype, device=points.device) for length in (height, width))
    near_row = (rows - row[..., None]).abs() <= 1  # (B, 2n, H)
    near_col = (cols - col[..., None]).abs() <= 1
    valid = torch.maximum(points[..., 0], points[..., 1]) >= 0
    inside = near_row[..., :, None] & near_col[..., None, :] & valid[..., None, None]
    return inside.view(batch, 2, slots // 2, height, width).any(dim=2).to(points.dtype)
