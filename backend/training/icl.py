"""The iterative click loss of CFR-ICL: the answer to each of several clicks is learned from, and later ones weigh more. MODELS.md 8.

A network that still errs after its last click loses most, so it learns to need fewer of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from backend.training.click_sample import ClickBatch, ClickSample, mean_iou
from backend.training.losses import normalized_focal_loss
from backend.training.method import StepLoss
from backend.training.scene_source import SceneSettings, SeenOnce


@dataclass(frozen=True, slots=True)
class IclSettings:
    """scene: what samples show, and their first clicks. weights: of the loss after the first answer, the second, ...; a step asks for one
    to as many answers, each number with equal chances."""

    scene: SceneSettings
    weights: tuple[float, ...] = (1.0, 2.0, 3.0)


class IclTraining(SeenOnce):
    """A `Method` (see method.py) over scenes that are seen once, several clicks long."""

    def __init__(self, settings: IclSettings) -> None:
        super().__init__(settings.scene)
        self.settings = settings

    def loss(self, net: nn.Module, samples: Sequence[ClickSample], rng: np.random.Generator, device: str) -> StepLoss:
        """As in `Method`: the weighted sum over the answers, whose graphs are all kept until the backward pass.

        No gradient goes from an answer to the one before.
        """
        batch = ClickBatch.of(samples, device)
        answers = int(rng.integers(1, len(self.settings.weights) + 1))
        loss = torch.zeros((), device=device)
        scalars: dict[str, float] = {"answers": float(answers)}
        for number, weight in enumerate(self.settings.weights[:answers], start=1):
            logits = batch.full(net(batch.x, batch.points))
            focal = normalized_focal_loss(logits, batch.target).mean()
            loss = loss + weight * focal
            scalars[f"focal@{number}"] = float(focal.detach())
            scalars["iou"] = mean_iou(logits, batch.target)
            if number < answers:
                batch.answered(logits)
                batch.click(rng, number=number, filling="free")
        return StepLoss(loss, scalars)
