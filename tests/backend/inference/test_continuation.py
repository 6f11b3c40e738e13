"""Going on with a proposal: the network makes it once more where it lies, and every click may then change all of it."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeSegmenter

from backend.inference.continuation import Continuation
from backend.inference.correction import anchor
from converters.frames import Box, Click

IMAGE = np.full((100, 120, 3), 200, np.uint8)
PROPOSED = np.zeros((100, 120), bool)
PROPOSED[20:60, 30:70] = True
REMOVING = Click(row=25.5, col=35.5, positive=False)
ADDING = Click(row=80.5, col=90.5, positive=True)


@pytest.mark.parametrize("first", [REMOVING, ADDING])
def test_it_is_the_session_that_began_with_a_click_inside_the_proposal(first: Click) -> None:
    machine, annotator = FakeSegmenter(), FakeSegmenter()
    clicks = (*anchor(PROPOSED, first), first, Click(row=50.5, col=50.5, positive=True))
    one = Continuation(machine)
    encoding = one.encode(IMAGE)
    state = one.start(encoding, PROPOSED)
    assert np.array_equal(state.probability > one.threshold, PROPOSED), "shown before anybody clicks"
    drawn = annotator.start(encoding)
    drawn = annotator.step(encoding, clicks[:1], drawn)
    for count in (2, 3):
        state = one.step(encoding, clicks[1:count], state)
        drawn = annotator.step(encoding, clicks[:count], drawn)
        assert np.array_equal(state.probability, drawn.probability)
    assert machine.steps == annotator.steps
    assert machine.boxes == [Box(row_min=20, row_max=60, col_min=30, col_max=70)]


def test_a_segmenter_to_which_a_box_is_a_prompt_gets_none() -> None:
    machine = FakeSegmenter()
    machine.takes_boxes = True
    Continuation(machine).start(machine.encode(IMAGE), PROPOSED)
    assert machine.boxes == []


@pytest.mark.parametrize("mask", [None, np.zeros((100, 120), bool)])
def test_it_needs_a_mask(mask: np.ndarray | None) -> None:
    one = Continuation(FakeSegmenter())
    with pytest.raises(ValueError, match="at least one pixel"):
        one.start(one.encode(IMAGE), mask)
