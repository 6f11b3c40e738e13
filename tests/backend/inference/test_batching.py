"""Steps of several objects together: the states of one by one, for every way of predicting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.evaluation.grabcut import GrabCut
from backend.evaluation.parity_stub import stub_network
from backend.inference.batching import Request, step_many
from backend.inference.cfr import Cascade, cascaded
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import Segmenter
from backend.inference.zoom_in import ZoomIn
from backend.segmenters import registry
from converters.frames import Click

IMAGE = np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)
ZOOMS = [
    None,
    ZoomIn(target_size=64, min_crop_size=20),
    ZoomIn(target_size=(48, 48), skip_clicks=-1, min_crop_size=10),
    ZoomIn(target_size=(48, 48), skip_clicks=-1, min_crop_size=10, first_window=30, first_looks=3),
    ZoomIn(target_size=50, skip_clicks=0, min_crop_size=10),
]


class Counting:
    """A network that remembers how many samples each call had."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, x: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(x))
        return stub_network(x, points)


def predictor(net=stub_network, **settings) -> ClickPredictor:
    return ClickPredictor(net=net, name="stub", version="stub", **settings)


def trajectories(segmenter: Segmenter, clicks: list[list[Click]], *, together: bool) -> list[list]:
    """States of every object after each of its clicks; objects have click lists of different lengths."""
    encoding = segmenter.encode(IMAGE)
    states = [[segmenter.start(encoding)] for _ in clicks]
    for count in range(1, max(map(len, clicks)) + 1):
        going = [number for number, own in enumerate(clicks) if len(own) >= count]
        requests = [Request(clicks[number][:count], states[number][-1]) for number in going]
        if together:
            after = step_many(segmenter, encoding, requests)
        else:
            after = [segmenter.step(encoding, request.clicks, request.state) for request in requests]
        for number, state in zip(going, after, strict=True):
            states[number].append(state)
    return states


def assert_equal(clicks: list[list[Click]], segmenter: Segmenter, atol: float) -> None:
    for one, other in zip(trajectories(segmenter, clicks, together=False), trajectories(segmenter, clicks, together=True), strict=True):
        for alone, batched in zip(one, other, strict=True):
            assert np.abs(alone.probability - batched.probability).max() <= atol
            assert getattr(alone.memory, "roi", None) == getattr(batched.memory, "roi", None)


click = st.builds(Click, row=st.floats(0, 70), col=st.floats(0, 90), positive=st.booleans())
several = st.lists(st.lists(click, min_size=1, max_size=4), min_size=2, max_size=4)


@settings(deadline=None, max_examples=40)
@given(several, st.sampled_from(ZOOMS), st.booleans(), st.sampled_from([None, 40]), st.sampled_from([None, 2]))
def test_every_object_of_a_batch_gets_the_state_it_gets_alone(clicks, zoom_in, flip, longest_side, clicks_limit):
    assert_equal(clicks, predictor(zoom_in=zoom_in, flip=flip, longest_side=longest_side, clicks_limit=clicks_limit), 1e-6)


@settings(deadline=None, max_examples=25)
@given(several, st.sampled_from(ZOOMS), st.sampled_from(["2", "auto:4"]), st.sampled_from(["1", "2", "all"]))
def test_a_cascade_of_a_batch_makes_the_passes_of_each_alone(clicks, zoom_in, passes, refined):
    assert_equal(clicks, cascaded(predictor(zoom_in=zoom_in), Cascade.parse(passes, refined)), 1e-6)


FAMILIES = ["vitclick_tiny", "simpleclick_tiny", "ritm_tiny", "focalclick_tiny", "sam_tiny", "sam_tiny+cfr2"]


def anywhere() -> list[list[Click]]:
    rng = np.random.default_rng(8)
    return [[Click(*place, positive=bool(number != 1)) for number, place in enumerate(rng.uniform(5, 65, (3, 2)))] for _ in range(4)]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_answers_a_batch_as_it_answers_one(name):
    """On one thread: with more, oneDNN divides a batch in other ways, and random weights amplify the rounding."""
    from backend.evaluation.models import load_model

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert_equal(anywhere(), load_model(name, precision="fp32"), 1e-4)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", FAMILIES)
def test_masks_of_a_batch_agree_to_a_thousandth_on_any_number_of_threads(name):
    from backend.evaluation.models import load_model

    segmenter = load_model(name, precision="fp32")
    for one, other in zip(*(trajectories(segmenter, anywhere(), together=way) for way in (False, True)), strict=True):
        for alone, batched in zip(one, other, strict=True):
            a, b = (state.probability > segmenter.threshold for state in (alone, batched))
            assert (a & b).sum() >= (1 - 1e-3) * (a | b).sum()


def test_grabcut_answers_a_batch_one_after_the_other():
    assert_equal([[Click(20, 20, True)], [Click(40, 60, True), Click(10, 10, False)]], GrabCut(), 0)


def test_inputs_of_one_shape_are_one_forward_pass_and_others_are_their_own():
    net = Counting()
    whole = predictor(net)
    encoding = whole.encode(IMAGE)
    requests = [Request([Click(row, 20, True)], whole.start(encoding)) for row in (10, 30, 50)]
    step_many(whole, encoding, requests)
    assert net.calls == [3]
    net.calls.clear()
    step_many(predictor(net, flip=True), encoding, requests)
    assert net.calls == [6]
    net.calls.clear()
    zoomed = predictor(net, zoom_in=ZoomIn(target_size=48, skip_clicks=0, min_crop_size=10))
    states = step_many(zoomed, encoding, requests)
    step_many(zoomed, encoding, [Request([*one.clicks, Click(60, 80, False)], state) for one, state in zip(requests, states, strict=True)])
    assert sum(net.calls) >= 6
    assert max(net.calls) <= 3


def test_a_single_request_is_the_ordinary_step_bit_for_bit():
    segmenter = registry.load("vitclick_tiny", precision="fp32")
    encoding = segmenter.encode(IMAGE)
    clicks = [Click(30, 40, True)]
    (state,) = step_many(segmenter, encoding, [Request(clicks, segmenter.start(encoding))])
    assert state.probability.tobytes() == segmenter.step(encoding, clicks, segmenter.start(encoding)).probability.tobytes()


def test_no_request_is_no_work():
    segmenter = predictor()
    assert step_many(segmenter, segmenter.encode(IMAGE), []) == []
