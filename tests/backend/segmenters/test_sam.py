"""SAM: the embedding is computed once, clicks feed the mask back, a box and a mask to be corrected are prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.errors import ContractError
from backend.inference.cfr import Cascade, CascadedSegmenter
from backend.segmenters import registry
from backend.segmenters.sam_segmenter import SamSegmenter
from converters.frames import Box, Click

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype=np.uint8)
CLICKS = [Click(40, 50, True), Click(90, 110, True), Click(60, 70, False)]
BOX = Box(row_min=20, row_max=60, col_min=30, col_max=90)


@pytest.fixture(scope="module")
def sam() -> SamSegmenter:
    segmenter = registry.load("sam_tiny")
    assert isinstance(segmenter, SamSegmenter)
    return segmenter


class Watched:
    """Counts the calls of a module and keeps their keyword arguments."""

    def __init__(self, module, monkeypatch):
        self.calls = []
        forward = module.forward
        monkeypatch.setattr(module, "forward", lambda *given, **named: (self.calls.append(named), forward(*given, **named))[1])


def states(sam, clicks=CLICKS, state=None):
    encoding = sam.encode(IMAGE)
    found = [state or sam.start(encoding)]
    for count in range(1, len(clicks) + 1):
        found.append(sam.step(encoding, clicks[:count], found[-1]))
    return found


def test_the_image_is_encoded_once_and_each_click_is_one_pass_of_the_decoder(sam, monkeypatch):
    encoder, decoder = Watched(sam.net.image_encoder, monkeypatch), Watched(sam.net.mask_decoder, monkeypatch)
    states(sam)
    assert (len(encoder.calls), len(decoder.calls)) == (1, 3)
    assert [call["multimask_output"] for call in decoder.calls] == [True, False, False]


def test_the_first_click_takes_the_mask_that_the_decoder_expects_most_of(sam):
    encoding = sam.encode(IMAGE)
    after = sam.step(encoding, CLICKS[:1], sam.start(encoding))
    decoded = sam.decode(encoding, [(39.5, 49.5, True)], sam.start(encoding).memory, multimask=True)
    best = int(decoded.quality[0].argmax())
    assert decoded.quality.shape == (1, 3)
    assert np.array_equal(after.memory.logits, decoded.logits[0, best].numpy())


def test_later_clicks_read_the_last_masks_logits_and_all_clicks(sam, monkeypatch):
    prompts = Watched(sam.net.prompt_encoder, monkeypatch)
    found = states(sam)
    assert prompts.calls[0]["masks"] is None
    for call, before in zip(prompts.calls[1:], found[1:], strict=False):
        assert np.array_equal(call["masks"][0, 0].numpy(), before.memory.logits)
    points, labels = prompts.calls[2]["points"]
    # (x, y) on the side of 128 px that the network sees of 150, in pixel indices; the third click is a negative one
    assert points[0].numpy() == pytest.approx(np.array([[49.5, 39.5], [109.5, 89.5], [69.5, 59.5]]) * [128 / 150, 102 / 120])
    assert labels.tolist() == [[1, 1, 0]]


def test_the_mask_is_where_the_logit_is_above_zero(sam):
    after = states(sam)[-1]
    encoding = sam.encode(IMAGE)
    logits = sam.full_size(torch.tensor(after.memory.logits)[None, None], encoding)[0, 0].numpy()
    assert after.probability.shape == (120, 150)
    assert np.array_equal(after.probability > sam.threshold, logits > 0)
    assert 0 < (logits > 0).mean() < 1


def test_a_box_is_answered_at_once_and_goes_with_every_later_click(sam, monkeypatch):
    prompts = Watched(sam.net.prompt_encoder, monkeypatch)
    encoding = sam.encode(IMAGE)
    alone = sam.start(encoding, box=BOX)
    assert sam.takes_boxes
    assert alone.probability.any()
    (call,) = prompts.calls
    assert call["points"] is None and call["masks"] is None
    # corners in pixel indices of the window, as clicks are
    assert call["boxes"][0].numpy() == pytest.approx(np.array([29.5, 19.5, 89.5, 59.5]) * [128 / 150, 102 / 120, 128 / 150, 102 / 120])
    corrected = sam.step(encoding, CLICKS[:1], alone)
    assert torch.equal(prompts.calls[1]["boxes"], call["boxes"])
    assert np.array_equal(prompts.calls[1]["masks"][0, 0].numpy(), alone.memory.logits)
    assert np.abs(corrected.probability - alone.probability).max() > 0.01


def test_another_box_is_another_object(sam):
    encoding = sam.encode(IMAGE)
    other = sam.start(encoding, box=Box(row_min=80, row_max=110, col_min=100, col_max=140))
    assert np.abs(sam.start(encoding, box=BOX).probability - other.probability).max() > 0.05


def test_a_mask_to_be_corrected_is_read_by_the_decoder_where_it_lies(sam, monkeypatch):
    mask = np.zeros((120, 150), bool)
    mask[30:60, 75:150] = True
    encoding = sam.encode(IMAGE)
    start = sam.start(encoding, mask)
    assert np.array_equal(start.probability, mask.astype(np.float32))
    back = sam.full_size(torch.tensor(start.memory.logits)[None, None], encoding)[0, 0].numpy()
    assert ((back > 0) != mask).mean() < 0.03  # drawn at a quarter of 128 px
    prompts, decoder = Watched(sam.net.prompt_encoder, monkeypatch), Watched(sam.net.mask_decoder, monkeypatch)
    sam.step(encoding, CLICKS[:1], start)
    assert prompts.calls[0]["masks"] is not None
    assert decoder.calls[0]["multimask_output"] is False


def test_replayed_clicks_give_the_same_bits(sam):
    assert np.array_equal(states(sam)[-1].probability, states(sam)[-1].probability)


def test_refinement_corrects_the_masks_of_the_same_click(sam, monkeypatch):
    decoder = Watched(sam.net.mask_decoder, monkeypatch)
    refined = CascadedSegmenter(sam, Cascade(passes=2))
    states(refined, CLICKS[:1])
    assert [call["multimask_output"] for call in decoder.calls] == [True, False, False]


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1), (128, 128), (500, 400)])
def test_any_window_is_answered_at_its_size(sam, size):
    encoding = sam.encode(np.full((*size, 3), 90, np.uint8))
    after = sam.step(encoding, [Click(size[0] / 2, size[1] / 2, True)], sam.start(encoding))
    assert after.probability.shape == size
    assert np.isfinite(after.probability).all()


def test_states_are_values_and_say_what_they_cost(sam):
    after = states(sam)[-1]
    for array in (after.probability, after.memory.logits):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    assert after.nbytes == 120 * 150 * 4 + 32 * 32 * 4
    assert sam.encode(IMAGE).nbytes == 32 * 8 * 8 * 4


def test_what_cannot_be_answered_is_refused(sam):
    encoding = sam.encode(IMAGE)
    with pytest.raises(ContractError, match="sam_tiny was given an image of shape"):
        sam.encode(IMAGE[..., :1])
    with pytest.raises(ContractError, match="without a click"):
        sam.step(encoding, [], sam.start(encoding))
    with pytest.raises(ContractError, match="they must agree"):
        sam.start(encoding, np.zeros((7, 9), bool))
