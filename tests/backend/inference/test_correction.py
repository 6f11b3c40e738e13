"""Correcting a given mask: only the clicked change is taken, and a network is never asked with a negative click alone."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeSegmenter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from backend.inference.correction import Correction, anchor
from backend.inference.segmenter import State
from converters.frames import Click

IMAGE = np.zeros((100, 120, 3), np.uint8)


def rectangle(rows: slice, cols: slice) -> np.ndarray:
    mask = np.zeros((100, 120), bool)
    mask[rows, cols] = True
    return mask


class Repainter(FakeSegmenter):
    """Answers every click with the same map, whatever the mask was."""

    def __init__(self, answer: np.ndarray) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[Click, ...]] = []
        self.read: list[np.ndarray] = []

    def signs(self) -> list[str]:
        return ["".join("+" if one.positive else "-" for one in clicks) for clicks in self.asked]

    def step(self, encoding, clicks, state):
        self.asked.append(tuple(clicks))
        self.read.append(state.probability)
        return State(self.answer.astype(np.float32) * np.float32(0.9), memory=tuple(clicks))


def corrected(segmenter: FakeSegmenter, mask: np.ndarray, *clicks: Click) -> np.ndarray:
    one = Correction(segmenter)
    encoding = one.encode(IMAGE)
    state = one.start(encoding, mask)
    for count in range(1, len(clicks) + 1):
        state = one.step(encoding, clicks[:count], state)
    return state.probability > one.threshold


def click(row: float, col: float, positive: bool = True) -> Click:
    return Click(row=row + 0.5, col=col + 0.5, positive=positive)


def test_only_the_change_that_was_clicked_on_is_taken() -> None:
    mask = rectangle(slice(20, 60), slice(20, 60))
    wing, far = rectangle(slice(20, 40), slice(60, 80)), rectangle(slice(80, 90), slice(80, 90))
    found = (mask & ~rectangle(slice(20, 30), slice(20, 30))) | wing | far
    assert np.array_equal(corrected(Repainter(found), mask, click(30, 70)), mask | wing)
    lost = rectangle(slice(20, 30), slice(20, 30))
    assert np.array_equal(corrected(Repainter(found), mask, click(25, 25, positive=False)), mask & ~lost)


def test_a_click_that_the_network_does_not_follow_changes_nothing() -> None:
    mask = rectangle(slice(20, 60), slice(20, 60))
    assert np.array_equal(corrected(Repainter(~mask | mask), mask, click(30, 30, positive=False)), mask)


def test_an_anchor_stands_before_the_first_click_with_a_pass_of_its_own_where_that_is_positive() -> None:
    mask = rectangle(slice(20, 60), slice(20, 60))
    network = Repainter(mask)
    corrected(network, mask, click(25, 25, positive=False), click(70, 70))
    assert network.signs() == ["+-", "+-+"]
    network.asked.clear()
    corrected(network, mask, click(70, 70), click(25, 25, positive=False))
    assert network.signs() == ["+", "++", "++-"]


def test_the_next_click_reads_the_corrected_mask() -> None:
    mask, wing = rectangle(slice(20, 60), slice(20, 60)), rectangle(slice(20, 40), slice(60, 80))
    network = Repainter(wing)
    corrected(network, mask, click(30, 70), click(90, 90))
    of_the_anchor, of_the_first, of_the_next = (read > network.threshold for read in network.read)
    assert np.array_equal(of_the_anchor, mask)
    assert np.array_equal(of_the_first, wing)
    assert np.array_equal(of_the_next, mask | wing)


@pytest.mark.parametrize("positive", [True, False])
def test_after_a_click_that_changed_nothing_a_positive_one_reads_what_the_network_made_and_a_negative_one_the_mask(positive: bool) -> None:
    mask, made = rectangle(slice(20, 60), slice(20, 60)), rectangle(slice(22, 58), slice(22, 80))
    network = Repainter(made)
    corrected(network, mask, click(40, 40), click(30, 70, positive))
    assert np.array_equal(network.read[-1] > network.threshold, made if positive else mask)


def test_it_needs_a_mask() -> None:
    one = Correction(FakeSegmenter())
    with pytest.raises(ValueError, match="without a mask"):
        one.start(one.encode(IMAGE))


@settings(deadline=None, max_examples=60)
@given(npst.arrays(bool, (23, 31)), st.floats(0, 23), st.floats(0, 31))
def test_the_anchor_lies_in_the_mask_as_far_in_and_away_as_can_be(mask: np.ndarray, row: float, col: float) -> None:
    found = anchor(mask, Click(row=row, col=col, positive=False))
    if not mask.any():
        assert found == ()
        return
    (one,) = found
    assert one.positive
    assert mask[int(one.row), int(one.col)]
    outside = np.argwhere(~np.pad(mask, 1)) - 0.5  # centres, in edge-based px
    inside = np.argwhere(mask) + 0.5

    def room(places: np.ndarray) -> np.ndarray:
        depth = np.sqrt(((places[:, None] - outside[None]) ** 2).sum(-1)).min(1)
        return np.minimum(depth, 0.5 * np.hypot(places[:, 0] - row, places[:, 1] - col))

    assert room(np.array([[one.row, one.col]]))[0] >= room(inside).max() - 0.01
