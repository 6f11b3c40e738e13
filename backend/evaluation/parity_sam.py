"""Parity of SAM: embedding, one click, clicks with mask feedback, a box. Names of the arrays: the README of the fixtures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from backend.evaluation.parity import STATISTICS_TOLERANCE, Check, Fixture, close, skipped
from backend.evaluation.parity_networks import check_keys, with_weights
from backend.evaluation.parity_predictor import as_clicks, compare_lists
from backend.inference.encoding import placed
from backend.inference.segmenter import State
from backend.segmenters import sam
from backend.segmenters.sam_segmenter import SamEncoding, SamMemory, SamSegmenter
from converters.frames import Box, Click

EMBEDDING_TOLERANCE = 1e-3
LOGITS_TOLERANCE = 5e-3
MASK_PIXELS = 8
"""So many pixels of packed masks may differ: those whose logit is zero but for rounding."""
# Elements of the statistics after mean and standard deviation.
EMBEDDING_PLACES = ((100, 10, 20), (255, 63, 63))
INPUT_PLACES = ((0, 0, 0), (2, 700, 1000), (1, -1, -1))


def check(fixture: Fixture) -> Iterator[Check]:
    """Keys, then everything recorded; only the keys where the fixture is a key list alone."""
    architecture = next((name for name in ("vit_b", "vit_l", "vit_h") if fixture.name.startswith(f"sam_{name}")), None)
    if architecture is None:
        yield skipped(fixture.name, f"'{fixture.name}' is none of sam_vit_b, sam_vit_l, sam_vit_h")
        return
    if fixture.keys is not None:
        with torch.device("meta"):
            yield check_keys(fixture, sam.build(architecture))
    if fixture.arrays is None:
        return
    net = with_weights(fixture, sam.build(architecture))
    assert isinstance(net, Sam)  # built here
    segmenter = SamSegmenter(net=net, name="sam", version="parity")
    encoding = segmenter.encode(fixture.array("image"))
    yield from _check_encoding(fixture, segmenter, encoding)
    yield from _check_first_click(fixture, segmenter, encoding)
    yield from _check_loop(fixture, segmenter, encoding)
    yield from _check_box(fixture, segmenter, encoding)


def _check_encoding(fixture: Fixture, segmenter: SamSegmenter, encoding: SamEncoding) -> Iterator[Check]:
    embedding = encoding.embedding[0]
    ours = {
        "image_embedding_stats": _statistics(embedding, EMBEDDING_PLACES),
        "preprocessed_stats": _statistics(segmenter.preprocessed(fixture.array("image"))[0], INPUT_PLACES),
    }
    for array in fixture.arrays or ():
        channels = re.fullmatch(r"image_embedding_c(\d+)_(\d+)", array)
        if channels:
            part = embedding[int(channels[1]) : int(channels[2])]
            yield close(fixture.name, f"raw:{array}", part, fixture.array(array), EMBEDDING_TOLERANCE)
        elif array in ours:
            yield close(fixture.name, f"raw:{array}", ours[array], fixture.array(array), STATISTICS_TOLERANCE)


def _check_first_click(fixture: Fixture, segmenter: SamSegmenter, encoding: SamEncoding) -> Iterator[Check]:
    """The decoder's three masks for the first click, and its single one."""
    first = placed(as_clicks(fixture.setting("clicks"))[:1], encoding.size)
    for kind in ("multimask", "single"):
        decoded = segmenter.decode(encoding, first, SamMemory(), multimask=kind == "multimask")
        outputs = {"low_res": decoded.logits[0], "logits_full": segmenter.full_size(decoded.logits, encoding)[0]}
        yield from _compare(fixture, f"click1_{kind}_", outputs)
        if f"click1_{kind}_iou" in (fixture.arrays or ()):
            name = f"click1_{kind}_iou"
            yield close(fixture.name, f"raw:{name}", decoded.quality[0], fixture.array(name), LOGITS_TOLERANCE)


def _check_loop(fixture: Fixture, segmenter: SamSegmenter, encoding: SamEncoding) -> Iterator[Check]:
    """All clicks one by one through `SamSegmenter.step`, its own logits fed back."""
    clicks = as_clicks(fixture.setting("clicks"))
    states = [segmenter.start(encoding)]
    for count in range(1, len(clicks) + 1):
        states.append(segmenter.step(encoding, clicks[:count], states[-1]))
    low_res = [torch.tensor(state.memory.logits)[None] for state in states[1:]]
    for count, logits in enumerate(low_res, start=1):
        yield from _compare(fixture, f"loop_click{count}_", {"low_res": logits})
    full = torch.stack([segmenter.full_size(logits[None], encoding)[0, 0] for logits in low_res])
    yield from _compare(fixture, "loop_", {"logits_full": full})
    yield from _check_choices(fixture, segmenter, encoding, clicks, states)
    if "loop_masks" in (fixture.arrays or ()):
        ours = np.stack([state.probability > segmenter.threshold for state in states[1:]])
        recorded = np.unpackbits(fixture.array("loop_masks"))[: ours.size].reshape(ours.shape).astype(bool)
        wrong = int(np.count_nonzero(ours != recorded))
        yield Check(fixture.name, "raw:loop_masks", float(wrong), float(MASK_PIXELS), wrong <= MASK_PIXELS)


def _check_choices(
    fixture: Fixture, segmenter: SamSegmenter, encoding: SamEncoding, clicks: Sequence[Click], states: Sequence[State]
) -> Iterator[Check]:
    """Which mask was taken after each click, and the IoU that the decoder expected of it."""
    recorded = (fixture.meta or {}).get("loop")
    if not recorded:
        return
    decoded = [
        segmenter.decode(encoding, placed(clicks[:count], encoding.size), states[count - 1].memory, multimask=count == 1)
        for count in range(1, len(clicks) + 1)
    ]
    chosen = [int(one.quality[0].argmax()) for one in decoded]
    if "selected" in recorded:
        yield compare_lists(fixture.name, "loop:selected", chosen, recorded["selected"])
    if "pred_iou" in recorded:
        expected = [float(one.quality[0].max()) for one in decoded]
        yield close(fixture.name, "loop:pred_iou", expected, recorded["pred_iou"], LOGITS_TOLERANCE)


def _check_box(fixture: Fixture, segmenter: SamSegmenter, encoding: SamEncoding) -> Iterator[Check]:
    """A box alone; recorded as x, y of two corners in pixel indices, as SAM takes it."""
    if "box" not in (fixture.arrays or ()):
        return
    left, top, right, bottom = (float(value) + 0.5 for value in fixture.array("box"))
    state = segmenter.start(encoding, box=Box(row_min=top, row_max=bottom, col_min=left, col_max=right))
    logits = torch.tensor(state.memory.logits)[None]
    yield from _compare(fixture, "box_", {"low_res": logits, "logits_full": segmenter.full_size(logits[None], encoding)[0]})


def _compare(fixture: Fixture, prefix: str, outputs: dict[str, Tensor]) -> Iterator[Check]:
    """Arrays PREFIX + name + `_sN`, N the step of subsampling; none for every pixel."""
    for array in fixture.arrays or ():
        for name, ours in outputs.items():
            match = re.fullmatch(rf"{prefix}{name}(?:_s(\d+))?", array)
            if match:
                step = int(match[1] or 1)
                yield close(fixture.name, f"raw:{array}", ours[..., ::step, ::step], fixture.array(array), LOGITS_TOLERANCE)


def _statistics(x: Tensor, places: Sequence[tuple[int, int, int]]) -> list[float]:
    return [float(x.mean()), float(x.std()), *(float(x[place]) for place in places)]
