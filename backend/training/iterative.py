"""RITM's iterative training, which SimpleClick uses too: some clicks without a gradient, then one learning step. MODELS.md 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from backend.training.click_sample import ClickBatch, ClickSample, evaluating, mean_iou
from backend.training.losses import cross_entropy_over_all, normalized_focal_loss
from backend.training.method import StepLoss
from backend.training.scene_source import SceneSettings, SeenOnce


@dataclass(frozen=True, slots=True)
class IterativeSettings:
    """scene: what samples show, and their first clicks. most_clicks: simulated ones before a step, none to so many with equal chances.

    auxiliary_weight: of the cross entropy of the auxiliary logits; 0 for a network without.
    """

    scene: SceneSettings
    most_clicks: int = 3
    auxiliary_weight: float = 0.0


class IterativeTraining(SeenOnce):
    """A `Method` (see method.py) over scenes that are seen once."""

    def __init__(self, settings: IterativeSettings) -> None:
        super().__init__(settings.scene)
        self.settings = settings

    def loss(self, net: nn.Module, samples: Sequence[ClickSample], rng: np.random.Generator, device: str) -> StepLoss:
        """As in `Method`. The whole batch gets the same number of simulated clicks."""
        batch = ClickBatch.of(samples, device)
        clicks = int(rng.integers(0, self.settings.most_clicks + 1))
        for number in range(1, clicks + 1):
            with evaluating(net):
                logits = net(batch.x, batch.points)
            batch.answered(batch.full(logits))
            batch.click(rng, number=number, filling="from the end")
        weight = self.settings.auxiliary_weight
        logits, auxiliary = net(batch.x, batch.points, auxiliary=True) if weight else (net(batch.x, batch.points), None)
        logits = batch.full(logits)
        focal = normalized_focal_loss(logits, batch.target).mean()
        loss = focal
        if auxiliary is not None:
            loss = loss + weight * cross_entropy_over_all(batch.full(auxiliary), batch.target).mean()
        return StepLoss(loss, {"iou": mean_iou(logits, batch.target), "focal": float(focal.detach()), "clicks": float(clicks)})
