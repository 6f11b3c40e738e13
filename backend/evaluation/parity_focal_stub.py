"""Parity of FocalClick's logic alone: an analytic network of two passes, recorded clicks, and a robot that clicks with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torchvision.ops import roi_align

from backend.evaluation.parity import STUB_TOLERANCE, Check, Fixture, close, skipped
from backend.evaluation.parity_focal_predictor import (
    After,
    FocalRecorder,
    click_through,
    compare_clicks,
    compare_rois,
    compare_sizes,
    initial_mask,
    predictor,
    unsupported,
)
from backend.evaluation.parity_predictor import UINT16, as_clicks, compare_lists, subsampled
from backend.evaluation.parity_stub import IOU_TOLERANCE, click_bumps, iou, stub_logits, warmth
from backend.inference.crop import resize
from backend.inference.next_click import next_click

EARLIER = 11
"""`simprob11`: the map after this click, or the last one."""


class StubNetwork:
    """The stub of the fixtures' README, with its two passes."""

    def coarse(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, 4, H, W] -> (logits [B, 1, H, W], features [B, 4, H / 4, W / 4])."""
        return stub_logits(x, points), F.avg_pool2d(x, 4)

    def refine(self, image: Tensor, points: Tensor, features: Tensor, logits: Tensor, box: Tensor) -> Tensor:
        """See `FocalNetwork`."""
        size = (image.shape[2], image.shape[3])
        scale = features.shape[3] / image.shape[3]
        inside = roi_align(features, box, (features.shape[2], features.shape[3]), spatial_scale=scale, sampling_ratio=-1, aligned=True)
        coarse = roi_align(logits, box, size, spatial_scale=1.0, sampling_ratio=-1, aligned=True)
        shade = resize(inside.mean(dim=1, keepdim=True), size)
        return coarse + 3 * warmth(image) + 0.5 * shade + click_bumps(points, size)


def check(fixture: Fixture) -> Iterator[Check]:
    """Every variant with the recorded clicks, then with the robot's."""
    for name, variant in fixture.setting("variants").items():
        reason = unsupported(variant)
        if reason is not None:
            yield skipped(fixture.name, f"variant {name}: {reason}")
            continue
        if "given" in variant:
            yield from _check_given(fixture, name, variant)
        if "sim" in variant:
            yield from _check_simulation(fixture, name, variant)


def _check_given(fixture: Fixture, name: str, variant: Mapping[str, Any]) -> Iterator[Check]:
    recorded = variant["given"]
    recorder = FocalRecorder(StubNetwork())
    mask = initial_mask(fixture, name, variant)
    ours = click_through(predictor(recorder, variant), fixture.array("image"), recorded["clicks"], mask)
    yield from compare_clicks(fixture, name, ours, recorder.calls, recorded, STUB_TOLERANCE)
    gt = fixture.array("gt").astype(np.int8)
    yield close(fixture.name, f"{name}:ious", [iou(one.mask, gt) for one in ours[: len(recorded["rois"])]], recorded["ious"], IOU_TOLERANCE)


def _check_simulation(fixture: Fixture, name: str, variant: Mapping[str, Any]) -> Iterator[Check]:
    """The robot of MODELS.md section 7 without early stop, as far as the originals got: its clicks, crops, IoUs, two of the maps."""
    recorded = variant["sim"]
    gt = fixture.array("gt").astype(np.int8)
    segmenter = predictor(StubNetwork(), variant)
    encoding = segmenter.encode(fixture.array("image"))
    state = segmenter.start(encoding, initial_mask(fixture, name, variant))
    not_clicked = np.ones(gt.shape, bool)
    clicks: list[list[int]] = []
    ours: list[After] = []
    for _ in recorded["rois"]:
        positive, row, col = next_click(gt, state.probability > segmenter.threshold, not_clicked)
        not_clicked[row, col] = False
        clicks.append([int(positive), row, col])
        state = segmenter.step(encoding, as_clicks(clicks), state)
        ours.append(After.of(state, segmenter.threshold))
    yield compare_lists(fixture.name, f"{name}:sim_clicks", clicks, recorded["clicks"][: len(clicks)])
    yield compare_rois(fixture.name, f"{name}:sim_roi", ours, recorded["rois"])
    yield compare_sizes(fixture.name, f"{name}:sim_n_mask", ours, recorded["rois"])
    yield close(fixture.name, f"{name}:sim_ious", [iou(one.mask, gt) for one in ours], recorded["ious"], IOU_TOLERANCE)
    for stem, one in (("simfinal", ours[-1:]), ("simprob11", ours[:EARLIER][-1:])):
        for array, step in subsampled(fixture, f"{stem}_{name}") if one else ():
            map_ = one[0].probability[::step, ::step]
            yield close(fixture.name, f"{name}:{array}", map_, fixture.array(array) / UINT16, STUB_TOLERANCE)
