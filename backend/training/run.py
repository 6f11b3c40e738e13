"""What a run is told, what tells it how good weights are, and what it comes to: the outside of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor

Precision = Literal["bf16-mixed", "fp32"]
"""Number format of forward passes; weights and sums are float32 in both."""
BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Validated:
    """What weights are worth. scores: for the log. cost: lower is better, such as clicks needed."""

    scores: Mapping[str, float]
    cost: float


class Validation(Protocol):
    """How the loop knows which weights to keep."""

    def judge(self, weights: Mapping[str, Tensor], step: int) -> Validated:
        """The worth of a state dict after so many steps. The same weights always get the same."""
        ...

    def write(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        """Keeps weights in a file that `safetensors` reads."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run lives and what it runs on.

    folder: checkpoint, log, best weights. seed: of everything random, 0 or above. device: cpu or cuda; devices: how many, a process each.
    workers: loader processes of each. validate_every: steps. save_seconds: between two checkpoints. conditions: JSON values by name that a
    run which goes on must share with the one that began, beside the plan.
    """

    folder: Path
    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    precision: Precision = "fp32"
    workers: int = 0
    validate_every: int = 400
    save_seconds: float = 120.0
    conditions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    weights: the best by validation, as kept; without validation the last average. scores: of these. best_step: steps before them.
    last: the average (EMA) after the last step, which nothing has chosen. steps: steps done; finished: whether that is all. leads: whether
    this process is the one that writes files.
    """

    weights: Mapping[str, Tensor]
    last: Mapping[str, Tensor]
    scores: Mapping[str, float]
    best_step: int
    steps: int
    finished: bool
    leads: bool
