"""Cascade-forward refinement (CFR): predict a click, then let the network correct its own map with the same clicks. MODELS.md 6.3.

A strategy round any `Segmenter`: a pass is one complete `step`, ZoomIn and flip averaging included, and reads the soft map and the RoI of
the pass before. Nothing is thresholded except to see whether the mask still changes.

Two traps of the published code are decided here, and ZoomIn decides a third:

* ZoomIn(skip_clicks=0) may predict a click twice, the second time inside the object just found. In the published code the second look
  forgets that it is part of a cascade and starts one of its own, 2N + 2 passes instead of N + 2. Here a second look is a second look.
* A mask to be corrected is what the first pass reads, as without CFR. The published code never shows it to the network while it cascades
  and only compares the first pass with it.
* A pass that finds nothing leaves no RoI, so the next pass sees the whole image (`ZoomIn.keep_stale_roi`).

`CascadedSegmenter(as_published=True)` reproduces the first two, for parity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import ContractError
from backend.inference.batching import Request, step_many
from backend.inference.segmenter import Segmenter, State
from converters.frames import Box, Click

STEADY_PIXELS = 20
"""An adaptive cascade ends when at most so many pixels of the mask changed in a pass."""
MAX_PASSES = 20
"""Most further passes that may be asked for: whoever writes a label config must not stop the server."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """How clicks are refined.

    passes: N further passes after the first; 0 is plain prediction. adaptive: fewer where the mask has settled.
    clicks: only the first so many clicks of an object are refined, as in the published evaluation; None for all.
    """

    passes: int = 0
    adaptive: bool = False
    clicks: int | None = 1

    def __post_init__(self) -> None:
        if self.passes < 0:
            raise ContractError(f"{self.passes} refinement passes were asked for; expected 0 or more; 4 is the published choice")
        if self.clicks is not None and self.clicks < 1:
            raise ContractError(f"the first {self.clicks} clicks were to be refined; expected 1 or more, or all; turn it off instead")

    @classmethod
    def parse(cls, cfr: str = "off", clicks: str = "1") -> Cascade:
        """From `off`, `N` or `auto:N` with N up to `MAX_PASSES`, and `k` or `all`. Raises ContractError for anything else."""
        wanted = re.fullmatch(r"(auto:)?(\d{1,9})", cfr.strip(), re.ASCII)
        if wanted is None and cfr.strip() != "off":
            raise ContractError(f'model_cfr is "{cfr[:40]}"; expected off, a number of refinement passes such as 4, or auto:4')
        if re.fullmatch(r"all|\d{1,9}", clicks.strip(), re.ASCII) is None:
            raise ContractError(f'model_cfr_clicks is "{clicks[:40]}"; expected all, or how many of the first clicks to refine, such as 1')
        if wanted is not None and int(wanted[2]) > MAX_PASSES:
            raise ContractError(
                f"model_cfr asks for {wanted[2]} refinement passes; expected at most {MAX_PASSES}; 4 is the published choice"
            )
        count = None if clicks.strip() == "all" else int(clicks)
        return cls(clicks=count) if wanted is None else cls(int(wanted[2]), wanted[1] is not None, count)

    def __str__(self) -> str:
        """`off`, `4`, `auto:4`, and the clicks where they are not only the first: `4@clicks=all`."""
        if self.passes == 0:
            return "off"
        return f"{'auto:' if self.adaptive else ''}{self.passes}{self._clicks}"

    @property
    def suffix(self) -> str:
        """What a name or version ends in: nothing, `+cfr4`, `+acfr4@clicks=all`."""
        return f"+{'a' if self.adaptive else ''}cfr{self.passes}{self._clicks}" if self.passes else ""

    @property
    def _clicks(self) -> str:
        return "" if self.clicks == 1 else f"@clicks={'all' if self.clicks is None else self.clicks}"

    def refines(self, count: int) -> bool:
        """Whether the `count`-th click of an object is refined."""
        return self.passes > 0 and (self.clicks is None or count <= self.clicks)


OFF = Cascade()


class _LooksTwice(Protocol):
    """What `as_published` asks of a segmenter beyond `step`: its forward passes one by one, see `ClickPredictor.look`."""

    def look(self, encoding: Any, clicks: Sequence[Click], state: State) -> tuple[State, bool]: ...


@dataclass(eq=False)
class CascadedSegmenter:
    """A `Segmenter` that refines what another one predicts. States are the other one's own.

    as_published: see the module; needs a `ClickPredictor`.
    """

    segmenter: Segmenter
    cascade: Cascade
    as_published: bool = False
    name: str = field(init=False)
    version: str = field(init=False)
    recipes: tuple[tuple[str, ...], ...] = field(init=False)
    threshold: float = field(init=False)
    takes_boxes: bool = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.segmenter.name + self.cascade.suffix
        self.version = self.segmenter.version + self.cascade.suffix
        self.recipes = self.segmenter.recipes
        self.threshold = self.segmenter.threshold
        self.takes_boxes = self.segmenter.takes_boxes

    def encode(self, image: NDArray[np.uint8]) -> Any:
        """The other segmenter's encoding: refinement changes nothing about it."""
        return self.segmenter.encode(image)

    def start(self, encoding: Any, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """The other segmenter's start. What it answers a box with is not refined: only clicks are."""
        state = self.segmenter.start(encoding, initial_mask, box)
        if initial_mask is None or not (self.as_published and self.cascade.refines(1)):
            return state
        return State(self.segmenter.start(encoding).probability, _Unseen(state.probability))

    def step(self, encoding: Any, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click: N + 1 steps of the other segmenter where the click is refined, one where not."""
        if not self.cascade.refines(len(clicks)):
            return self._pass(encoding, clicks, state)
        before: NDArray[np.float32] | None = None
        if isinstance(state.memory, _Unseen):
            before, state = state.memory.probability, self.segmenter.start(encoding)
        for _ in range(self.cascade.passes + 1):
            state = self._pass(encoding, clicks, state)
            if self.cascade.adaptive and before is not None and self._changed(before, state.probability) <= STEADY_PIXELS:
                return state
            before = state.probability
        return state

    def step_many(self, encoding: Any, requests: Sequence[Request]) -> list[State]:
        """What `step` gives for each request, in their order: pass by pass, the other segmenter's steps together."""
        if self.as_published:
            return [self.step(encoding, request.clicks, request.state) for request in requests]
        states = [request.state for request in requests]
        pending = list(range(len(requests)))
        done = 0
        while pending:
            after = step_many(self.segmenter, encoding, [Request(requests[number].clicks, states[number]) for number in pending])
            done += 1
            left: list[int] = []
            for number, state in zip(pending, after, strict=True):
                if not self._settled(len(requests[number].clicks), done, states[number], state):
                    left.append(number)
                states[number] = state
            pending = left
        return states

    def _settled(self, count: int, done: int, before: State, after: State) -> bool:
        """Whether the `count`-th click is answered after `done` passes, the last of which led from `before` to `after`."""
        if not self.cascade.refines(count) or done > self.cascade.passes:
            return True
        return self.cascade.adaptive and done > 1 and self._changed(before.probability, after.probability) <= STEADY_PIXELS

    def _pass(self, encoding: Any, clicks: Sequence[Click], state: State) -> State:
        if not self.as_published:
            return self.segmenter.step(encoding, clicks, state)
        predictor: _LooksTwice = self.segmenter  # type: ignore[assignment] - only a ClickPredictor is cascaded as published
        after, done = predictor.look(encoding, clicks, state)
        return after if done else self.step(encoding, clicks, after)  # the second look cascades: the published code's oversight

    def _changed(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> int:
        """Pixels of the whole image that entered or left the mask."""
        return int(np.count_nonzero((before > self.threshold) != (after > self.threshold)))


@dataclass(frozen=True, slots=True)
class _Unseen:
    """Memory of a start as published: a mask to be corrected that the network is never shown. HxW float32, 0 and 1."""

    probability: NDArray[np.float32]


def cascaded(segmenter: Segmenter, cascade: Cascade) -> Segmenter:
    """`segmenter` refined; itself where refinement is off."""
    return CascadedSegmenter(segmenter, cascade) if cascade.passes else segmenter
