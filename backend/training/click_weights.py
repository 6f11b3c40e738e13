"""ICL's idea for annotations that go on over steps: the answer to a later click weighs more. MODELS.md 8."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def weighted_mean(losses: Tensor, clicks: Sequence[int], weights: Sequence[float]) -> Tensor:
    """The mean of losses [B] of samples with so many clicks each: a sample with n weighs weights[n - 1], one with more the last of them.

    Divided by the sum of the weights, so that learning rates mean the same with and without; no weights at all are equal ones.
    """
    if not weights:
        return losses.mean()
    share = losses.new_tensor([weights[min(number, len(weights)) - 1] for number in clicks])
    return (losses * share).sum() / share.sum()
