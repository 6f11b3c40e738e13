"""How the loop moves the weights: every number of it in one value, stored in checkpoints and on the card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Optimisation:
    """Optimiser, learning rate and its course, averaging.

    lr: peak learning rate. multipliers: (prefix of parameter names, factor on lr), the longest prefix that fits decides, 1 where none does.
    pretrained_lr: peak for parameters that start from pretrained weights, None for lr; layer_decay: factor on it per block towards the
    input. batch: samples of one optimiser step over all devices; accumulate: in how many parts each device takes its share.
    schedule: `linear` and `cosine` fall over the last decay_share of the steps, `step` multiplies by 0.1 at each of milestones (shares of
    all steps, 0..1); all rise linearly over `warmup` steps first. clip: largest gradient norm, 0 for none. ema: how much of the average is
    kept at a step, 0 for no average.
    """

    optimiser: Literal["adam", "adamw"] = "adamw"
    lr: float = 4e-4
    pretrained_lr: float | None = None
    layer_decay: float = 1.0
    multipliers: tuple[tuple[str, float], ...] = ()
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    batch: int = 16
    accumulate: int = 1
    steps: int = 4000
    schedule: Literal["linear", "cosine", "step"] = "linear"
    warmup: int = 0
    decay_share: float = 0.3
    milestones: tuple[float, ...] = ()
    clip: float = 0.0
    ema: float = 0.0
