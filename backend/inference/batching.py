"""Several objects of one image in one forward pass: the same steps as one by one, with the network's inputs of one shape put together.

A step of a batch does for every request what `Segmenter.step` does for it alone. Only the network sees several samples at once, which may
change its sums in the last bit: measured on a CPU, not at all for the shipped weights and by 1e-7 in probability for miniature networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backend.inference.segmenter import Segmenter, State
from converters.frames import Click


@dataclass(frozen=True, slots=True)
class Request:
    """One object's next step: all its clicks, and the state after all but the last, as in `Segmenter.step`."""

    clicks: Sequence[Click]
    state: State


@runtime_checkable
class StepsMany(Protocol):
    """A segmenter that answers several requests about one image together."""

    def step_many(self, encoding: Any, requests: Sequence[Request]) -> list[State]:
        """What `step` gives for each request, in their order."""
        ...


def step_many(segmenter: Segmenter, encoding: Any, requests: Sequence[Request]) -> list[State]:
    """The next state of every request, in their order: together where the segmenter can, one after the other where it cannot.

    A single request is an ordinary `step`, bit for bit.
    """
    if len(requests) > 1 and isinstance(segmenter, StepsMany):
        return segmenter.step_many(encoding, requests)
    return [segmenter.step(encoding, request.clicks, request.state) for request in requests]
