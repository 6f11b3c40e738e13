"""f-BRS: make a network agree with the clicks by scaling and shifting one of its feature maps. MODELS.md 6.6.

K. Sofiiuk, I. Petrov, O. Barinova, A. Konushin: f-BRS: rethinking backpropagating refinement for interactive segmentation, CVPR 2020.

From the second click on, the body of the network runs once; then L-BFGS-B looks for a scale and a shift per channel of the map between body
and head with which the head says what the clicks say, in the 3x3 pixels round each. What it finds is kept from click to click, in the
state, so that nothing is remembered on an object and undo is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from backend.inference.crop import Roi, resize
from backend.inference.encoding import Encoding
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import State
from backend.inference.zoom_in import ZoomMemory
from converters.frames import Box, Click

PLAIN_CLICKS = 1
"""The first click is predicted without optimisation."""
THRESHOLD = 0.49
"""Probability that a clicked pixel must pass, whichever threshold the segmenter's masks have."""
STEADY_IOU = 0.99
"""The search ends when two successive masks overlap by more."""
PENALTY = 1e-3
SHIFT_PENALTY = 10
"""Of a squared shift, in squared scales."""
OPTIMISER = {"m": 20, "factr": 0, "pgtol": 1e-8, "maxfun": 20, "maxiter": 40}


Head = Callable[[Tensor], Tensor]
"""The part of a network behind a feature map: [B, channels, h, w] -> logits [B, 1, h', w'], differentiable."""


class SplitNetwork(Protocol):
    """A network cut in two at a feature map of `channels` channels."""

    @property
    def channels(self) -> int:
        """Channels of the map."""
        ...

    def __call__(self, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
        """(features, head): x [B, C + 1, H, W], points [B, 2n, 3] (see `predictor.Network`); `head(features)` is the network's answer."""
        ...


@dataclass(frozen=True, slots=True)
class FbrsMemory:
    """What f-BRS carries from click to click.

    zoom: of ZoomIn. values: float64 [2 * channels], all scales, then all shifts. read: the map that the features were computed with; once
    `clicks_limit` clicks are made, the features stay those of that map until the RoI moves.
    """

    zoom: ZoomMemory
    values: NDArray[np.float64]
    read: NDArray[np.float32] | None = None

    @property
    def roi(self) -> Roi | None:
        """ZoomIn's region of interest."""
        return self.zoom.roi

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping it costs."""
        return int(self.values.nbytes) + (0 if self.read is None else int(self.read.nbytes))


@dataclass(eq=False)
class FbrsSegmenter:
    """A `Segmenter`: a `ClickPredictor` whose network is asked through its two halves.

    predictor: its strategies (ZoomIn, flip) stay as they are, its `net` is not used. split: the network. place: name of the map, as `b`.
    clicks_limit: so many clicks reach the network, the later ones act through the objective alone.
    """

    predictor: ClickPredictor
    split: SplitNetwork
    place: str
    clicks_limit: int = 8
    name: str = field(init=False)
    version: str = field(init=False)
    recipes: tuple[tuple[str, ...], ...] = field(init=False)
    threshold: float = field(init=False)
    takes_boxes: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.predictor.name}+fbrs{self.place}"
        self.version = f"{self.predictor.version}+fbrs{self.place}"
        self.recipes = self.predictor.recipes
        self.threshold = self.predictor.threshold

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """As the predictor's."""
        return self.predictor.encode(image)

    def start(self, encoding: Encoding, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """As the predictor's, with no scale and no shift."""
        state = self.predictor.start(encoding, initial_mask, box)
        return State(state.probability, FbrsMemory(state.memory, np.zeros(2 * self.split.channels)))

    def step(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> State:
        """One pass through the body, up to `maxfun` through the head and back from the second click on."""
        memory: FbrsMemory = state.memory
        asked = _Optimised(self.split, memory.values, optimise=len(clicks) > PLAIN_CLICKS, clicks_limit=self.clicks_limit)
        predictor = replace(self.predictor, net=asked, clicks_limit=None)
        read = state.probability
        if len(clicks) > self.clicks_limit and memory.read is not None and self._roi_stays(encoding, clicks, state):
            read = memory.read
        zoom = memory.zoom if read is state.probability else replace(memory.zoom, found=state.probability)
        after = predictor.step(encoding, clicks, State(read, zoom))
        return State(after.probability, FbrsMemory(after.memory, asked.values, read))

    def _roi_stays(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> bool:
        zoom_in, zoom = self.predictor.zoom_in, state.memory.zoom
        return zoom_in is None or zoom_in.view(encoding.placed(clicks), state.probability, zoom).paste == zoom.roi


class _Optimised:
    """`net(x, points)` with scales and shifts that it may improve; one for each step."""

    def __init__(self, split: SplitNetwork, values: NDArray[np.float64], *, optimise: bool, clicks_limit: int) -> None:
        self.split = split
        self.clicks_limit = clicks_limit
        self.values = values
        self.optimise = optimise

    def __call__(self, x: Tensor, points: Tensor) -> Tensor:
        """Logits at the size of x. `values` are then those to be kept."""
        size = (x.shape[2], x.shape[3])
        with torch.inference_mode(False), torch.no_grad():  # what inference mode makes can have no gradient
            x, points = x.clone(), points.clone()
            shown = torch.where(points[..., 2:] < self.clicks_limit, points, torch.full_like(points, -1))
            features, head = self.split(x, shown)
            objective = _Objective(head, features, squares(points, size), size)
            if self.optimise:
                self.values, _, _ = fmin_l_bfgs_b(objective, self.values, **OPTIMISER)
            if objective.best_logits is not None:
                return objective.best_logits
            return objective.logits(torch.tensor(self.values, dtype=torch.float32, device=x.device))


class _Objective:
    """How far the head is from what the clicks say, and the gradient, as SciPy asks for them; remembers the best it has seen."""

    def __init__(self, head: Head, features: Tensor, clicked: Tensor, size: tuple[int, int]) -> None:
        self.head = head
        self.features = features
        self.positive, self.negative = clicked[:, :1], clicked[:, 1:]
        self.size = size
        self.evaluations = 0
        self.best = float("inf")
        self.best_logits: Tensor | None = None
        self._mask: Tensor | None = None

    def logits(self, values: Tensor) -> Tensor:
        """[B, 1, *size] with these scales and shifts, [2 * channels]."""
        scale, shift = values.view(2, 1, -1, 1, 1)
        return resize(self.head(self.features * (1 + scale) + shift), self.size)

    def __call__(self, values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """(value, gradient); a gradient of zero ends the search: the clicks are satisfied, or the mask has settled."""
        self.evaluations += 1
        variables = torch.tensor(values, dtype=torch.float32, device=self.features.device).requires_grad_()
        with torch.enable_grad():
            logits = self.logits(variables)
            probability = logits.sigmoid()
            total = self._value(probability, variables)
            (gradient,) = torch.autograd.grad(total, variables)
        value = float(total.detach())
        if value < self.best:
            self.best, self.best_logits = value, logits.detach()
        if self._satisfied(probability.detach()) or self._settled(probability.detach() > THRESHOLD):
            return value, np.zeros_like(values)
        return value, gradient.cpu().numpy().astype(np.float64)

    def _value(self, probability: Tensor, variables: Tensor) -> Tensor:
        # The order of these sums is the published one: the search amplifies the last bit of a float32 by a factor of a million.
        missed = (self.positive * (1 - probability).square()).sum() / (self.positive.sum() + 1e-5)
        strayed = (self.negative * probability.square()).sum() / (self.negative.sum() + 1e-5)
        scale, shift = variables.chunk(2)
        return missed + strayed + PENALTY * (scale.square().sum() + SHIFT_PENALTY * shift.square().sum())

    def _satisfied(self, probability: Tensor) -> bool:
        worst_positive = float((self.positive * (1 - probability)).max())
        worst_negative = float((self.negative * probability).max())
        return worst_positive < 1 - THRESHOLD and worst_negative < THRESHOLD

    def _settled(self, mask: Tensor) -> bool:
        before, self._mask = self._mask, mask
        if before is None:
            return False
        union = float((mask | before).sum())
        return union > 0 and float((mask & before).sum()) / union > STEADY_IOU


def squares(points: Tensor, size: tuple[int, int]) -> Tensor:
    """The 3x3 pixels round each rounded click as float32 [B, 2, H, W] of 0 and 1: positive, negative.

    points: [B, 2n, 3] as `points_tensor` makes them. size: (H, W).
    """
    (height, width), (batch, slots, _) = size, points.shape
    row, col = points[..., 0].round(), points[..., 1].round()
    rows, cols = (torch.arange(length, dtype=points.dtype, device=points.device) for length in (height, width))
    near_row = (rows - row[..., None]).abs() <= 1  # (B, 2n, H)
    near_col = (cols - col[..., None]).abs() <= 1
    valid = torch.maximum(points[..., 0], points[..., 1]) >= 0
    inside = near_row[..., :, None] & near_col[..., None, :] & valid[..., None, None]
    return inside.view(batch, 2, slots // 2, height, width).any(dim=2).to(points.dtype)
