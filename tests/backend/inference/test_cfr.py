"""Cascade-forward refinement: how many passes a click costs, when a cascade stops, and that without it nothing changes at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import ContractError
from backend.evaluation.parity_predictor import Recorder
from backend.evaluation.parity_stub import stub_network
from backend.inference.cfr import OFF, Cascade, CascadedSegmenter, cascaded
from backend.inference.predictor import ClickPredictor
from backend.inference.segmenter import State
from backend.inference.zoom_in import ZoomIn
from converters.frames import Click

CLICKS = [Click(20, 30, True), Click(50, 60, False), Click(25, 35, True)]
IMAGE = np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)


class Growing:
    """Every pass adds the next of `growth` pixels to the mask, row by row; the last number goes on for ever."""

    name, version, threshold, takes_boxes = "growing", "growing@1", 0.49, False
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),)

    def __init__(self, *growth):
        self.growth = growth
        self.seen = []

    def encode(self, image):
        return image

    def start(self, encoding, initial_mask=None, box=None):
        return State(np.zeros((10, 20), np.float32) if initial_mask is None else initial_mask.astype(np.float32), memory=0)

    def step(self, encoding, clicks, state):
        self.seen.append((len(clicks), int((state.probability > 0.49).sum())))
        probability = state.probability.flatten()
        filled = int((probability > 0.49).sum())
        probability[: filled + self.growth[min(state.memory, len(self.growth) - 1)]] = 0.9
        return State(probability.reshape(10, 20), memory=state.memory + 1)


def clicked(segmenter, clicks, image=IMAGE, mask=None):
    """States after each click."""
    encoding = segmenter.encode(image)
    states = [segmenter.start(encoding, mask)]
    for count in range(1, len(clicks) + 1):
        states.append(segmenter.step(encoding, clicks[:count], states[-1]))
    return states[1:]


@pytest.mark.parametrize(
    ("cascade", "passes"),
    [
        (Cascade(4), [5, 1, 1]),
        (Cascade(4, clicks=2), [5, 5, 1]),
        (Cascade(1, clicks=None), [2, 2, 2]),
        (Cascade(0, clicks=None), [1, 1, 1]),
    ],
)
def test_a_refined_click_costs_n_further_passes_and_only_the_first_clicks_are_refined(cascade, passes):
    growing = Growing(7)
    clicked(CascadedSegmenter(growing, cascade), CLICKS)
    assert [count for count, _ in growing.seen] == [number for number, cost in enumerate(passes, 1) for _ in range(cost)]


def test_each_pass_reads_what_the_pass_before_left():
    growing = Growing(3, 5, 7)
    [state] = clicked(CascadedSegmenter(growing, Cascade(2)), CLICKS[:1])
    assert growing.seen == [(1, 0), (1, 3), (1, 8)]
    assert int((state.probability > 0.49).sum()) == 15
    assert state.memory == 3


@pytest.mark.parametrize(
    ("growth", "passes"),
    [
        ((60, 21, 21, 21, 21), 5),  # never settles: all 1 + 4
        ((60, 21, 20, 60), 3),  # 20 changed pixels are settled, 21 are not
        ((60, 0), 2),
        ((5, 5), 2),  # the first pass is never the last: there is nothing to compare it with
    ],
)
def test_an_adaptive_cascade_stops_when_at_most_20_pixels_change(growth, passes):
    growing = Growing(*growth)
    clicked(CascadedSegmenter(growing, Cascade(4, adaptive=True)), CLICKS[:1])
    assert len(growing.seen) == passes


def test_a_later_click_compares_its_own_passes_only():
    growing = Growing(60, 60, 60, 2, 2)
    clicked(CascadedSegmenter(growing, Cascade(2, adaptive=True, clicks=None)), CLICKS[:2])
    assert [count for count, _ in growing.seen] == [1, 1, 1, 2, 2]


def test_a_fixed_cascade_does_not_stop_early():
    growing = Growing(0)
    clicked(CascadedSegmenter(growing, Cascade(3)), CLICKS[:1])
    assert len(growing.seen) == 4


def test_a_mask_to_be_corrected_is_what_the_first_pass_reads():
    mask = np.zeros((10, 20), bool)
    mask[0, :11] = True
    growing = Growing(30, 30)
    clicked(CascadedSegmenter(growing, Cascade(2, adaptive=True)), CLICKS[:1], mask=mask)
    assert [filled for _, filled in growing.seen] == [11, 41, 71]


zooms = st.sampled_from([None, ZoomIn(target_size=64, min_crop_size=20), ZoomIn(target_size=(48, 48), skip_clicks=-1, min_crop_size=10)])
places = st.lists(st.builds(Click, row=st.floats(0, 70), col=st.floats(0, 90), positive=st.booleans()), min_size=1, max_size=4)


def stub(zoom_in=None, net=stub_network, flip=False):
    return ClickPredictor(net=net, name="stub", version="stub@1", zoom_in=zoom_in, flip=flip)


@settings(deadline=None, max_examples=20)
@given(places, zooms, st.booleans(), st.sampled_from([OFF, Cascade(0, adaptive=True, clicks=None)]))
def test_without_refinement_the_plain_segmenter_answers_bit_for_bit(clicks, zoom_in, flip, cascade):
    plain, wrapped = stub(zoom_in, flip=flip), CascadedSegmenter(stub(zoom_in, flip=flip), cascade)
    assert (wrapped.name, wrapped.version) == (plain.name, plain.version)
    for one, other in zip(clicked(plain, clicks), clicked(wrapped, clicks), strict=True):
        assert one.probability.tobytes() == other.probability.tobytes()
        assert one.memory == other.memory


def test_off_is_the_segmenter_itself():
    segmenter = stub()
    assert cascaded(segmenter, OFF) is segmenter


@settings(deadline=None, max_examples=15)
@given(places, zooms, st.builds(Cascade, st.integers(1, 3), st.booleans(), st.sampled_from([1, 2, None])))
def test_refined_clicks_replayed_give_the_same_bits(clicks, zoom_in, cascade):
    first, second = cascaded(stub(zoom_in), cascade), cascaded(stub(zoom_in), cascade)
    for one, other in zip(clicked(first, clicks), clicked(second, clicks), strict=True):
        assert one.probability.tobytes() == other.probability.tobytes()


@settings(deadline=None, max_examples=15)
@given(places, zooms, st.integers(1, 3))
def test_the_adaptive_cascade_is_the_fixed_one_cut_short(clicks, zoom_in, passes):
    """A cascade that stopped after j further passes is the fixed cascade of j."""
    encoding = stub().encode(IMAGE)
    recorder = Recorder(stub_network)
    start = stub().start(encoding)
    adaptive = cascaded(stub(zoom_in, recorder), Cascade(passes, adaptive=True, clicks=None)).step(encoding, clicks[:1], start)
    fixed = cascaded(stub(zoom_in), Cascade(len(recorder.calls) - 1, clicks=None)).step(encoding, clicks[:1], start)
    assert 2 <= len(recorder.calls) <= passes + 1
    assert adaptive.probability.tobytes() == fixed.probability.tobytes()


def test_where_a_click_is_looked_at_twice_the_cascade_is_not_nested_unless_as_published():
    """ZoomIn(skip_clicks=0) looks again at a small object: N + 2 passes; the published code starts a cascade in the cascade, 2N + 2."""
    image = np.zeros((200, 300, 3), np.uint8)
    image[..., 2] = 255
    image[40:60, 50:70] = (255, 0, 0)
    clicks = [Click(50, 60, True)]
    zoom_in = ZoomIn(target_size=96, skip_clicks=0, min_crop_size=20)
    plain, sane, published = (Recorder(stub_network) for _ in range(3))
    clicked(stub(zoom_in, plain), clicks, image)
    clicked(CascadedSegmenter(stub(zoom_in, sane), Cascade(3)), clicks, image)
    clicked(CascadedSegmenter(stub(zoom_in, published), Cascade(3), as_published=True), clicks, image)
    assert len(plain.calls) == 2
    assert len(sane.calls) == 3 + 2
    assert len(published.calls) == 2 * 3 + 2
    assert plain.calls == sane.calls[:2] == published.calls[:2]


@pytest.mark.parametrize(("adaptive", "passes"), [(False, 3), (True, 1)])
def test_as_published_a_mask_to_be_corrected_only_stops_the_cascade(adaptive, passes):
    """The network never reads it; when the first pass finds nearly the same mask, that was the last pass."""
    recorder = Recorder(stub_network)
    first = clicked(stub(), CLICKS[:1])[0].probability > 0.49
    segmenter = CascadedSegmenter(stub(net=recorder), Cascade(2, adaptive=adaptive), as_published=True)
    [state] = clicked(segmenter, CLICKS[:1], mask=first)
    assert len(recorder.calls) == passes
    assert recorder.calls[0]["prev_mean"] == 0
    assert state.memory.predicted
    sane = Recorder(stub_network)
    clicked(CascadedSegmenter(stub(net=sane), Cascade(2, adaptive=adaptive)), CLICKS[:1], mask=first)
    assert sane.calls[0]["prev_mean"] == pytest.approx(first.mean())
    assert len(sane.calls) >= 2


@pytest.mark.parametrize(
    ("cfr", "clicks", "cascade", "text", "suffix"),
    [
        ("off", "1", OFF, "off", ""),
        ("0", "1", OFF, "off", ""),
        ("4", "1", Cascade(4), "4", "+cfr4"),
        ("auto:4", "all", Cascade(4, True, None), "auto:4@clicks=all", "+acfr4@clicks=all"),
        (" auto:20 ", " 3 ", Cascade(20, True, 3), "auto:20@clicks=3", "+acfr20@clicks=3"),
    ],
)
def test_settings_are_read_and_told(cfr, clicks, cascade, text, suffix):
    assert Cascade.parse(cfr, clicks) == cascade
    assert (str(cascade), cascade.suffix) == (text, suffix)


@pytest.mark.parametrize(
    ("cfr", "clicks", "message"),
    [
        ("on", "1", 'model_cfr is "on"; expected off'),
        ("auto", "1", 'model_cfr is "auto"'),
        ("-1", "1", 'model_cfr is "-1"'),
        ("٤", "1", "model_cfr is"),
        ("21", "1", "21 refinement passes; expected at most 20"),
        ("9" * 40, "1", "model_cfr is"),
        ("4", "0", "first 0 clicks"),
        ("4", "every", 'model_cfr_clicks is "every"'),
    ],
)
def test_settings_without_a_meaning_are_refused(cfr, clicks, message):
    with pytest.raises(ContractError, match=message):
        Cascade.parse(cfr, clicks)


def test_name_and_version_say_how_clicks_are_refined():
    segmenter = CascadedSegmenter(stub(), Cascade(4, True, None))
    assert (segmenter.name, segmenter.version) == ("stub+acfr4@clicks=all", "stub@1+acfr4@clicks=all")
