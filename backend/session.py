"""Probability maps remembered by click prefix: click n costs one step, undo and repetition cost none.

An object is identified by what was asked, never by who asked: the pixels, the model, and the clicks. So what is kept here is a cache of
values and never the truth. An entry that was evicted, or a worker that was started a minute ago, replays the clicks to the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.byte_cache import ByteCache
from backend.device_lock import DeviceLock
from backend.encoding_store import EncodingKey, EncodingStore, NoStore, PixelKey, SourceStamp
from backend.inference.giving_way import GaveWay, giving_way
from backend.inference.segmenter import Segmenter, State
from backend.turns import Turns
from converters.frames import Box, Click

__all__ = ["Ahead", "Outcome", "PixelKey", "SessionKey", "Sessions", "SourceStamp", "mask_hash"]


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Everything a probability map depends on except the clicks.

    version: of the segmenter: weights and settings; with the pixels, all that an encoding depends on.
    refinement: how clicks are refined, as `Refinement.suffix`. box: drawn round the object before any click.
    initial_mask: which mask is to be corrected, and how; empty for a new object.
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


class Ahead(StrEnum):
    """How it went to have an encoding before anybody clicks."""

    KEPT = "kept"  # it was in memory
    READ = "read"  # it was on disk
    ENCODED = "encoded"
    BUSY = "busy"  # somebody else makes it now, in this process or another
    GAVE_WAY = "gave_way"  # somebody clicked meanwhile


class Sessions:
    """States by click prefix and encodings by window, each capped in bytes. Safe to share between threads.

    store: where encodings are kept beyond this process's memory.
    """

    def __init__(self, *, state_bytes: int, encoding_bytes: int, store: EncodingStore | None = None) -> None:
        self.states: ByteCache[tuple[SessionKey, tuple[Click, ...]], State] = ByteCache(state_bytes)
        self.encodings: ByteCache[tuple[PixelKey, str], Any] = ByteCache(encoding_bytes)
        self.store = store or NoStore()
        self._turns: Turns[EncodingKey] = Turns()

    def outcome(
        self,
        key: SessionKey,
        clicks: Sequence[Click],
        *,
        segmenter: Segmenter,
        device: DeviceLock,
        pixels: Callable[[], NDArray[np.uint8]],
        initial_mask: NDArray[np.bool_] | None = None,
    ) -> Outcome:
        """The state after `clicks`, computing only what no earlier request left behind. No clicks: what the key's box alone says.

        device: the lock of the device that the segmenter runs on; held while it runs, not while pixels are read.
        pixels: reads HxWxC uint8; called only when no encoding is kept.
        initial_mask: HxW, the mask to be corrected; `key` must tell it from others (`mask_hash`).
        """
        wanted = tuple(clicks)
        known = self.states.get((key, wanted))
        if known is not None:
            return Outcome(known, 0)
        encoding = self.encoding(key.pixels, key.version, segmenter=segmenter, device=device, pixels=pixels)
        with device:
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

    def encoding(
        self, pixel_key: PixelKey, version: str, *, segmenter: Segmenter, device: DeviceLock, pixels: Callable[[], NDArray[np.uint8]]
    ) -> Any:
        """The encoding of a window for somebody who waits: from memory, from disk, or computed now. Takes the device itself.

        version: of the segmenter as it encodes, however clicks are refined. Where somebody else is at the same encoding, waits for it.
        """
        kept = self.encodings.get((pixel_key, version))
        if kept is not None:
            return kept
        key = EncodingKey(pixel_key, version, device.name)
        with self._turns.turn(key), ExitStack() as turn:
            turn.enter_context(self.store.turn(key))
            found = self._found(key)
            if found is not None:
                return found
            with device.expecting():
                # Reading may wait for a disk or a network; another annotator's click need not wait with it.
                image = pixels()
                with device:
                    encoding = segmenter.encode(image)
            self.encodings.put((pixel_key, version), encoding, int(encoding.nbytes))
            # Other processes have their turn when they can read it.
            self.store.put_later(key, encoding, turn.pop_all().close)
        return encoding

    def encode_ahead(
        self, pixel_key: PixelKey, version: str, *, segmenter: Segmenter, device: DeviceLock, pixels: Callable[[], NDArray[np.uint8]]
    ) -> Ahead:
        """As `encoding`, for nobody yet: lets go of the device when somebody needs it, and waits for nobody who makes the same."""
        if self.encodings.get((pixel_key, version)) is not None:
            return Ahead.KEPT
        key = EncodingKey(pixel_key, version, device.name)
        if self._found(key) is not None:
            return Ahead.READ
        image = pixels()
        with ExitStack() as turn:
            # The device first: who clicks on this window while we wait for it shall not wait for us.
            with device.ahead(), self._turns.try_turn(key) as mine:
                if not (mine and turn.enter_context(self.store.try_turn(key))):
                    return Ahead.BUSY
                if self._found(key, again=True) is not None:  # made while we waited
                    return Ahead.READ
                try:
                    with giving_way(lambda: device.wanted):
                        encoding = segmenter.encode(image)
                except GaveWay:
                    return Ahead.GAVE_WAY
                self.encodings.put((pixel_key, version), encoding, int(encoding.nbytes))
            self.store.put(key, encoding)  # still the one process that makes it
        return Ahead.ENCODED

    def _found(self, key: EncodingKey, *, again: bool = False) -> Any:
        """What somebody else has made meanwhile, here or in another process; None where nobody has."""
        kept = self.encodings.get((key.pixels, key.version))
        if kept is None:
            kept = self.store.get(key, again=again)
            if kept is not None:
                self.encodings.put((key.pixels, key.version), kept, int(kept.nbytes))
        return kept

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
