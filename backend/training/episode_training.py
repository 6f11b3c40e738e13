"""Training by simulated annotations: every forward pass is a training step, and what it answered is what the next click corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from backend.inference.click_maps import points_tensor
from backend.training.click_weights import weighted_mean
from backend.training.episode import Episode, EpisodeSettings, new_episode
from backend.training.losses import sample_loss
from backend.training.method import StepLoss
from backend.training.objects import Pool


class EpisodeTraining:
    """A `Method` (see method.py) whose samples go on: an annotation of n clicks is looked at in n steps or more.

    For networks `net(x, points)` -> logits [B, 1, h, w] at any size.
    """

    def __init__(self, settings: EpisodeSettings) -> None:
        self.settings = settings

    def draw(self, pool: Pool, rng: np.random.Generator) -> Episode | None:
        """As in `Method`."""
        image, item = pool.draw(rng)
        return new_episode(image, item, self.settings, rng, augment=True, others=pool)

    def loss(self, net: nn.Module, samples: Sequence[Episode], rng: np.random.Generator | None, device: str) -> StepLoss:
        """As in `Method`. The samples take the answers as their masks so far; `iou` is of these, over whole scenes."""
        settings = self._sized(rng)
        looks = [episode.look(settings, rng) for episode in samples]
        x = torch.from_numpy(np.stack([look[0] for look in looks])).to(device, memory_format=torch.channels_last)
        labels = torch.from_numpy(np.stack([look[1] for look in looks]))[:, None].to(device)
        logits = net(x, points_tensor([look[2] for look in looks]).to(device))
        logits = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=True)
        loss = weighted_mean(sample_loss(logits, labels), [len(one.clicks) for one in samples], self.settings.click_weights)
        for episode, probability in zip(samples, torch.sigmoid(logits.detach())[:, 0].cpu().numpy(), strict=True):
            episode.learn(probability)
        return StepLoss(loss, {"iou": float(np.mean([episode.iou for episode in samples]))})

    def _sized(self, rng: np.random.Generator | None) -> EpisodeSettings:
        """The settings with the side of this step's looks: all of a batch are of one."""
        if rng is None or not self.settings.sides:
            return self.settings
        sides, shares = zip(*self.settings.sides, strict=True)
        return replace(self.settings, input_size=int(rng.choice(sides, p=np.array(shares) / sum(shares))))

    def going_on(self, samples: Sequence[Episode], rng: np.random.Generator) -> list[Episode]:
        """Those with clicks left, each with its next click or, at times, as it is; not those that are right already."""
        return [one for one in samples if one.clicks_left > 0 and (rng.random() < self.settings.look_again or one.add_click(rng))]

    def packed(self, sample: Episode) -> dict[str, Tensor]:
        """As in `Method`."""
        return sample.packed()

    def unpacked(self, tensors: Mapping[str, Tensor]) -> Episode:
        """As in `Method`."""
        return Episode.unpacked(tensors)
