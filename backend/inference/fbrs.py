"""f-BRS: make a network agree with the clicks by scaling and shifting one of its feature maps. MODELS.md 6.6.

K. Sofiiuk, I. Petrov, O. Barinova, A. Konushin: f-BRS: rethinking backpropagating refinement for interactive segmentation, CVPR 2020.

From the second click on, the body of the network runs once; then L-BFGS-B looks for a scale and a shift per channel of the map between body
and head with which the head says what the clicks say, in the 3x3 pixels round each. What it finds is kept from click to click, in the
state, so that nothing is remembered on an object and undo is exact.

As published, on RITM, the search runs at every click and its answer is taken. On other networks that is nobody's result, and a search that
moves whole channels may lose more of a mask than it gains at a click. There it runs only where the plain answer leaves a click on the wrong
side of the mask's edge, and its answer is taken only if that leaves fewer (`published=False`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.inference.crop import Roi
from backend.inference.encoding import Encoding
from backend.inference.fbrs_search import Answer, Head, Objective, SplitNetwork, squares
from backend.inference.focus_predictor import FocalMemory, FocalNetwork, FocalPredictor
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import State
from backend.inference.zoom_in import ZoomMemory
from converters.frames import Box, Click

PLAIN_CLICKS = 1
"""The first click is predicted without optimisation."""
NOTHING = np.zeros(0)
"""No scale and no shift."""
NOTHING.setflags(write=False)


@dataclass(frozen=True, slots=True)
class FbrsMemory:
    """What f-BRS carries from click to click.

    inner: of the predictor. values: float64 [2 * channels], all scales, then all shifts; empty where the plain answer was taken.
    read: the map that the features were computed with; once `clicks_limit` clicks are made, the features stay those of that map until the
    RoI moves.
    """

    inner: ZoomMemory | FocalMemory
    values: NDArray[np.float64]
    read: NDArray[np.float32] | None = None

    @property
    def roi(self) -> Roi | None:
        """ZoomIn's region of interest."""
        return self.inner.zoom.roi if isinstance(self.inner, FocalMemory) else self.inner.roi

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping it costs."""
        return int(self.values.nbytes) + int(getattr(self.inner, "nbytes", 0)) + (0 if self.read is None else int(self.read.nbytes))


@dataclass(eq=False)
class FbrsSegmenter:
    """A `Segmenter`: a predictor whose network is asked through its two halves.

    predictor: its strategies (ZoomIn, flip, focus crop) stay as they are; of its `net` only what lies behind the split is used.
    split: the network. place: name of the map, as `b`. published: see the module.
    clicks_limit: so many clicks reach the network, the later ones act through the objective alone; None for all.
    """

    predictor: ClickPredictor | FocalPredictor
    split: SplitNetwork
    place: str
    clicks_limit: int | None = 8
    published: bool = True
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
        return State(state.probability, FbrsMemory(state.memory, NOTHING))

    def step(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> State:
        """One pass through the body, up to `maxfun` through the head and back from the second click on."""
        if self.published:
            return self._published_step(encoding, clicks, state)
        memory: FbrsMemory = state.memory
        before, body = State(state.probability, memory.inner), _Once(self.split)
        plain, _ = self._predicted(body, NOTHING, encoding, clicks, before, optimise=False)
        missed = self._missed(plain, encoding, clicks)
        if len(clicks) <= PLAIN_CLICKS or not missed:
            return State(plain.probability, FbrsMemory(plain.memory, NOTHING))
        found, values = self._predicted(body, memory.values, encoding, clicks, before, optimise=True)
        if self._missed(found, encoding, clicks) >= missed:
            return State(plain.probability, FbrsMemory(plain.memory, NOTHING))
        return State(found.probability, FbrsMemory(found.memory, values))

    def _published_step(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> State:
        memory: FbrsMemory = state.memory
        read, zoom = state.probability, memory.inner
        beyond = self.clicks_limit is not None and len(clicks) > self.clicks_limit
        if beyond and memory.read is not None and isinstance(zoom, ZoomMemory) and self._roi_stays(encoding, clicks, state):
            read, zoom = memory.read, replace(zoom, found=state.probability)
        after, values = self._predicted(self.split, memory.values, encoding, clicks, State(read, zoom), optimise=len(clicks) > PLAIN_CLICKS)
        return State(after.probability, FbrsMemory(after.memory, values, read))

    def _predicted(
        self,
        split: SplitNetwork,
        values: NDArray[np.float64],
        encoding: Encoding,
        clicks: Sequence[Click],
        state: State,
        *,
        optimise: bool,
    ) -> tuple[State, NDArray[np.float64]]:
        """The predictor's own step with the network's features scaled and shifted, and the scales and shifts in the end."""
        asked = _Optimised(split, values, optimise=optimise, clicks_limit=self.clicks_limit)
        if isinstance(self.predictor, FocalPredictor):
            return replace(self.predictor, net=_OptimisedPasses(asked, self.predictor.net)).step(encoding, clicks, state), asked.values
        return replace(self.predictor, net=asked, clicks_limit=None).step(encoding, clicks, state), asked.values

    def _missed(self, state: State, encoding: Encoding, clicks: Sequence[Click]) -> int:
        """How many clicked pixels lie on the wrong side of the mask's edge."""
        places = [(math.floor(row + 0.5), math.floor(col + 0.5), positive) for row, col, positive in encoding.placed(clicks)]
        return sum(bool(state.probability[row, col] > self.threshold) != positive for row, col, positive in places)

    def _roi_stays(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> bool:
        zoom_in, zoom = self.predictor.zoom_in, state.memory.inner
        return zoom_in is None or zoom_in.view(encoding.placed(clicks), state.probability, zoom).paste == zoom.roi


class _Optimised:
    """`net(x, points)` with scales and shifts that it may improve; one for each step."""

    def __init__(self, split: SplitNetwork, values: NDArray[np.float64], *, optimise: bool, clicks_limit: int | None) -> None:
        self.split = split
        self.clicks_limit = clicks_limit
        self.values = values
        self.optimise = optimise

    def __call__(self, x: Tensor, points: Tensor) -> Tensor:
        """Logits at the size of x. `values` are then those to be kept."""
        return self.answer(x, points)[0]

    def answer(self, x: Tensor, points: Tensor) -> Answer:
        """As the call, with what the head gives beside the logits."""
        size = (x.shape[2], x.shape[3])
        with torch.inference_mode(False), torch.no_grad():  # what inference mode makes can have no gradient
            x, points = x.clone(), points.clone()
            limit = math.inf if self.clicks_limit is None else self.clicks_limit
            shown = torch.where(points[..., 2:] < limit, points, torch.full_like(points, -1))
            features, head = self.split(x, shown)
            objective = Objective(head, features, squares(points, size), size)
            values = self.values if self.values.size else np.zeros(2 * features.shape[1])
            if not self.optimise:
                return objective.at(values)
            self.values, answer = objective.search(values)
            return answer


class _OptimisedPasses:
    """`FocalNetwork` whose coarse pass is optimised: the refiner reads the features and logits that were found."""

    def __init__(self, asked: _Optimised, net: FocalNetwork) -> None:
        self.asked = asked
        self.net = net

    def coarse(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """See `FocalNetwork`."""
        logits, features = self.asked.answer(x, points)
        assert features is not None  # a FocalClick split gives them
        return logits, features

    def refine(self, image: Tensor, points: Tensor, features: Tensor, logits: Tensor, box: Tensor) -> Tensor:
        """The network's own."""
        return self.net.refine(image, points, features, logits, box)


class _Once:
    """A split network that runs its body once for the same input: the plain answer and the search share it."""

    def __init__(self, split: SplitNetwork) -> None:
        self.split = split
        self._last: tuple[Tensor, Tensor, tuple[Tensor, Head]] | None = None

    def __call__(self, x: Tensor, points: Tensor) -> tuple[Tensor, Head]:
        """See `SplitNetwork`."""
        if self._last is None or not (torch.equal(self._last[0], x) and torch.equal(self._last[1], points)):
            self._last = (x, points, self.split(x, points))
        return self._last[2]
