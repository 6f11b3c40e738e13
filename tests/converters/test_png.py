"""Chips as PNG: every decoder gives the pixels back, and the same pixels give the same bytes."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from converters.png import encode_png


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.booleans())
def test_two_decoders_give_the_pixels_back(height: int, width: int, seed: int, flat: bool) -> None:
    picture = np.random.default_rng(seed).integers(0, 2 if flat else 256, (height, width, 3)).astype(np.uint8)
    content = encode_png(picture)
    with Image.open(io.BytesIO(content)) as read:
        assert read.mode == "RGB"
        assert np.array_equal(np.asarray(read), picture)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert np.array_equal(decoded[..., ::-1], picture)
    assert encode_png(picture[:, ::-1][:, ::-1]) == content


def test_what_is_no_rgb_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="expected HxWx3 uint8"):
        encode_png(np.zeros((4, 4, 4), np.uint8))
