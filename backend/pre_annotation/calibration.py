"""What a score is worth: the probability that a proposal overlaps an object of its class by an IoU of at least 0.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOUND_IOU = 0.5
SIGNS = (
    "logit of the class's probability",
    "stability",
    "agreement when clicked again at its own centre",
    "mean probability of its pixels",
    "log of its area in px",
    "share of the chip",
    "share of its convex hull",
    "sides of the chip it touches",
)
"""What a calibration reads of a proposal, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A logistic regression on `SIGNS`. mean, scale, weight: [len(SIGNS)]. bias: in logits. note: what it was fitted on."""

    mean: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    weight: NDArray[np.float32] = field(repr=False)
    bias: float
    note: str = ""

    @classmethod
    def plain(cls) -> Calibration:
        """Before any is fitted: the class's probability alone."""
        weight = np.zeros(len(SIGNS), np.float32)
        weight[0] = 1
        return cls(np.zeros(len(SIGNS), np.float32), np.ones(len(SIGNS), np.float32), weight, 0.0, "none")

    def scores(self, signs: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N, len(SIGNS)] to scores [N] in 0..1."""
        z = np.clip((signs - self.mean) / self.scale, -4, 4) @ self.weight + self.bias
        return (1 / (1 + np.exp(-np.clip(z, -30, 30)))).astype(np.float32)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """For the classifier's file."""
        return {
            "calibration.mean": self.mean.astype(np.float32),
            "calibration.scale": self.scale.astype(np.float32),
            "calibration.weight": self.weight.astype(np.float32),
            "calibration.bias": np.array([self.bias], np.float32),
        }

    @classmethod
    def read(cls, tensors: Mapping[str, NDArray[Any]], note: str) -> Calibration:
        """Inverse of `tensors`. KeyError where one is missing."""
        mean, scale, weight = (tensors[f"calibration.{name}"] for name in ("mean", "scale", "weight"))
        return cls(mean, scale, weight, float(tensors["calibration.bias"][0]), note)


def fit(signs: NDArray[np.float32], found: Sequence[bool], note: str, *, decay: float = 1.0) -> Calibration:
    """The calibration that explains best which of the proposals overlapped an object of their class. decay: of the weights, per sample set.

    Newton's method on a convex loss: the same numbers every time. Without both outcomes there is nothing to fit, and `plain` is returned.
    """
    y = np.asarray(found, np.float64)
    if len(y) < 2 * len(SIGNS) or y.min() == y.max():
        return Calibration.plain()
    mean, scale = signs.mean(axis=0), signs.std(axis=0) + 1e-3
    x = np.clip((signs.astype(np.float64) - mean) / scale, -4, 4)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = np.diag([decay] * len(SIGNS) + [1e-6])
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (p - y) + penalty @ w
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, gradient)
        w -= step
        if np.abs(step).max() < 1e-8:
            break
    return Calibration(mean.astype(np.float32), scale.astype(np.float32), w[:-1].astype(np.float32), float(np.float32(w[-1])), note)


@dataclass(frozen=True, slots=True)
class Bin:
    """Proposals of similar scores. low, high: of the scores. score: their mean. share: of them that overlapped an object of their class."""

    low: float
    high: float
    count: int
    score: float
    share: float


def reliability(scores: Sequence[float], found: Sequence[bool], bins: int = 5) -> list[Bin]:
    """Equal ranges of 0..1 that hold any score."""
    s, y = np.asarray(scores, float), np.asarray(found, float)
    where = np.minimum((s * bins).astype(int), bins - 1)
    return [
        Bin(number / bins, (number + 1) / bins, int(own.sum()), float(s[own].mean()), float(y[own].mean()))
        for number in range(bins)
        if (own := where == number).any()
    ]


def expected_calibration_error(scores: Sequence[float], found: Sequence[bool], bins: int = 5) -> float:
    """Mean distance of score and share over the bins, by their counts."""
    return sum(each.count * abs(each.score - each.share) for each in reliability(scores, found, bins)) / max(len(scores), 1)
