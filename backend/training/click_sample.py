"""A sample of the published ways of training, a batch of them as tensors, and the clicks simulated on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.inference.crop import Roi, resize
from backend.training.error_click import THRESHOLD, error_click, place


@dataclass(frozen=True, slots=True)
class ClickSample:
    """image: uint8 HxWxbands. target: int8 HxW, 1 wanted, 0 not, -1 ignored. points: float32 [2n, 3], as `PointsSampler.sample` gives."""

    image: NDArray[np.uint8]
    target: NDArray[np.int8]
    points: NDArray[np.float32]

    def packed(self) -> dict[str, Tensor]:
        """As tensors, for a checkpoint."""
        return {name: torch.from_numpy(getattr(self, name).copy()) for name in ("image", "target", "points")}

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> ClickSample:
        """What `packed` packed."""
        return cls(*(tensors[name].numpy() for name in ("image", "target", "points")))


@dataclass(slots=True)
class ClickBatch:
    """Samples as tensors, with the clicks and the answer so far.

    image: float32 [B, bands, H, W], 0..1. target: float32 [B, 1, H, W]. points: float32 [B, 2n, 3]. previous: float32 [B, 1, H, W].
    truths: the targets as arrays, for simulated clicks.
    """

    image: Tensor
    target: Tensor
    points: Tensor
    previous: Tensor
    truths: list[NDArray[np.int8]]

    @classmethod
    def of(cls, samples: Sequence[ClickSample], device: str) -> ClickBatch:
        """All of one size, nothing found yet."""
        image = torch.from_numpy(np.stack([sample.image for sample in samples])).to(device)
        image = image.permute(0, 3, 1, 2).float().div(255)
        target = torch.from_numpy(np.stack([sample.target for sample in samples])).to(device).float()[:, None]
        points = torch.from_numpy(np.stack([sample.points for sample in samples])).to(device)
        return cls(image, target, points, torch.zeros_like(target), [sample.target for sample in samples])

    @property
    def x(self) -> Tensor:
        """What the network reads, [B, bands + 1, H, W]; the answer so far is a constant to the gradient."""
        return torch.cat([self.image, self.previous.detach()], dim=1)

    def full(self, logits: Tensor) -> Tensor:
        """Logits of a network in float32 at the size of the target."""
        return resize(logits.float(), (self.target.shape[2], self.target.shape[3]))

    def answered(self, logits: Tensor) -> None:
        """Takes logits [B, 1, H, W] as the answer so far. No gradient goes through it."""
        self.previous = logits.detach().float().sigmoid()

    def click(
        self, rng: np.random.Generator, *, number: int, filling: Literal["from the end", "free"], within: Sequence[Roi] | None = None
    ) -> None:
        """One simulated click for each sample whose answer is wrong somewhere; `number` and `filling` as for `place`.

        within: of each sample, the part in which errors count.
        """
        points = self.points.cpu().clone()
        for place_in, (probability, truth) in enumerate(zip(self.previous[:, 0].cpu().numpy(), self.truths, strict=True)):
            found = error_click(probability, truth, rng, within[place_in] if within is not None else None)
            if found is not None:
                place(points[place_in], found, number=number, filling=filling)
        self.points = points.to(self.points.device)


def mean_iou(logits: Tensor, target: Tensor, threshold: float = THRESHOLD) -> float:
    """Mean IoU over the samples of masks and targets [B, 1, H, W], ignored pixels (-1) left out; 1 where both are empty."""
    valid = target >= 0
    mask, truth = (logits.detach().sigmoid() > threshold) & valid, target > 0.5
    both, either = ((mask & truth).sum(dim=(1, 2, 3)), (mask | truth).sum(dim=(1, 2, 3)))
    return float(torch.where(either > 0, both / either.clamp(min=1), 1.0).mean())


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """`net` in eval mode without gradients for a while; every module then is in the mode it was in, frozen ones too."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
