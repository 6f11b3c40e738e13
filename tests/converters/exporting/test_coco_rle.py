"""COCO's RLE is byte for byte what pycocotools writes, and its areas and boxes are the masks'."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as judge

from converters import labelled_coco_rle
from converters.exporting import coco_rle
from converters.frames import Size

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(mask=MASKS)
def test_the_text_is_pycocotools_own(mask: np.ndarray) -> None:
    theirs = judge.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert coco_rle.encode(mask) == {"size": list(theirs["size"]), "counts": theirs["counts"].decode()}


@given(mask=MASKS)
def test_our_own_reader_gets_the_mask_back(mask: np.ndarray) -> None:
    size = Size(mask.shape[1], mask.shape[0])
    assert np.array_equal(labelled_coco_rle.decode(coco_rle.encode(mask), size), mask)


@given(piece=MASKS, above=st.integers(0, 3), below=st.integers(0, 3), left=st.integers(0, 3), right=st.integers(0, 3))
def test_a_piece_at_its_place_is_the_whole_mask(piece: np.ndarray, above: int, below: int, left: int, right: int) -> None:
    mask = np.pad(piece, ((above, below), (left, right)))
    size = Size(mask.shape[1], mask.shape[0])
    assert coco_rle.encode(piece, size, row=above, col=left) == coco_rle.encode(mask)


@pytest.mark.parametrize("side", [300, 1500])
def test_long_runs_and_ragged_masks_are_pycocotools_own_too(side: int) -> None:
    noise = np.random.default_rng(side)
    ragged = noise.random((side, side)) < 0.3
    blocky = np.kron(noise.random((3, 5)) < 0.5, np.ones((side // 3, side // 5), bool))
    one = np.zeros((side, side), bool)
    one[-1, -1] = True
    for mask in (ragged, blocky, one, ~one, np.ones_like(one), np.zeros_like(one)):
        theirs = judge.encode(np.asfortranarray(mask.astype(np.uint8)))
        written = coco_rle.encode(mask)
        assert written["counts"] == theirs["counts"].decode()
        assert judge.area(written) == mask.sum()


def test_an_array_that_is_no_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="height x width"):
        coco_rle.encode(np.zeros((2, 2, 3)))
