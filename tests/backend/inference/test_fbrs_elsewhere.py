"""f-BRS on networks that it was not published for: a click is never met worse than without, and often better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.inference.click_maps import points_tensor
from backend.inference.crop import resize
from backend.inference.segmenter import State
from backend.segmenters import registry
from backend.segmenters.feature_splits import split_network, with_fbrs
from backend.segmenters.focalclick import HrnetFocalClick
from backend.segmenters.generated import WeightFormula
from converters.frames import Click

SIZE = (96, 120)
IMAGE = np.random.default_rng(8).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
CLICKS = [Click(30.5, 40.5, True), Click(34.5, 44.5, False), Click(38.5, 40.5, True), Click(80.5, 100.5, True), Click(84.0, 96.0, False)]
TINY = ("simpleclick_tiny", "vitclick_tiny", "focalclick_tiny", "focalclick_hrnet")
clicks_anywhere = st.lists(st.builds(Click, row=st.floats(0, 96), col=st.floats(0, 120), positive=st.booleans()), min_size=2, max_size=4)


def load(name):
    if name != "focalclick_hrnet":
        return registry.load(name)
    net = HrnetFocalClick(pipeline="s2", width=6, ocr_width=8, small=True).eval().requires_grad_(False)
    WeightFormula(seed=9, mult=[("cls_head", 3.0)], const={"maps_transform.3.scale": 2.0}).fill(net)
    return replace(registry.load("focalclick_tiny"), net=net)


@pytest.fixture(scope="module", params=TINY)
def plain(request):
    return load(request.param)


def walk(segmenter, clicks):
    """(the state before, the state after) each click."""
    encoding = segmenter.encode(IMAGE)
    before, steps = segmenter.start(encoding), []
    for count in range(1, len(clicks) + 1):
        after = segmenter.step(encoding, clicks[:count], before)
        steps.append((before, after))
        before = after
    return steps


def missed(state, clicks, threshold):
    """Clicks whose pixel is on the wrong side, counted apart from the code under test."""
    places = [(min(int(click.row), SIZE[0] - 1), min(int(click.col), SIZE[1] - 1), click.positive) for click in clicks]
    return sum((state.probability[row, col] > threshold) != positive for row, col, positive in places)


def test_the_halves_are_the_network(plain):
    x = torch.rand(1, 4, 128, 128) if "focal" in plain.name else torch.rand(1, 4, 112, 112)
    points = points_tensor([[(10.0, 20.0, True), (60.0, 7.5, False)]])
    features, head = split_network(plain.net, "b")(x, points)
    logits, rest = head(features)
    size = (x.shape[2], x.shape[3])
    torch.testing.assert_close(resize(logits, size), resize(plain.net(x, points), size), atol=1e-4, rtol=1e-4)
    if rest is not None:
        torch.testing.assert_close(rest, plain.net.coarse(x, points)[1], atol=1e-4, rtol=1e-4)


def agrees_step_by_step(plain, clicks):
    """Compares every step with the plain one from the same state; how many clicks were missed without and with f-BRS, over all steps."""
    segmenter = with_fbrs(plain, "b")
    encoding = plain.encode(IMAGE)
    without, with_it = 0, 0
    for count, (before, after) in enumerate(walk(segmenter, clicks), 1):
        usual = plain.step(encoding, clicks[:count], State(before.probability, before.memory.inner))
        missed_before, missed_after = (missed(one, clicks[:count], plain.threshold) for one in (usual, after))
        assert missed_after <= missed_before
        if missed_after == missed_before:
            np.testing.assert_allclose(after.probability, usual.probability, atol=1e-4)
            assert not after.memory.values.size, "the plain answer has no scale and no shift"
        without, with_it = without + missed_before, with_it + missed_after
    return without, with_it


def test_some_clicks_are_met_that_were_missed(plain):
    without, with_it = agrees_step_by_step(plain, CLICKS)
    assert with_it < without


@settings(deadline=None, max_examples=6)
@given(clicks_anywhere, st.sampled_from(TINY))
def test_no_step_meets_fewer_clicks_than_the_plain_one(clicks, name):
    agrees_step_by_step(load(name), clicks)


def test_replay_and_undo_give_the_same_bits(plain):
    segmenter = with_fbrs(plain, "b")
    first, again = walk(segmenter, CLICKS), walk(with_fbrs(plain, "b"), CLICKS)
    assert [after.probability.tobytes() for _, after in first] == [after.probability.tobytes() for _, after in again]
    assert [after.memory.values.tobytes() for _, after in first] == [after.memory.values.tobytes() for _, after in again]
    shorter = walk(segmenter, CLICKS[:3])
    assert shorter[-1][1].probability.tobytes() == first[2][1].probability.tobytes()


def test_a_mask_to_be_corrected_is_where_it_begins(plain):
    segmenter = with_fbrs(plain, "b")
    mask = np.zeros(SIZE, bool)
    mask[20:60, 30:80] = True
    encoding = segmenter.encode(IMAGE)
    usual = plain.step(encoding, CLICKS[:1], plain.start(encoding, mask))
    ours = segmenter.step(encoding, CLICKS[:1], segmenter.start(encoding, mask))
    np.testing.assert_allclose(ours.probability, usual.probability, atol=1e-4)
    assert ours.memory.roi == (usual.memory.zoom if hasattr(usual.memory, "zoom") else usual.memory).roi
