"""The codec agrees with Label Studio's own, bit for bit, and refuses damaged streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter import brush

from converters import rle
from converters.errors import TaskError
from converters.frames import Size

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@st.composite
def masks_of_runs(draw: st.DrawFn) -> np.ndarray:
    """Masks whose runs reach every field of the code, beyond 65536 values too."""
    lengths = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 63, 64, 65, 16383, 16384, 16385, 40000]), min_size=1, max_size=12))
    first = draw(st.booleans())
    values = np.resize([first, not first], len(lengths))
    return np.repeat(values, lengths)[None, :]


def size_of(mask: np.ndarray) -> Size:
    return Size(mask.shape[1], mask.shape[0])


def written_by_the_sdk(mask: np.ndarray) -> list[int]:
    return brush.mask2rle(mask.astype(np.uint8) * 255)


@given(MASKS | masks_of_runs())
@settings(max_examples=200, deadline=None)
def test_encode_writes_what_the_sdk_writes(mask: np.ndarray) -> None:
    assert rle.encode(mask) == written_by_the_sdk(mask)


@given(MASKS | masks_of_runs())
@settings(deadline=None)
def test_decode_is_the_inverse_of_encode(mask: np.ndarray) -> None:
    assert np.array_equal(rle.decode(rle.encode(mask), size_of(mask)), mask)


@given(arrays(np.uint8, st.integers(1, 300), elements=st.sampled_from([0, 1, 127, 128, 255])))
@settings(deadline=None)
def test_any_values_are_read_as_the_sdk_reads_them(values: np.ndarray) -> None:
    code = brush.encode_rle(values)
    assert np.array_equal(rle.decode_values(code), brush.decode_rle(code))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.lists(st.integers(0, 255), min_size=1, max_size=30)), min_size=1, max_size=8),
    st.lists(st.integers(5, 16), min_size=4, max_size=4),
)
@settings(deadline=None)
def test_lists_of_unlike_values_and_other_field_sizes_are_read_as_the_sdk_reads_them(runs: list, fields: list[int]) -> None:
    """What the editor writes for half-transparent strokes, and the SDK never does: one run that lists many values."""
    count = sum(len(values) for _, _, values in runs)
    bits = f"{count:032b}{7:05b}" + "".join(f"{field - 1:04b}" for field in fields)
    for index, repeated, values in runs:
        words = values[:1] if repeated else values
        bits += f"{repeated:d}{index:02b}{len(values) - 1:0{fields[index]}b}" + "".join(f"{value:08b}" for value in words)
    code = [int(bits[k : k + 8].ljust(8, "0"), 2) for k in range(0, len(bits), 8)]
    assert np.array_equal(rle.decode_values(code), brush.decode_rle(code))


def test_a_pixel_at_least_half_opaque_belongs_to_the_mask() -> None:
    code = brush.encode_rle(np.repeat(np.array([0, 127, 128, 255], np.uint8), 4))
    assert rle.decode(code, Size(4, 1)).tolist() == [[False, False, True, True]]


def test_numbers_other_than_zero_count_as_the_object() -> None:
    assert rle.encode(np.array([[0, 1, 255]], np.uint8)) == rle.encode(np.array([[False, True, True]]))


@pytest.mark.parametrize("size", [Size(4, 6), Size(4, 4), Size(1, 1)])
def test_another_size_is_refused(size: Size) -> None:
    with pytest.raises(TaskError, match=f"holds 80 values; expected .* {size.width} x {size.height} px"):
        rle.decode(rle.encode(np.ones((4, 5), bool)), size)


@pytest.mark.parametrize(
    "damaged",
    [
        [], [0, 0, 0], "rle", None,
        [[0, 1], [2]], [[0, 1]], [0.5] * 20, [256] * 20, [-1] * 20, [True, "a"] * 10, {"counts": "x"}, [10**30] * 20,
        [0, 0, 0, 80, 255, *[0] * 10], [0, 0, 0, 80, 57, 27, 32],
    ],
)  # fmt: skip
def test_something_that_is_no_rle_is_refused(damaged: object) -> None:
    with pytest.raises(TaskError, match=r"damaged.*expected"):
        rle.decode(damaged, Size(5, 4))  # type: ignore[arg-type]


def test_a_stream_cut_short_anywhere_is_refused() -> None:
    mask = np.random.default_rng(0).random((20, 20)) < 0.3
    code = rle.encode(mask)
    for end in range(len(code) - 2):
        with pytest.raises(TaskError):
            rle.decode(code[:end], Size(20, 20))


@given(arrays(np.uint8, st.integers(0, 60)))
def test_random_bytes_are_refused_or_read_but_never_crash(noise: np.ndarray) -> None:
    head = rle.encode(np.ones((4, 5), bool))[:7]
    try:
        mask = rle.decode([*head, *noise.tolist()], Size(5, 4))
    except TaskError:
        return
    assert mask.shape == (4, 5)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5,), (2, 2, 4)])
def test_an_array_that_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TaskError, match="expected height x width"):
        rle.encode(np.zeros(shape, bool))
