"""Training by simulated annotations: every forward pass is a training step, and what it answered is what the next click corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from backend.inference.click_maps import points_tensor
from backend.training.click_weights import weighted_mean
from backend.training.episode import Episode, EpisodeSettings, new_episode
from backend.training.losses import sample_loss
from backend.training.method import StepLoss
from backend.training.objects import Pool
from backend.training.threads import each

Click = tuple[float, float, bool]


class EpisodeTraining:
    """A `Method` (see method.py) whose samples go on: an annotation of n clicks is looked at in n steps or more.

    For networks `net(x, points)` -> logits [B, 1, h, w] at any size. What happens to the samples between two forward passes is spread over
    `threads`, torch's own number of them for None; each sample has a generator of its own, so nothing depends on their number.
    """

    def __init__(self, settings: EpisodeSettings, threads: int | None = None) -> None:
        self.settings = settings
        self._threads = threads

    @property
    def threads(self) -> int:
        """Threads that look and click, asked for anew at each step: `--threads` sets torch's, and so does a run on several devices."""
        return torch.get_num_threads() if self._threads is None else self._threads

    def draw(self, pool: Pool, rng: np.random.Generator) -> Episode | None:
        """As in `Method`."""
        image, item = pool.draw(rng)
        return new_episode(image, item, self.settings, rng, augment=True, others=pool)

    def loss(self, net: nn.Module, samples: Sequence[Episode], rng: np.random.Generator | None, device: str) -> StepLoss:
        """As in `Method`. The samples take the answers as their masks so far; `iou` is of these, over whole scenes."""
        seen, truth, clicks = self.looks(samples, rng)
        x = torch.from_numpy(seen).to(device, memory_format=torch.channels_last)
        labels = torch.from_numpy(truth).to(device)
        logits = net(x, points_tensor(clicks).to(device))
        logits = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=True)
        loss = weighted_mean(sample_loss(logits, labels), [len(one.clicks) for one in samples], self.settings.click_weights)
        ious = self.answered(samples, torch.sigmoid(logits.detach())[:, 0].cpu().numpy())
        return StepLoss(loss, {"iou": float(np.mean(ious))})

    def looks(
        self, samples: Sequence[Episode], rng: np.random.Generator | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], list[list[Click]]]:
        """x [B, bands + 1, S, S], labels [B, 1, S, S], and the clicks in their pixels: see `Episode.look`."""
        settings = self._sized(rng)
        side, channels = settings.input_size, samples[0].image.shape[2] + 1
        x = np.empty((len(samples), channels, side, side), np.float32)
        labels = np.empty((len(samples), 1, side, side), np.float32)
        generators = [None] * len(samples) if rng is None else rng.spawn(len(samples))

        def look(place: int) -> list[Click]:
            # Into the batch at once: stacking is work of one thread.
            x[place], labels[place, 0], clicks = samples[place].look(settings, generators[place])
            return clicks

        return x, labels, each(look, range(len(samples)), self.threads)

    def answered(self, samples: Sequence[Episode], probabilities: NDArray[np.float32]) -> list[float]:
        """The samples take the network's answers to their looks, [B, S, S]; the IoU of each mask then."""

        def learned(place: int) -> float:
            samples[place].learn(probabilities[place])
            return samples[place].iou

        return each(learned, range(len(samples)), self.threads)

    def _sized(self, rng: np.random.Generator | None) -> EpisodeSettings:
        """The settings with the side of this step's looks: all of a batch are of one."""
        if rng is None or not self.settings.sides:
            return self.settings
        sides, shares = zip(*self.settings.sides, strict=True)
        return replace(self.settings, input_size=int(rng.choice(sides, p=np.array(shares) / sum(shares))))

    def going_on(self, samples: Sequence[Episode], rng: np.random.Generator) -> list[Episode]:
        """Those with clicks left, each with its next click or, at times, as it is; not those that are right already."""

        def goes_on(given: tuple[Episode, np.random.Generator]) -> bool:
            sample, own = given
            return sample.clicks_left > 0 and (own.random() < self.settings.look_again or sample.add_click(own))

        kept = each(goes_on, list(zip(samples, rng.spawn(len(samples)), strict=True)), self.threads)
        return [sample for sample, stays in zip(samples, kept, strict=True) if stays]

    def packed(self, sample: Episode) -> dict[str, Tensor]:
        """As in `Method`."""
        return sample.packed()

    def unpacked(self, tensors: Mapping[str, Tensor]) -> Episode:
        """As in `Method`."""
        return Episode.unpacked(tensors)
