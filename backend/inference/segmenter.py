"""What a segmenter is to everything above it: an expensive `encode` and a cheap, stateless `step`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.frames import Box, Click


@dataclass(frozen=True, slots=True)
class State:
    """What click n leaves for click n + 1. A value: never changed in place, so a session may keep one per click prefix.

    probability: float32 HxW in 0..1 of the window, soft (not thresholded); read-only.
    memory: what the inference strategies carry from click to click (ZoomIn's region of interest), or None. Immutable.
    """

    probability: NDArray[np.float32]
    memory: Any = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping this state costs."""
        return int(self.probability.nbytes) + int(getattr(self.memory, "nbytes", 0))


class Segmenter(Protocol):
    """A network with its weights and its way of predicting. Keeps nothing between calls; safe to share under the device lock.

    name: registry name.
    version: name, weights hash and settings in one short string; changes whenever answers may change.
    recipes: the band recipes it may be given, best first, such as (("R", "G", "B"), ("IR", "R", "G")); the first whose bands the
        raster has is used.
    threshold: probability above which a pixel belongs to the object.
    takes_boxes: whether a box alone is answered, by `start`. Where it is not, who asks gives the box's centre as the first click.
    """

    name: str
    version: str
    recipes: tuple[tuple[str, ...], ...]
    threshold: float
    takes_boxes: bool

    def encode(self, image: NDArray[np.uint8]) -> Any:
        """The expensive part that no click changes. image: HxWxC uint8, C = len(recipes[0]). The result has `nbytes`."""
        ...

    def start(self, encoding: Any, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """The state before the first click: all zeros, the given HxW mask to be corrected, or what a box says.

        With a box, a segmenter that takes boxes answers it here, by one forward pass. Any other remembers it as the region where the
        first click is looked at.
        """
        ...

    def step(self, encoding: Any, clicks: Sequence[Click], state: State) -> State:
        """The state after the last of `clicks`; `state` is the one after all but the last, or after all of them, to be refined (CFR).

        Of a mask that `start` was given, the first two clicks may come at once (correction.py: an anchor, then a negative click).

        One forward pass of the network (two with flip averaging, n + 1 with CFR n).
        """
        ...
