"""What identifies an encoding, and a place where encodings are kept beyond one process's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from converters.chips import PixelWindow


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
class EncodingKey:
    """What an encoding depends on, to the last bit. version: of the segmenter. device: that it was computed on, such as "cuda:0"."""

    pixels: PixelKey
    version: str
    device: str


class EncodingStore(Protocol):
    """Keeps encodings for other processes and later days. A cache: it may forget, and never raises."""

    def get(self, key: EncodingKey, *, again: bool = False) -> Any:
        """The encoding, with the bits it had, on the key's device; None where it is not kept. again: it was not a moment ago."""
        ...

    def put(self, key: EncodingKey, encoding: Any) -> None:
        """Keep it now."""
        ...

    def put_later(self, key: EncodingKey, encoding: Any, then: Callable[[], object]) -> None:
        """Keep it in the background, or not at all: somebody waits. then: called when that is done, possibly by another thread."""
        ...

    def turn(self, key: EncodingKey) -> AbstractContextManager[object]:
        """Waits while another process makes this encoding, though not forever."""
        ...

    def try_turn(self, key: EncodingKey) -> AbstractContextManager[bool]:
        """Whether no other process makes this encoding; none begins to inside."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes kept now."""
        ...


class NoStore:
    """An `EncodingStore` that keeps nothing."""

    nbytes = 0

    def get(self, key: EncodingKey, *, again: bool = False) -> Any:
        """Never anything."""

    def put(self, key: EncodingKey, encoding: Any) -> None:
        """Does nothing."""

    def put_later(self, key: EncodingKey, encoding: Any, then: Callable[[], object]) -> None:
        """Does nothing else."""
        then()

    @contextmanager
    def turn(self, key: EncodingKey) -> Iterator[bool]:
        """At once."""
        yield True

    try_turn = turn
