"""A segmenter that computes little, depends on everything it should depend on, and counts what it was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.inference.segmenter import State
from converters.frames import Box, Click


@dataclass(frozen=True)
class FakeEncoding:
    image: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return self.image.nbytes


class FakeSegmenter:
    """A positive click adds a disk of `radius` px, a negative one takes it away; the map also depends on the pixel clicked and on history.

    seconds: how long a step takes. `overlaps` counts steps that ran while another ran: the device lock must keep it at 0.
    """

    threshold = 0.49
    takes_boxes = False

    def __init__(
        self,
        name: str = "fake",
        *,
        version: str | None = None,
        recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),),
        radius: float = 20,
        seconds: float = 0,
    ) -> None:
        self.name = name
        self.version = version or f"{name}@test"
        self.recipes = recipes
        self.radius = radius
        self.seconds = seconds
        self.encodes = 0
        self.steps: list[tuple[Click, ...]] = []
        self.boxes: list[Box] = []
        self.overlaps = 0
        self._running = 0
        self._lock = threading.Lock()

    def encode(self, image: NDArray[np.uint8]) -> FakeEncoding:
        assert image.dtype == np.uint8
        assert image.shape[2] == len(self.recipes[0])
        self.encodes += 1
        return FakeEncoding(image)

    def start(self, encoding: FakeEncoding, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        self.boxes += [] if box is None else [box]
        shape = encoding.image.shape[:2]
        return State(np.zeros(shape, np.float32) if initial_mask is None else initial_mask.astype(np.float32), memory=())

    def step(self, encoding: FakeEncoding, clicks: Sequence[Click], state: State) -> State:
        with self._lock:
            self._running += 1
            self.overlaps += self._running > 1
            self.steps.append(tuple(clicks))
        time.sleep(self.seconds)
        known = {len(clicks) - 1, len(clicks)} | ({0} if len(clicks) == 2 and state.probability.any() else set())
        assert len(state.memory) in known, "the state before the last click, or of an earlier pass of it, or a mask with an anchor"
        last = clicks[-1]
        height, width = encoding.image.shape[:2]
        rows, cols = np.mgrid[:height, :width] + 0.5
        near = (rows - last.row) ** 2 + (cols - last.col) ** 2 <= self.radius**2
        row, col = min(int(last.row), height - 1), min(int(last.col), width - 1)
        seen = 0.6 + 0.3 * float(encoding.image[row, col].mean()) / 255
        probability = np.where(near, np.float32(seen if last.positive else 0.05), state.probability * np.float32(0.99)).astype(np.float32)
        probability.setflags(write=False)
        with self._lock:
            self._running -= 1
        return State(probability, memory=tuple(clicks))
