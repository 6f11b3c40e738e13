"""Probability maps remembered by click prefix: click n costs one step, undo and repetition cost none.

An object is identified by what was asked, never by who asked: the pixels, the model, and the clicks. So what is kept here is a cache of
values and never the truth. An entry that was evicted, or a worker that was started a minute ago, replays the clicks to the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.byte_cache import ByteCache
from backend.inference.segmenter import Segmenter, State
from converters.chips import PixelWindow
from converters.frames import Box, Click


@dataclass(frozen=True, slots=True)
class SourceStamp:
    """A raster at one moment: a file that was replaced has another size or time, and so another session.

    uri: address as the task names it. nbytes: size of the file. modified: its modification time in ns, or an etag.
    """

    uri: str
    nbytes: int
    modified: int | str


@dataclass(frozen=True, slots=True)
class PixelKey:
    """What the pixels of an encoding depend on. bands: 1-based indices in network order. nodata: as text, since NaN equals nothing."""

    source: SourceStamp
    window: PixelWindow
    bands: tuple[int, ...]
    stretch: tuple[tuple[float, float], ...] | None
    nodata: str


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Everything a probability map depends on except the clicks.

    version: of the segmenter: weights and settings; with the pixels, all that an encoding depends on.
    refinement: how clicks are refined, as `Refinement.suffix`. initial_mask: hash of the mask to be corrected, empty for a new object.
    box: drawn round the object before any click.
    """

    pixels: PixelKey
    version: str
    initial_mask: str = ""
    box: Box | None = None
    refinement: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state after the last click, and how many steps of the segmenter it cost this time."""

    state: State
    steps: int


class Sessions:
    """States by click prefix and encodings by window, each capped in bytes. Safe to share between threads."""

    def __init__(self, *, state_bytes: int, encoding_bytes: int) -> None:
        self.states: ByteCache[tuple[SessionKey, tuple[Click, ...]], State] = ByteCache(state_bytes)
        self.encodings: ByteCache[tuple[PixelKey, str], Any] = ByteCache(encoding_bytes)

    def outcome(
        self,
        key: SessionKey,
        clicks: Sequence[Click],
        *,
        segmenter: Segmenter,
        device: Lock,
        pixels: Callable[[], NDArray[np.uint8]],
        initial_mask: NDArray[np.bool_] | None = None,
    ) -> Outcome:
        """The state after `clicks`, computing only what no earlier request left behind. No clicks: what the key's box alone says.

        device: the lock of the device that the segmenter runs on; held while it runs, not while pixels are read.
        pixels: reads HxWxC uint8; called only when no encoding is kept.
        initial_mask: HxW, the mask to be corrected; its `mask_hash` must be in `key`.
        """
        wanted = tuple(clicks)
        known = self.states.get((key, wanted))
        if known is not None:
            return Outcome(known, 0)
        # Reading may wait for a disk or a network; another annotator's click need not wait with it.
        image = None if self.encodings.get((key.pixels, key.version)) is not None else pixels()
        with device:
            encoding = self._encoding(key, segmenter, pixels if image is None else lambda: image)
            done, state = self._longest_prefix(key, wanted)
            steps = len(wanted) - done
            if state is None:
                state = segmenter.start(encoding, initial_mask, key.box)
                if key.box is not None and segmenter.takes_boxes:  # answering a box is a forward pass
                    self.states.put((key, ()), state, state.nbytes)
                    steps += 1
            for count in range(done + 1, len(wanted) + 1):
                state = segmenter.step(encoding, wanted[:count], state)
                self.states.put((key, wanted[:count]), state, state.nbytes)
        return Outcome(state, steps)

    def _encoding(self, key: SessionKey, segmenter: Segmenter, pixels: Callable[[], NDArray[np.uint8]]) -> Any:
        encoding = self.encodings.get((key.pixels, key.version))
        if encoding is None:
            encoding = segmenter.encode(pixels())
            self.encodings.put((key.pixels, key.version), encoding, int(encoding.nbytes))
        return encoding

    def _longest_prefix(self, key: SessionKey, clicks: tuple[Click, ...]) -> tuple[int, State | None]:
        """How many clicks the best state that is kept has seen, and that state; None when even the start is to be made."""
        for count in range(len(clicks), -1, -1):
            state = self.states.get((key, clicks[:count]))
            if state is not None:
                return count, state
        return 0, None


def mask_hash(mask: NDArray[np.bool_]) -> str:
    """A hash of an initial mask's shape and pixels, for `SessionKey`."""
    digest = hashlib.sha256(repr(mask.shape).encode())
    digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()
