"""Parity of the predictor's logic alone: an analytic network in place of a trained one, and a robot that clicks with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.evaluation.parity import STUB_TOLERANCE, Check, Fixture, close
from backend.evaluation.parity_predictor import (
    UINT16,
    Recorder,
    as_clicks,
    check_variants,
    compare_lists,
    predictor,
    roi_of,
    subsampled,
    unsupported,
)
from backend.inference.crop import resize
from backend.inference.next_click import next_click

THRESHOLD = 0.49
# A pixel on the threshold may fall on either side; one pixel of these small objects changes the IoU by some 1e-4.
IOU_TOLERANCE = 1e-3


def stub_network(x: Tensor, points: Tensor) -> Tensor:
    """The stub of the fixtures' README: x [B, 4, H, W], points [B, 2n, 3] -> logits [B, 1, H // 2, W // 2]."""
    return resize(stub_logits(x, points), (x.shape[2] // 2, x.shape[3] // 2))


def stub_logits(x: Tensor, points: Tensor) -> Tensor:
    """The same at full size: colour, bumps round the clicks, and the previous map, added."""
    return 10 * warmth(x) + 4 * click_bumps(points, (x.shape[2], x.shape[3])) + 2 * (x[:, 3:4] - 0.5)


def warmth(x: Tensor) -> Tensor:
    """Red over blue, [B, C, H, W] -> [B, 1, H, W]."""
    return x[:, 0:1] - x[:, 2:3] - 0.10


def click_bumps(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Gaussian bumps round the clicks [B, 2n, 3], positive minus negative: [B, 1, *size]."""
    height, width = size
    spread = 0.12 * min(height, width)
    row, col = points[..., 0, None, None], points[..., 1, None, None]  # (B, 2n, 1, 1)
    squared = (torch.arange(height).view(1, 1, -1, 1) - row) ** 2 + (torch.arange(width).view(1, 1, 1, -1) - col) ** 2
    bumps = torch.exp(-squared / (2 * spread * spread)) * (torch.maximum(row, col) >= 0)
    positive, negative = (half.sum(dim=1, keepdim=True) for half in bumps.chunk(2, dim=1))
    return positive - negative


def iou(mask: NDArray[np.bool_], gt: NDArray[np.int8]) -> float:
    """Overlap with the object (gt 1) over the union, where gt is not -1."""
    return float((mask & (gt == 1)).sum() / max(1, ((mask & (gt != -1)) | (gt == 1)).sum()))


def check(fixture: Fixture) -> Iterator[Check]:
    """Every variant with the recorded clicks, then with the robot's where a simulation was recorded."""
    yield from check_variants(fixture, stub_network, STUB_TOLERANCE)
    for name, variant in fixture.setting("variants").items():
        if "sim" in variant and unsupported(variant) is None:
            yield from _check_simulation(fixture, name, variant)


def _check_simulation(fixture: Fixture, name: str, variant: Mapping[str, Any]) -> Iterator[Check]:
    """The robot of MODELS.md section 7 without early stop: its clicks, the IoU after each, the calls spent, the RoIs, the last map."""
    recorded = variant["sim"]
    gt = fixture.array("gt").astype(np.int8)
    recorder = Recorder(stub_network)
    segmenter = predictor(recorder, variant)
    encoding = segmenter.encode(fixture.array("image"))
    state = segmenter.start(encoding)
    not_clicked = np.ones(gt.shape, bool)
    clicks: list[list[int]] = []
    ious, calls, rois = [], [], []
    for _ in recorded["clicks"]:
        positive, row, col = next_click(gt, state.probability > THRESHOLD, not_clicked)
        not_clicked[row, col] = False
        clicks.append([int(positive), row, col])
        state = segmenter.step(encoding, as_clicks(clicks), state)
        mask = state.probability > THRESHOLD
        ious.append(iou(mask, gt))
        calls.append(len(recorder.calls))
        rois.append(roi_of(state))
    yield compare_lists(fixture.name, f"{name}:sim_clicks", clicks, recorded["clicks"])
    yield close(fixture.name, f"{name}:sim_ious", ious, recorded["ious"], IOU_TOLERANCE)
    yield compare_lists(fixture.name, f"{name}:sim_calls", calls, recorded["cum_net_calls"])
    yield compare_lists(fixture.name, f"{name}:sim_roi", rois, recorded["object_roi"])
    for array, step in subsampled(fixture, f"simfinal_{name}"):
        yield close(fixture.name, f"{name}:{array}", state.probability[::step, ::step], fixture.array(array) / UINT16, STUB_TOLERANCE)
