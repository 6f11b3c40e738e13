"""f-BRS: the clicks are satisfied more closely, undo is exact, and nothing changes where nothing may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import ModelError
from backend.inference.click_maps import points_tensor
from backend.inference.fbrs import FbrsSegmenter
from backend.inference.fbrs_search import squares
from backend.inference.predictor import ClickPredictor
from backend.inference.zoom_in import ZoomIn
from backend.segmenters import registry
from backend.segmenters.feature_splits import split_network, with_fbrs
from backend.segmenters.generated import WeightFormula
from converters.frames import Click

IMAGE = np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8)
CLICKS = [Click(20.5, 30.5, True), Click(50.5, 60.5, False), Click(25.5, 40.5, True), Click(10.5, 80.5, False)]
PLACES = ("b", "c")
clicks_anywhere = st.lists(st.builds(Click, row=st.floats(0, 64), col=st.floats(0, 96), positive=st.booleans()), min_size=1, max_size=4)


def make(**options):
    """A predictor over a small random network whose answers are undecided, so that the clicks have something to move."""
    net = registry.build("ritm", "tiny")
    WeightFormula(seed=11, mult=[("cls_head", 0.5)]).fill(net)
    return ClickPredictor(net=net.eval().requires_grad_(False), name="tiny", version="tiny@1", **options)


@pytest.fixture(scope="module")
def tiny():
    return make()


def refined(plain, place, **options):
    return FbrsSegmenter(plain, split_network(plain.net, place), place, **options)


def states(segmenter, clicks, image=IMAGE):
    encoding = segmenter.encode(image)
    found = [segmenter.start(encoding)]
    for count in range(1, len(clicks) + 1):
        found.append(segmenter.step(encoding, clicks[:count], found[-1]))
    return found[1:]


def error_at(state, clicks):
    """Mean of 1 - p at positive clicks and of p at negative ones."""
    found = [float(state.probability[int(click.row), int(click.col)]) for click in clicks]
    return float(np.mean([1 - p if click.positive else p for p, click in zip(found, clicks, strict=True)]))


@pytest.mark.parametrize("place", PLACES)
def test_the_halves_are_the_network(tiny, place):
    x = torch.rand(2, 4, 61, 83)
    points = points_tensor([[(10.0, 20.0, True)], [(5.0, 7.5, False)]])
    split = split_network(tiny.net, place)
    features, head = split(x, points)
    torch.testing.assert_close(head(features)[0], tiny.net(x, points), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("flip", [False, True])
def test_the_first_click_is_the_plain_one(tiny, place, flip):
    plain = replace(tiny, flip=flip)
    one, other = states(plain, CLICKS[:1])[0], states(refined(plain, place), CLICKS[:1])[0]
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-4)
    assert not other.memory.values.any()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("flip", [False, True])
def test_the_clicked_pixels_are_satisfied_better_than_without(tiny, place, flip):
    plain = replace(tiny, flip=flip)
    without, with_it = states(plain, CLICKS), states(refined(plain, place), CLICKS)
    assert error_at(with_it[-1], CLICKS) < error_at(without[-1], CLICKS) - 0.02
    assert with_it[-1].memory.values.any()


@settings(deadline=None, max_examples=8)
@given(clicks_anywhere, clicks_anywhere, st.sampled_from([None, ZoomIn(target_size=64, min_crop_size=20)]))
def test_undo_is_exact_and_replay_gives_the_same_bits(clicks, regretted, zoom_in):
    plain = make(zoom_in=zoom_in)
    segmenter = refined(plain, "b")
    encoding = segmenter.encode(IMAGE)
    before = states(segmenter, clicks)[-1]
    kept = before.probability.tobytes(), before.memory.values.tobytes()
    after = before
    for count in range(1, len(regretted) + 1):
        after = segmenter.step(encoding, [*clicks, *regretted[:count]], after)
    assert (before.probability.tobytes(), before.memory.values.tobytes()) == kept
    assert states(segmenter, clicks)[-1].probability.tobytes() == kept[0]


class Counting:
    """A split network that remembers what its body read."""

    def __init__(self, split):
        self.split = split
        self.read = []

    def __call__(self, x, points):
        self.read.append((float(x[:, 3].mean()), int((points[..., 2] >= 0).sum())))
        return self.split(x, points)


def test_beyond_the_limit_clicks_act_through_the_objective_alone(tiny):
    """The body then sees the clicks and the map it saw before; one pass through it a click all the same."""
    segmenter = refined(tiny, "b", clicks_limit=2)
    segmenter.split = counting = Counting(segmenter.split)
    found = states(segmenter, CLICKS)
    assert [clicks for _, clicks in counting.read] == [1, 2, 2, 2]
    assert counting.read[1] == counting.read[2] == counting.read[3]
    assert counting.read[1][0] == pytest.approx(found[0].probability.mean(), abs=1e-6)
    assert found[3].probability.tobytes() != found[2].probability.tobytes()


@pytest.mark.parametrize(("corner", "moves"), [(10, True), (60, False)])
def test_beyond_the_limit_the_map_is_read_anew_where_the_crop_moved(tiny, corner, moves):
    """The RoI is replaced for an object that is small in the whole image, and kept for one that fills it."""
    segmenter = refined(replace(tiny, zoom_in=ZoomIn(target_size=(48, 48), skip_clicks=-1, min_crop_size=8)), "b", clicks_limit=1)
    [seen] = states(segmenter, CLICKS[:1])
    probability = np.zeros_like(seen.probability)
    probability[:corner, : 3 * corner // 2] = 1
    before = replace(seen, probability=probability)
    after = segmenter.step(segmenter.encode(IMAGE), [CLICKS[0], Click(5.5, 5.5, False)], before)
    assert (after.memory.roi != before.memory.roi) == moves
    assert after.memory.read is (before.probability if moves else before.memory.read)


def test_squares_are_the_3x3_pixels_round_the_rounded_click():
    points = points_tensor([[(4.4, 5.6, True), (0.0, 9.0, False)], [(2.5, 3.5, True), (-0.6, 4.0, False)]])
    maps = squares(points, (8, 10))
    expected = np.zeros((2, 2, 8, 10))
    expected[0, 0, 3:6, 5:8] = 1
    expected[0, 1, 0:2, 8:10] = 1
    expected[1, 0, 1:4, 3:6] = 1  # halves go to the even neighbour
    expected[1, 1, 0:1, 3:6] = 1
    np.testing.assert_array_equal(maps.numpy(), expected)


def test_memory_and_version_are_told(tiny):
    segmenter = refined(tiny, "c")
    assert (segmenter.name, segmenter.version) == ("tiny+fbrsc", "tiny@1+fbrsc")
    state = states(segmenter, CLICKS[:2])[-1]
    assert state.nbytes >= state.probability.nbytes + state.memory.values.nbytes + state.memory.read.nbytes


def test_networks_and_places_without_such_a_feature_map_are_refused(tiny):
    with pytest.raises(ModelError, match="expected one of A, B and C"):
        split_network(tiny.net, "d")
    with pytest.raises(ModelError, match=r"map of RitmNet, and this network is a SimpleClickNet.* or place b"):
        split_network(registry.build("simpleclick", "tiny"), "c")
    with pytest.raises(ModelError, match="sam_tiny does not; turn f-BRS off"):
        with_fbrs(registry.load("sam_tiny"), "b")
