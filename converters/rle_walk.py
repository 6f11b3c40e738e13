"""Where the runs of a brush RLE begin, found in many stretches of the bit stream at once.

A run's place follows from the run before it, so a plain reader walks from run to run. But a reader that begins anywhere soon falls in
with the true chain of runs, so the stream is cut into stretches which are walked in step, a run of each at a time. A stretch that was
begun at a wrong bit shows itself, since the stretch before it ends elsewhere, and is walked again from there: speed rests on the
guess, correctness does not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Shorter streams, in bits, are walked one run after the other.
SHORT = 1 << 15
# Runs that must make sense one after the other where a stretch may begin.
SENSIBLE = 8
# Bits that a reader walks ahead of a stretch to fall in with the chain where no place makes sense.
AHEAD = 1024
# Runs that a stretch begun at a wrong bit is walked at a time until it falls in with what was found there before.
AGAIN = 64
_REPEATED = 4  # the first of a run's three leading bits says so


@dataclass(frozen=True, slots=True)
class RunCode:
    """How runs are written. word: bits of a value, 1..8. fields: bits of the four kinds of lengths, 1..16 each."""

    word: int
    fields: tuple[int, int, int, int]


def run_starts(data: NDArray[np.uint8], first: int, code: RunCode) -> NDArray[np.int64]:
    """The bit at which each run begins, ascending; what looks like runs in the padding behind the last is included.

    data: the bytes of the stream. first: the bit of the first run. A run that has not all of its bits is left out.
    """
    stream = _BitStream.of(data, code)
    if stream.end <= first:
        return np.empty(0, np.int64)
    starts = stream.walked(first, stream.end)[0] if stream.end - first < SHORT else _in_stretches(stream, first)
    return starts if stream.after(int(starts[-1])) <= stream.end else starts[:-1]


def _in_stretches(stream: _BitStream, first: int) -> NDArray[np.int64]:
    length = min(max(int(4 * (stream.end - first) ** 0.5), 2 * AHEAD), 1 << 15)
    cuts = np.append(np.arange(first, stream.end, length), stream.end)
    begin = stream.guessed(cuts[:-1])
    begin[0] = first
    found, ends = stream.walked_together(begin, cuts[1:])
    end = int(ends[0])
    for stretch in range(1, len(found)):
        if begin[stretch] == end:
            end = int(ends[stretch])
        else:
            found[stretch], end = stream.mended(found[stretch], int(ends[stretch]), end, int(cuts[stretch + 1]))
    return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class _BitStream:
    """steps: for each bit, how far the next run is from the one that would begin there; 0 for a list of words.

    pairs: for each byte, it and the next as a number. end: number of bits.
    """

    steps: NDArray[np.uint8]
    pairs: NDArray[np.uint16]
    data: bytes
    end: int
    code: RunCode

    @classmethod
    def of(cls, data: NDArray[np.uint8], code: RunCode) -> _BitStream:
        padded = np.append(data, np.zeros(4, np.uint8))
        pairs = (padded[:-1].astype(np.uint16) << 8 | padded[1:]).astype(np.uint16)
        return cls(_steps_of_pairs(code)[pairs].view(np.uint8), pairs, padded.tobytes(), data.size * 8, code)

    def after(self, at: int) -> int:
        """The bit behind the run at bit `at`, which may lie behind the end."""
        step = int(self.steps[at])
        if step:
            return at + step
        kind = (int.from_bytes(self.data[at // 8 : at // 8 + 2]) >> (13 - at % 8)) & 3
        field, first = self.code.fields[kind], at + 3
        chunk = int.from_bytes(self.data[first // 8 : first // 8 + 3])
        return first + field + (((chunk >> (24 - first % 8 - field)) & ((1 << field) - 1)) + 1) * self.code.word

    def walked(self, first: int, stop: int, most: int | None = None) -> tuple[NDArray[np.int64], int]:
        """The runs, at most `most`, that begin at first <= bit < stop, and the bit behind the last one."""
        starts: list[int] = []
        steps, at = self.steps, first
        while at < stop and len(starts) != most:
            starts.append(at)
            step = steps.item(at)
            at = at + step if step else self.after(at)
        return np.array(starts, np.int64), at

    def mended(self, found: NDArray[np.int64], behind: int, first: int, stop: int) -> tuple[NDArray[np.int64], int]:
        """What `walked` gives for first..stop, where the runs `found`, with their end `behind`, began elsewhere."""
        pieces: list[NDArray[np.int64]] = []
        while first < stop:
            runs, first = self.walked(first, stop, AGAIN)
            pieces.append(runs)
            known = np.searchsorted(found, first)
            if known < found.size and found[known] == first:
                return np.concatenate([*pieces, found[known:]]), behind
        return np.concatenate(pieces) if pieces else np.empty(0, np.int64), first

    def walked_together(self, first: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """What `walked` gives for each stretch first[k]..stop[k], and the bit behind its last run, first[k] without one."""
        at, rows = first.copy(), []
        while (under_way := at < stop).any():
            rows.append(np.where(under_way, at - first, -1).astype(np.int32))
            step = self.steps[np.minimum(at, self.end)].astype(np.int64)
            for stretch in np.flatnonzero((step == 0) & under_way).tolist():
                step[stretch] = self.after(int(at[stretch])) - at[stretch]
            at += np.where(under_way, step, 0)
        columns = np.array(rows, np.int32).reshape(len(rows), first.size).T
        return [start + column[column >= 0] for start, column in zip(first.tolist(), columns, strict=True)], at

    def guessed(self, cuts: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each bit the first run at or behind it, probably."""
        # In a mask's stream values are all zeros or all ones, in turn: few wrong places look so, and hardly any for several runs.
        reach = 3 + max(self.code.fields) + self.code.word
        at = (cuts[:, None] + np.arange(reach)).ravel()
        origin, value = np.arange(at.size), np.full(at.size, -1)
        ones = (1 << self.code.word) - 1
        for _ in range(SENSIBLE):
            step = self.steps[np.minimum(at, self.end)].astype(np.int64)
            kind, word = self._bits(at, 3), self._bits(at + step - self.code.word, self.code.word)
            sensible = (step > 0) & ((word == 0) | (word == ones)) & (word != value) | (at >= self.end)
            at, origin = (at + step)[sensible], origin[sensible]
            value = np.where(kind == 7, -1, word)[sensible]  # only a run of the longest kind may be followed by one of its value
        places, earliest = np.unique(origin // reach, return_index=True)
        guess = self._fallen_in(cuts)
        guess[places] = cuts[places] + origin[earliest] % reach
        return guess

    def _fallen_in(self, cuts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first run at or behind each bit in the chain of a reader that begins `AHEAD` of it."""
        at = np.maximum(cuts - AHEAD, 0)
        while (short := at < cuts).any():
            # In a wrong place noise looks like lists of words: going on bit by bit does not leap over the stretch.
            at += np.where(short, np.maximum(self.steps[at], 1), 0)
        return at

    def _bits(self, at: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        """The numbers of `width` (at most 8) bits from the given bits on, zeros behind the end."""
        return (self.pairs[np.minimum(at, self.end) >> 3].astype(np.int64) >> (16 - width - (at & 7))) & ((1 << width) - 1)


@functools.lru_cache(maxsize=8)
def _steps_of_pairs(code: RunCode) -> NDArray[np.uint64]:
    """For each value of two bytes the steps from the first one's eight bits, as the eight bytes of a number."""
    pairs = np.arange(1 << 16)
    widths = np.array([0] * _REPEATED + [3 + field + code.word for field in code.fields], np.uint8)
    return np.stack([widths[(pairs >> (13 - bit)) & 7] for bit in range(8)], axis=1).view(np.uint64).ravel()
