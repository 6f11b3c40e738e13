"""Percentiles and the way to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.stretch import percentiles, to_uint8


@given(
    hnp.arrays(st.sampled_from([np.uint16, np.int16, np.float32, np.float64]), (7, 5)),
    hnp.arrays(np.bool_, (7, 5)),
)
def test_low_is_below_high_and_every_pixel_lands_in_range(values: np.ndarray, valid: np.ndarray) -> None:
    pair = percentiles(values, valid)
    if pair is None:
        assert not np.isfinite(values[valid]).any()
        return
    low, high = pair
    assert low < high
    assert np.isfinite([low, high]).all()
    picture = to_uint8(values, low, high)
    assert picture.dtype == np.uint8
    assert not picture[np.isnan(values.astype(np.float64))].any()
    finite = np.isfinite(values)
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(picture[finite][order].astype(int)) >= 0).all()


def test_outliers_do_not_flatten_the_picture() -> None:
    values = np.arange(1000, dtype=np.float64)
    values[-5:] = 1e9
    low, high = percentiles(values, np.ones(1000, bool)) or (0, 0)
    assert (low, high) == (pytest.approx(19.98), pytest.approx(979.02))


def test_a_mostly_empty_band_keeps_its_few_other_values_visible() -> None:
    values = np.zeros(1000)
    values[0] = 50
    assert percentiles(values, np.ones(1000, bool)) == (0, 50)


def test_a_degenerate_recorded_pair_does_not_divide_by_zero() -> None:
    assert to_uint8(np.array([1.0, 2.0, 3.0]), 2.0, 2.0).tolist() == [0, 0, 255]
