"""The course of the learning rate over a run."""

from __future__ import annotations

import math

from backend.training.optimisation import Optimisation

LOWEST = 0.02
"""Share of the peak that `linear` and `cosine` end at: the last steps still count."""
STEP_FACTOR = 0.1


def share_of_peak(step: int, plan: Optimisation) -> float:
    """What every learning rate is multiplied by at a step (0-based): the rise and the fall, whichever is lower."""
    rise = (step + 1) / max(plan.warmup, 1)
    return min(1.0, rise, _fall(step, plan))


def _fall(step: int, plan: Optimisation) -> float:
    if plan.schedule == "step":
        return STEP_FACTOR ** sum(step >= milestone * plan.steps for milestone in plan.milestones)
    left = (plan.steps - step) / max(int(plan.steps * plan.decay_share), 1)  # 1 and more before the fall begins, 0 at its end
    if plan.schedule == "cosine":
        left = (1 - math.cos(math.pi * min(left, 1.0))) / 2
    return max(min(left, 1.0), LOWEST)
