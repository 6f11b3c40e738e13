"""Runs are found at the same bits as by walking from one to the next, whatever the stream holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter import brush

from converters import rle
from converters.errors import TaskError
from converters.frames import Size
from converters.rle_walk import SHORT, RunCode, run_starts

SDK_CODE = RunCode(8, (3, 4, 8, 16))
SIZE = Size(260, 250)


def walked(data: np.ndarray, first: int, code: RunCode) -> list[int]:
    """The definition, in plain Python."""
    bits = "".join(f"{byte:08b}" for byte in data.tolist())
    starts, at = [], first
    while at + 3 <= len(bits):
        field = code.fields[int(bits[at + 1 : at + 3], 2)]
        if at + 3 + field > len(bits):
            break
        length = int(bits[at + 3 : at + 3 + field], 2) + 1
        behind = at + 3 + field + code.word * (1 if bits[at] == "1" else length)
        if behind > len(bits):
            break
        starts.append(at)
        at = behind
    return starts


def masks(kind: str, seed: int) -> np.ndarray:
    rng, (rows, cols) = np.random.default_rng(seed), np.indices((SIZE.height, SIZE.width))
    period = int(rng.integers(2, 90))
    return {
        "noise": rng.random(rows.shape) < rng.random(),
        "stripes": cols % period < rng.integers(1, period),
        "board": (rows // period + cols // period) % 2 == 0,
        "diagonal": (rows * int(rng.integers(1, 9)) + cols) % period == 0,
        "blots": np.kron(rng.random((50, 52)) < 0.5, np.ones((5, 5))) > 0,
    }[kind]


@given(st.sampled_from(["noise", "stripes", "board", "diagonal", "blots"]), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_masks_of_many_runs_come_back_and_lie_where_the_sdk_finds_them(kind: str, seed: int) -> None:
    mask = masks(kind, seed)
    code = rle.encode(mask)
    assert code == brush.mask2rle(mask.astype(np.uint8) * 255)
    assert np.array_equal(rle.decode(code, SIZE), mask)
    data = np.array(code, np.uint8)
    assert run_starts(data, rle.HEADER_BITS, SDK_CODE).tolist() == walked(data, rle.HEADER_BITS, SDK_CODE)


@given(st.integers(0, 10**6), st.integers(2, 256))
@settings(max_examples=8, deadline=None)
def test_values_of_any_opacity_are_read_as_the_sdk_reads_them(seed: int, different: int) -> None:
    """Soft edges of strokes: neither all zeros nor all ones, so no place in the stream looks like a mask's."""
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.integers(0, different, 6000), rng.choice([1, 3, 4, 8, 12, 40, 600], 6000)).astype(np.uint8)
    code = brush.encode_rle(values)
    assert len(code) * 8 > SHORT
    assert np.array_equal(rle.decode_values(code), brush.decode_rle(code))


@given(
    st.integers(0, 10**6), st.integers(SHORT // 8, SHORT // 2), st.floats(0, 1), st.integers(1, 8),
    st.tuples(*[st.integers(1, 16)] * 4), st.integers(0, 60),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_walked_as_defined(
    seed: int, size: int, ones: float, word: int, fields: tuple[int, int, int, int], first: int
) -> None:
    data = np.packbits(np.random.default_rng(seed).random((size, 8)) < ones, axis=1).ravel()
    code = RunCode(word, fields)
    assert run_starts(data, first, code).tolist() == walked(data, first, code)


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_a_large_stream_with_flipped_bits_is_refused_or_read_as_the_sdk_reads_it(seed: int, flips: int) -> None:
    rng = np.random.default_rng(seed)
    data = np.unpackbits(np.array(rle.encode(masks("noise", seed)), np.uint8))
    data[rng.integers(rle.HEADER_BITS, data.size, flips)] ^= 1
    code = np.packbits(data).tolist()
    try:
        values = rle.decode_values(code)
    except TaskError:
        return
    assert np.array_equal(values, brush.decode_rle(code))


@given(st.sampled_from(["noise", "stripes", "board", "diagonal", "blots"]), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_box_of_a_mask_is_what_is_drawn_of_it(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIZE.height, SIZE.width), bool)
    top, left = (int(rng.integers(0, side)) for side in mask.shape)
    bottom, right = (int(rng.integers(low, side)) + 1 for low, side in zip((top, left), mask.shape, strict=True))
    mask[top:bottom, left:right] = masks(kind, seed)[top:bottom, left:right]
    box, col, row = rle.decode_box(rle.encode(mask), SIZE)
    whole = np.zeros_like(mask)
    whole[row : row + box.shape[0], col : col + box.shape[1]] = box
    assert np.array_equal(whole, mask)
    if mask.any():
        assert box[0].any() and box[-1].any() and box[:, 0].any() and box[:, -1].any()
    else:
        assert (box.size, col, row) == (0, 0, 0)


@pytest.mark.parametrize("picture", [[[0, 0, 1], [1, 0, 0]], [[1, 1], [1, 1]], [[0], [1], [0]], [[0, 1, 0]]])
def test_the_box_of_a_mask_over_a_rows_end_keeps_its_place(picture: list[list[int]]) -> None:
    mask = np.array(picture, bool)
    box, col, row = rle.decode_box(rle.encode(mask), Size(mask.shape[1], mask.shape[0]))
    rows, cols = np.nonzero(mask)
    assert (col, row) == (cols.min(), rows.min())
    assert np.array_equal(box, mask[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1])
