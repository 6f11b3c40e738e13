"""The prompts of a simulated annotation with SAM: a click or a box first, then clicks into what is wrong, the last mask's logits with them.

All objects of a view are asked for side by side, one prompt each, so a round is one pass of the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.training.error_click import error_click

NO_POINT = -1  # SAM's label for a point that is none
Point = tuple[float, float, int]  # x, y in pixel indices of the view; label 1, 0 or NO_POINT


@dataclass(slots=True)
class Prompts:
    """What the decoder has been told of K objects so far.

    targets: int8 [K, S, S]. points: of each object, all lists of one length. boxes: float32 [K, 4] of (left, top, right, bottom).
    logits: float32 [K, 1, s, s] of the last answer, or None.
    """

    targets: NDArray[np.int8]
    points: list[list[Point]] = field(default_factory=list)
    boxes: NDArray[np.float32] | None = None
    logits: Tensor | None = None

    @classmethod
    def begin(cls, targets: NDArray[np.int8], first: Literal["click", "box"], jitter: float, rng: np.random.Generator) -> Prompts:
        """A click into each object, or a box round it whose sides are off by normally distributed shares of its size, `jitter` wide."""
        prompts = cls(targets, [[] for _ in targets])
        if first == "box":
            prompts.boxes = np.stack([_box(target, jitter, rng) for target in targets])
        else:
            prompts.click([np.zeros(target.shape, np.float32) for target in targets], rng)
        return prompts

    @property
    def ambiguous(self) -> bool:
        """Whether a single click is all there is, which may mean a roof or the whole house."""
        return self.boxes is None and self.logits is None

    def answered(self, logits: Tensor, probabilities: list[NDArray[np.float32]], rng: np.random.Generator) -> None:
        """Takes the decoder's masks as the next prompt, and clicks where they are wrong.

        logits: [K, 1, s, s], without gradient. probabilities: float32 SxS each.
        """
        self.logits = logits
        self.click(probabilities, rng)

    def click(self, probabilities: list[NDArray[np.float32]], rng: np.random.Generator) -> None:
        """One more point for each object, in its larger error; none, in SAM's way of saying so, where there is no error."""
        for points, probability, target in zip(self.points, probabilities, self.targets, strict=True):
            found = error_click(probability, target, rng)
            points.append((0.0, 0.0, NO_POINT) if found is None else (float(found[1]), float(found[0]), int(found[2])))

    def point_tensors(self, device: str) -> tuple[Tensor, Tensor] | None:
        """(x, y) float32 [K, n, 2] and labels int64 [K, n], as the prompt encoder takes them; None before the first click."""
        if not self.points[0]:
            return None
        places = [[(x, y) for x, y, _ in points] for points in self.points]
        labels = [[label for *_, label in points] for points in self.points]
        return torch.tensor(places, device=device), torch.tensor(labels, device=device)

    def box_tensor(self, device: str) -> Tensor | None:
        """float32 [K, 4], or None."""
        return None if self.boxes is None else torch.from_numpy(self.boxes).to(device)


def _box(target: NDArray[np.int8], jitter: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """(left, top, right, bottom) in pixel indices, as an annotator would draw it: about right."""
    rows, cols = np.flatnonzero((target == 1).any(axis=1)), np.flatnonzero((target == 1).any(axis=0))
    exact = np.array([cols[0], rows[0], cols[-1], rows[-1]], np.float64)
    width, height = exact[2] - exact[0] + 1, exact[3] - exact[1] + 1
    off = np.clip(rng.normal(0, jitter, 4), -2 * jitter, 2 * jitter) * np.array([width, height, width, height])
    limits = np.array([target.shape[1], target.shape[0]] * 2) - 1
    return np.clip(exact + off, 0, limits).astype(np.float32)
