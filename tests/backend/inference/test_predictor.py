"""The click predictor: a state in, a state out, the same bits for the same clicks, one forward pass a click."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import ContractError
from backend.evaluation.parity_predictor import Recorder
from backend.evaluation.parity_stub import stub_network
from backend.inference.predictor import ClickPredictor
from backend.inference.zoom_in import ZoomIn
from converters.frames import Box, Click, Percent, Size, percent_to_native

SIZE = Size(width=90, height=70)
IMAGE = np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)
ZOOMS = [
    None,
    ZoomIn(target_size=64, min_crop_size=20),
    ZoomIn(target_size=(48, 48), skip_clicks=-1, min_crop_size=10),
    ZoomIn(target_size=50, skip_clicks=0, min_crop_size=10),
]


def make(net=stub_network, **settings) -> ClickPredictor:
    return ClickPredictor(net=net, name="stub", version="stub", **settings)


def replay(predictor, encoding, clicks, state):
    """States after each of `clicks`, given that none came before."""
    states = []
    for count in range(1, len(clicks) + 1):
        state = predictor.step(encoding, clicks[:count], state)
        states.append(state)
    return states


clicks_anywhere = st.lists(st.builds(Click, row=st.floats(0, 70), col=st.floats(0, 90), positive=st.booleans()), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(clicks_anywhere, st.sampled_from(ZOOMS), st.booleans())
def test_the_same_clicks_replayed_give_the_same_bits(clicks, zoom_in, flip):
    first, second = make(zoom_in=zoom_in, flip=flip), make(zoom_in=zoom_in, flip=flip)
    encoding = first.encode(IMAGE)
    for one, other in zip(
        replay(first, encoding, clicks, first.start(encoding)),
        replay(second, second.encode(IMAGE), clicks, second.start(encoding)),
        strict=True,
    ):
        assert one.probability.tobytes() == other.probability.tobytes()
        assert one.memory == other.memory


@settings(deadline=None, max_examples=25)
@given(clicks_anywhere, clicks_anywhere, st.sampled_from(ZOOMS))
def test_going_back_to_an_earlier_state_is_as_if_the_later_clicks_never_were(clicks, regretted, zoom_in):
    predictor = make(zoom_in=zoom_in)
    encoding = predictor.encode(IMAGE)
    before = replay(predictor, encoding, clicks, predictor.start(encoding))[-1]
    kept = before.probability.tobytes()
    after = before
    for count in range(1, len(regretted) + 1):
        after = predictor.step(encoding, [*clicks, *regretted[:count]], after)
    assert before.probability.tobytes() == kept
    again = predictor.step(encoding, [*clicks, Click(30, 40, True)], before)
    fresh = replay(predictor, encoding, [*clicks, Click(30, 40, True)], predictor.start(encoding))[-1]
    assert again.probability.tobytes() == fresh.probability.tobytes()


@pytest.mark.parametrize("percent", [Percent(0, 0), Percent(-3, -3), Percent(100, 100)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_click_at_the_image_corner_is_a_real_click(percent, flip):
    place = percent_to_native(percent, SIZE)
    recorder = Recorder(stub_network)
    predictor = make(recorder, flip=flip)
    encoding = predictor.encode(IMAGE)
    state = predictor.step(encoding, [Click(place.row, place.col, True)], predictor.start(encoding))
    for points in recorder.calls[0]["pts"]:
        assert max(points[0][:2]) >= 0
        assert points[1] == [-1, -1, -1]
    corner = state.probability[:5, :5] if percent.x <= 0 else state.probability[-5:, -5:]
    without = predictor.step(encoding, [Click(35, 45, True)], predictor.start(encoding)).probability
    assert corner.mean() > (without[:5, :5] if percent.x <= 0 else without[-5:, -5:]).mean() + 0.1


@pytest.mark.parametrize("zoom_in", ZOOMS[:3])
@pytest.mark.parametrize(("flip", "batch"), [(False, 1), (True, 2)])
def test_a_click_costs_one_forward_pass_however_many_came_before(zoom_in, flip, batch):
    recorder = Recorder(stub_network)
    predictor = make(recorder, zoom_in=zoom_in, flip=flip)
    encoding = predictor.encode(IMAGE)
    replay(predictor, encoding, [Click(20, 30, True), Click(50, 60, False), Click(25, 35, True)], predictor.start(encoding))
    assert [call["shape"][0] for call in recorder.calls] == [batch] * 3


def test_the_network_reads_the_soft_map_of_the_click_before():
    seen = []

    def net(x, points):
        seen.append(x[:, 3].clone())
        return stub_network(x, points)

    predictor = make(net)
    encoding = predictor.encode(IMAGE)
    states = replay(predictor, encoding, [Click(20, 30, True), Click(50, 60, False)], predictor.start(encoding))
    assert seen[0].count_nonzero() == 0
    assert torch.equal(seen[1][0], torch.tensor(states[0].probability))


def test_a_mask_to_be_corrected_is_what_the_first_click_starts_from():
    mask = np.zeros((70, 90), bool)
    mask[20:40, 50:80] = True
    recorder = Recorder(stub_network)
    predictor = make(recorder, zoom_in=ZoomIn(target_size=(48, 48), skip_clicks=-1, min_crop_size=1))
    encoding = predictor.encode(IMAGE)
    start = predictor.start(encoding, mask)
    assert np.array_equal(start.probability, mask.astype(np.float32))
    after = predictor.step(encoding, [Click(30, 60, False)], start)
    assert after.memory.roi.contains(30, 60)
    assert after.memory.roi.size[0] < 40  # the neighbourhood of the mask, not the image
    assert recorder.calls[0]["prev_mean"] > 0.4


@pytest.mark.parametrize("zoom_in", [zoom for zoom in ZOOMS if zoom is not None])
def test_a_box_shows_the_network_its_neighbourhood_at_the_first_click(zoom_in):
    recorder = Recorder(stub_network)
    predictor = make(recorder, zoom_in=zoom_in)
    encoding = predictor.encode(IMAGE)
    box = Box(row_min=20, row_max=40, col_min=50, col_max=80)
    after = predictor.step(encoding, [box.centre], predictor.start(encoding, box=box))
    inside = after.memory.roi
    assert (inside.row_min, inside.row_max, inside.col_min, inside.col_max) == (16, 44, 44, 86)  # 1.4 times the box
    assert len(recorder.calls) == 1
    assert not after.probability[:16].any() and not after.probability[:, :44].any()


def test_states_cannot_be_changed():
    predictor = make()
    encoding = predictor.encode(IMAGE)
    state = predictor.step(encoding, [Click(20, 30, True)], predictor.start(encoding))
    with pytest.raises(ValueError, match="read-only"):
        state.probability[0, 0] = 1
    assert state.probability.dtype == np.float32
    assert state.nbytes >= 70 * 90 * 4
    assert encoding.nbytes == IMAGE.nbytes


@pytest.mark.parametrize("image", [np.zeros((70, 90), np.uint8), np.zeros((70, 90, 5), np.uint8), np.zeros((70, 90, 3), np.float32)])
def test_an_image_of_another_kind_is_refused_with_what_was_found(image):
    with pytest.raises(ContractError, match=r"takes HxWx3 uint8"):
        make().encode(image)


def test_a_mask_of_another_size_and_a_step_without_clicks_are_refused():
    predictor = make()
    encoding = predictor.encode(IMAGE)
    with pytest.raises(ContractError, match=r"\(7, 9\).*\(70, 90\)"):
        predictor.start(encoding, np.zeros((7, 9), bool))
    with pytest.raises(ContractError, match="without a click"):
        predictor.step(encoding, [], predictor.start(encoding))


def test_flip_averages_logits_and_mirrors_clicks():
    """Where image and clicks are symmetric, the average is the answer itself."""
    image = np.concatenate([IMAGE, IMAGE[:, ::-1]], axis=1)  # 180 columns; the axis lies between pixels 89 and 90
    clicks = [Click(20.5, 90, True)]  # pixel index 89.5
    plain, averaged = make(), make(flip=True)
    encoding = plain.encode(image)
    one = plain.step(encoding, clicks, plain.start(encoding)).probability
    two = averaged.step(encoding, clicks, averaged.start(encoding)).probability
    np.testing.assert_allclose(one, two, atol=1e-5)
