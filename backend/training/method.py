"""What a way of training must be able to do: draw samples, and turn some of them into a loss. The loop knows no more than this.

A method says what the network looks at and what is asked of it (`episode`, the published iterative training, ICL, FocalClick's, SAM's). The
loop owns devices, number formats, the optimiser, averaging, checkpoints and validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from backend.training.objects import Pool

SampleT = TypeVar("SampleT")


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What one batch came to.

    loss: scalar with gradient, the mean over the samples. scalars: what the log and TensorBoard show beside it, such as `iou`, the mean
    IoU of the masks the network gave.
    """

    loss: Tensor
    scalars: Mapping[str, float] = field(default_factory=dict)


class Method(Protocol[SampleT]):
    """A way of training over samples of one kind.

    Everything random comes from the generators given, so that a run is repeatable and a resumed one goes on as it would have.
    """

    def draw(self, pool: Pool, rng: np.random.Generator) -> SampleT | None:
        """One sample, augmented; None where the object drawn cannot be used. NumPy only: it runs in loader processes."""
        ...

    def loss(self, net: nn.Module, samples: Sequence[SampleT], rng: np.random.Generator, device: str) -> StepLoss:
        """Forward passes over the samples, with the clicks between them. `net` is in train mode, before and after.

        The loop does the backward pass and decides the number format (autocast) of the forward passes.
        """
        ...

    def going_on(self, samples: Sequence[SampleT], rng: np.random.Generator) -> list[SampleT]:
        """Those of the samples just learned from that the next step looks at again; the loop draws new ones for the rest. Often none."""
        ...

    def packed(self, sample: SampleT) -> dict[str, Tensor]:
        """A sample that goes on, as tensors for a checkpoint."""
        ...

    def unpacked(self, tensors: Mapping[str, Tensor]) -> SampleT:
        """What `packed` packed."""
        ...
