"""Label Studio's brush RLE: a mask as a list of bytes.

The bytes are a bit stream (thi.ng/umbrella's rle-pack): 32 bits number of values, 5 bits word size - 1, four times 4 bits run field
size - 1, then runs until all values are there. A run is one bit "repeated", two bits "which field size", the field (length - 1), and
one word if repeated, else `length` words. Label Studio stores RGBA, so each pixel is four values; the mask is the alpha channel,
0 or 255. The writer keeps to what `label_studio_sdk.converter.brush.mask2rle` writes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from converters.errors import TaskError
from converters.frames import Size
from converters.rle_walk import RunCode, run_starts

CHANNELS = 4
WORD = 8
FIELDS = (3, 4, 8, 16)  # bits of the four run fields
LONGEST = 2**16
HEADER_BITS = 53
BLOCK = 1 << 17  # runs worked on at a time: what is in between stays in the cache
# A pixel drawn by hand may be half transparent at a stroke's edge; it belongs to the mask when at least half covered.
OPAQUE = 128


def encode(mask: ArrayLike) -> list[int]:
    """The bytes of a mask HxW (true or not zero: the object). Cost follows the number of runs. Raises TaskError for an empty array."""
    flat = np.asarray(mask)
    if flat.ndim != 2 or flat.size == 0:
        raise TaskError(f"a mask of shape {flat.shape} cannot be a brush region; expected height x width, at least one pixel each way")
    if flat.size * CHANNELS >= 2**32:
        raise TaskError(
            f"a mask of {flat.shape[1]} x {flat.shape[0]} px is too large for Label Studio's RLE; use chips below 32 000 px a side"
        )
    flat = (flat != 0).ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    lengths = np.diff(np.append(starts, flat.size)) * CHANNELS
    codes, widths = _run_codes(*_split_long(lengths, flat[starts]))
    header = _header(flat.size * CHANNELS)
    return list(_pack(np.concatenate((header[0], codes)), np.concatenate((header[1], widths))))


def decode(rle: Sequence[int], size: Size) -> NDArray[np.bool_]:
    """The mask HxW of the bytes; pixels at least half opaque are true.

    Raises TaskError when the bytes are no such stream, end too early, or hold another number of pixels than `size`.
    """
    opaque, lengths = _pixel_runs(rle, size)
    return np.repeat(opaque, lengths).reshape(size.height, size.width)


def decode_box(rle: Sequence[int], size: Size) -> tuple[NDArray[np.bool_], int, int]:
    """The smallest part of the mask that holds all of its true pixels, and the column and row of its upper-left pixel in the mask.

    Cost follows the runs and the rows of the object, not the size of the picture. An empty mask gives 0x0 at (0, 0). Raises as `decode`.
    """
    opaque, lengths = _pixel_runs(rle, size)
    ends = np.cumsum(lengths)
    drawn = opaque & (lengths > 0)
    if not drawn.any():
        return np.zeros((0, 0), bool), 0, 0
    first, last = (ends - lengths)[drawn], ends[drawn] - 1  # pixels of each run of the object
    top, bottom = int(first[0]) // size.width, int(last[-1]) // size.width
    # Only the rows of the object are made: runs are cut to them.
    begin, end = top * size.width, (bottom + 1) * size.width
    band = np.repeat(opaque, np.maximum(np.minimum(ends, end) - np.maximum(ends - lengths, begin), 0)).reshape(-1, size.width)
    if (first // size.width != last // size.width).any():  # a run over a row's end: both edges are touched
        return band, 0, top
    left, right = int((first % size.width).min()), int((last % size.width).max())
    return np.ascontiguousarray(band[:, left : right + 1]), left, top


def decode_values(rle: Sequence[int]) -> NDArray[np.uint8]:
    """All values of the stream, flat: R, G, B, alpha of each pixel, row by row. Raises TaskError for a damaged stream."""
    stream = _Stream.of(rle)
    return _values(stream, stream.runs())


# --- writing


def _split_long(lengths: NDArray[np.int64], opaque: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Runs no longer than a field can say, their values, and whether each is a piece of a longer one (always in the widest field)."""
    pieces = -(-lengths // LONGEST)
    last = np.cumsum(pieces) - 1
    split = np.full(int(pieces.sum()), LONGEST, np.int64)
    split[last] = lengths - (pieces - 1) * LONGEST
    return split, np.repeat(opaque, pieces), np.repeat(pieces > 1, pieces)


def _run_codes(
    lengths: NDArray[np.int64], opaque: NDArray[np.bool_], widest: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Each run as a number and its count of bits: 1, field index, length - 1, value."""
    index = np.searchsorted([2**bits for bits in FIELDS[:-1]], lengths)
    index[widest] = len(FIELDS) - 1
    bits = np.array(FIELDS)[index]
    code = ((((4 + index) << bits) | (lengths - 1)) << WORD) | np.where(opaque, 255, 0)
    return code.astype(np.uint64), 3 + bits + WORD


def _header(count: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    # In pieces of at most 32 bits, as `_pack` takes them.
    codes = [count, WORD - 1, *(bits - 1 for bits in FIELDS)]
    return np.array(codes, np.uint64), np.array([32, 5, 4, 4, 4, 4])


def _pack(codes: NDArray[np.uint64], widths: NDArray[np.int64]) -> bytes:
    """Codes of at most 32 bits, one after the other, most significant bit first, and at least one zero bit behind as the SDK writes it."""
    ends = np.cumsum(widths)
    length = int(ends[-1]) // 8 + 1
    packed = np.zeros(length // 8 + 2, np.uint64)
    for part in range(0, codes.size, BLOCK):
        width = widths[part : part + BLOCK]
        first = ends[part : part + BLOCK] - width
        word, offset = first >> 6, (first & 63).astype(np.uint64)
        leading = codes[part : part + BLOCK] << (64 - width).astype(np.uint64)
        # No code is as wide as a word, so in every word from the first to the last there begins one.
        begins = np.flatnonzero(np.diff(word, prepend=-1))
        packed[word[0] : word[-1] + 1] |= np.bitwise_or.reduceat(leading >> offset, begins)
        over = np.flatnonzero(offset.astype(np.int64) + width > 64)  # at most one in a word
        packed[word[over] + 1] |= leading[over] << (np.uint64(64) - offset[over])
    return packed.astype(">u8").tobytes()[:length]


# --- reading


def _pixel_runs(rle: Sequence[int], size: Size) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each run is opaque, and its number of pixels; some have none."""
    stream = _Stream.of(rle)
    expected = size.width * size.height * CHANNELS
    if stream.count != expected:  # before anything of that size is made
        raise TaskError(
            f"the brush region's RLE holds {stream.count} values; expected {expected}, four for each pixel of {size}; "
            "draw the region again on the right image"
        )
    runs = stream.runs()
    if runs.listed.any():
        alpha = _values(stream, runs)[CHANNELS - 1 :: CHANNELS] >= OPAQUE
        edges = np.concatenate(([0], np.flatnonzero(alpha[1:] != alpha[:-1]) + 1, [alpha.size]))
        return alpha[edges[:-1]], np.diff(edges)
    # A pixel belongs to the run that holds its last value, alpha.
    return runs.words >= OPAQUE, np.diff(np.cumsum(runs.lengths) // CHANNELS, prepend=0)


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of a stream. lengths: in values. words: the value of each, the first one's of a listed run, which begins at `first_bit`."""

    lengths: NDArray[np.int64]
    words: NDArray[np.uint8]
    listed: NDArray[np.bool_]
    first_bit: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Stream:
    """data: the bytes, with eight zeros behind them; bits: the number of real bits; count: the number of values announced."""

    data: NDArray[np.uint8]
    bits: int

    @classmethod
    def of(cls, rle: Sequence[int]) -> _Stream:
        data = _bytes(rle)
        if len(data) < 8:
            raise _damaged(f"{len(data)} bytes, less than the header and one run")
        return cls(np.frombuffer(data + bytes(8), np.uint8), len(data) * 8)

    @property
    def count(self) -> int:
        return int(self.read(np.zeros(1, np.int64), 32)[0])

    @property
    def code(self) -> RunCode:
        """Raises TaskError for words that are no bytes."""
        word, *fields = (int(self.read(np.array([bit]), width)[0]) + 1 for bit, width in ((32, 5), (37, 4), (41, 4), (45, 4), (49, 4)))
        if word > WORD:
            raise _damaged(f"words of {word} bits")
        return RunCode(word, (fields[0], fields[1], fields[2], fields[3]))

    def read(self, start: NDArray[np.int64], width: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of `width` (at most 32) bits that begin at the given bits; zeros are read behind the end."""
        return _leading(self.window(start), width)

    def window(self, start: NDArray[np.int64]) -> NDArray[np.uint64]:
        """57 bits or more from each given bit on, as the leading bits of a number; zeros behind the end."""
        start = np.minimum(start, self.bits)
        # One number for each byte: it and the seven behind it, overlapping.
        eights = np.ndarray(self.data.size - 7, ">u8", self.data, strides=(1,))
        return eights[start >> 3].astype(np.uint64) << (start & 7).astype(np.uint64)

    def runs(self) -> _Runs:
        """Raises TaskError when they do not add up to `count`."""
        code = self.code
        starts = run_starts(self.data[: self.bits // 8], HEADER_BITS, code)
        bits = np.array(code.fields * 2)
        pieces = [self._read_runs(part, code, bits) for part in np.array_split(starts, max(1, starts.size // BLOCK))]
        runs = _Runs(*map(np.concatenate, zip(*pieces, strict=True)))
        ends = np.cumsum(runs.lengths)
        number = int(np.searchsorted(ends, self.count)) + 1  # what follows the last value is padding
        if number > ends.size or ends[number - 1] != self.count:
            raise _damaged(f"runs that do not add up to the {self.count} values announced")
        return _Runs(runs.lengths[:number], runs.words[:number], runs.listed[:number], runs.first_bit[:number])

    def _read_runs(self, starts: NDArray[np.int64], code: RunCode, bits: NDArray[np.int64]) -> tuple[NDArray, ...]:
        window = self.window(starts)
        kind = _leading(window, 3)
        field = bits[kind]
        lengths = _leading(window << np.uint64(3), field) + 1
        words = _leading(window << (field + 3).astype(np.uint64), code.word).astype(np.uint8)
        return lengths, words, kind < 4, starts + 3 + field


def _leading(window: NDArray[np.uint64], width: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers in the first `width` bits of 64."""
    return (window >> np.asarray(64 - width).astype(np.uint64)).astype(np.int64)


def _bytes(rle: Sequence[int]) -> bytes:
    """Raises TaskError for anything but a list, tuple or array of whole numbers 0..255."""
    try:
        if isinstance(rle, np.ndarray):
            rle = rle.tolist()
        if isinstance(rle, list | tuple | bytes | bytearray):
            return bytes(rle)
    except (TypeError, ValueError):
        pass
    raise _damaged("something else than a list of whole numbers 0..255")


def _values(stream: _Stream, runs: _Runs) -> NDArray[np.uint8]:
    """The values of all runs; the words of a listed run stand one after the other in the stream, a repeated run has one."""
    values = np.repeat(runs.words, runs.lengths)
    if runs.listed.any():
        word = stream.code.word
        count = runs.lengths[runs.listed]
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        place = np.repeat((np.cumsum(runs.lengths) - runs.lengths)[runs.listed], count) + within
        values[place] = stream.read(np.repeat(runs.first_bit[runs.listed], count) + within * word, word)
    return values


def _damaged(found: str) -> TaskError:
    return TaskError(f"the brush region's RLE is damaged: found {found}; expected Label Studio's RLE as in its JSON export; export again")
