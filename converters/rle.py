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

CHANNELS = 4
WORD = 8
FIELDS = (3, 4, 8, 16)  # bits of the four run fields
LONGEST = 2**16
HEADER_BITS = 53
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
    return _pack(np.concatenate((header[0], codes)), np.concatenate((header[1], widths))).tolist()


def decode(rle: Sequence[int], size: Size) -> NDArray[np.bool_]:
    """The mask HxW of the bytes; pixels at least half opaque are true.

    Raises TaskError when the bytes are no such stream, end too early, or hold another number of pixels than `size`.
    """
    stream = _Stream.of(rle)
    expected = size.width * size.height * CHANNELS
    if stream.count != expected:  # before anything of that size is made
        raise TaskError(
            f"the brush region's RLE holds {stream.count} values; expected {expected}, four for each pixel of {size}; "
            "draw the region again on the right image"
        )
    return (_values(stream)[CHANNELS - 1 :: CHANNELS] >= OPAQUE).reshape(size.height, size.width)


def decode_values(rle: Sequence[int]) -> NDArray[np.uint8]:
    """All values of the stream, flat: R, G, B, alpha of each pixel, row by row. Raises TaskError for a damaged stream."""
    return _values(_Stream.of(rle))


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


def _pack(codes: NDArray[np.uint64], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Codes of at most 32 bits, one after the other, most significant bit first, and at least one zero bit behind as the SDK writes it."""
    ends = np.cumsum(widths)
    first = ends - widths
    # A code touches at most five bytes: move it to its place in 40 bits, then add each of the five to its byte (their bits are disjoint).
    placed = codes << (40 - first % 8 - widths).astype(np.uint64)
    packed = np.zeros(int(ends[-1]) // 8 + 1 + 5, np.float64)
    for k in range(5):
        part = (placed >> np.uint64(32 - 8 * k)) & np.uint64(255)
        packed += np.bincount(first // 8 + k, weights=part, minlength=packed.size)
    return packed[: int(ends[-1]) // 8 + 1].astype(np.uint8)


# --- reading


@dataclass(frozen=True, slots=True)
class _Stream:
    """data: the bytes, with five zeros behind them; bits: the number of real bits; count: the number of values announced."""

    data: NDArray[np.uint8]
    bits: int

    @classmethod
    def of(cls, rle: Sequence[int]) -> _Stream:
        try:
            numbers = np.asarray(rle)
        except ValueError:
            numbers = np.empty(0)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or (numbers.size and not 0 <= numbers.min() <= numbers.max() <= 255):
            raise _damaged("something else than a list of whole numbers 0..255")
        if numbers.size < 8:
            raise _damaged(f"{numbers.size} bytes, less than the header and one run")
        return cls(np.concatenate((numbers.astype(np.uint8), np.zeros(5, np.uint8))), int(numbers.size) * 8)

    @property
    def count(self) -> int:
        return int(self.read(0, 32))

    def read(self, start: ArrayLike, width: int) -> NDArray[np.int64]:
        """The numbers of `width` (at most 32) bits that begin at the given bits; zeros are read behind the end."""
        start = np.minimum(np.asarray(start, np.int64), self.bits)
        byte = start // 8
        word = np.zeros(start.shape, np.int64)
        for k in range(5):
            word = (word << 8) | self.data[np.minimum(byte + k, self.data.size - 1)]
        return (word >> (40 - start % 8 - width)) & ((1 << width) - 1)


def _values(stream: _Stream) -> NDArray[np.uint8]:
    word = int(stream.read(32, 5)) + 1
    fields = [int(stream.read(37 + 4 * k, 4)) + 1 for k in range(4)]
    if word > WORD:
        raise _damaged(f"words of {word} bits")
    starts = _run_starts(stream, word, fields)
    kind = stream.read(starts, 3)
    lengths = np.zeros(starts.shape, np.int64)
    for index, field in enumerate(fields):
        chosen = kind % 4 == index
        lengths[chosen] = stream.read(starts[chosen] + 3, field) + 1
    ends = np.cumsum(lengths)
    runs = int(np.searchsorted(ends, stream.count)) + 1  # what follows the last value is padding
    if runs > ends.size or ends[runs - 1] != stream.count:
        raise _damaged(f"runs that do not add up to the {stream.count} values announced")
    first_word = starts + 3 + np.array(fields)[kind % 4]
    return _fill(stream, first_word[:runs], kind[:runs] < 4, lengths[:runs], word)


def _run_starts(stream: _Stream, word: int, fields: list[int]) -> NDArray[np.int64]:
    """The bit at which each run begins, padding behind the last included.

    Where a run begins depends on the one before, so this walks from run to run; everything else is done for all runs at once.
    """
    bits = np.unpackbits(stream.data)
    kinds = (bits[:-2] * 4 + bits[1:-1] * 2 + bits[2:]).tobytes()
    repeated = [3 + field + word for field in fields]
    data = stream.data.tobytes()
    starts: list[int] = []
    at, end = HEADER_BITS, stream.bits
    while at < end:
        starts.append(at)
        kind = kinds[at]
        if kind >= 4:
            at += repeated[kind - 4]
            continue
        field, first = fields[kind], at + 3
        chunk = int.from_bytes(data[first // 8 : first // 8 + 3])
        length = ((chunk >> (24 - first % 8 - field)) & ((1 << field) - 1)) + 1
        at = first + field + length * word
    if at > end:  # the last one has not all of its bits
        starts.pop()
    return np.array(starts, np.int64)


def _fill(
    stream: _Stream, first_word: NDArray[np.int64], listed: NDArray[np.bool_], lengths: NDArray[np.int64], word: int
) -> NDArray[np.uint8]:
    """The values of all runs; the words of a listed run stand one after the other in the stream, a repeated run has one."""
    values = np.repeat(stream.read(first_word, word).astype(np.uint8), lengths)
    if listed.any():
        count = lengths[listed]
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        place = np.repeat((np.cumsum(lengths) - lengths)[listed], count) + within
        values[place] = stream.read(np.repeat(first_word[listed], count) + within * word, word)
    return values


def _damaged(found: str) -> TaskError:
    return TaskError(f"the brush region's RLE is damaged: found {found}; expected Label Studio's RLE as in its JSON export; export again")
