"""Parity of the predictor: a variant's clicks one by one, with the calls of the network and the RoIs recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.evaluation.parity import Check, Fixture, close, exact, skipped
from backend.inference.cfr import Cascade, CascadedSegmenter
from backend.inference.predictor import ClickPredictor, Network
from backend.inference.segmenter import Segmenter, State
from backend.inference.zoom_in import ZoomIn
from converters.frames import Click

# Recorded points are rounded to four decimals.
POINT_TOLERANCE = 1e-4
IMAGE_MEAN_TOLERANCE = 1e-5
ZOOM_SETTINGS = {"target_size", "skip_clicks", "expansion_ratio", "min_crop_size", "recompute_thresh_iou", "prob_thresh"}
PREDICTOR_SETTINGS = {"max_size": "longest_side", "net_clicks_limit": "clicks_limit"}
CASCADE_SETTINGS = {"cascade_step", "cascade_adaptive", "cascade_clicks"}
UINT16 = 65535.0


class Recorder:
    """A network that remembers what it was asked: one dictionary a call, see `described`."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.calls: list[dict[str, Any]] = []

    def __call__(self, x: Tensor, points: Tensor) -> Tensor:
        """The network's own answer."""
        self.calls.append(described(x, points))
        return self.net(x, points)


def described(x: Tensor, points: Tensor) -> dict[str, Any]:
    """A call of a network in the words of the fixtures' `net_calls`."""
    return {"shape": list(x.shape), "pts": points.tolist(), "in_mean": float(x[:, :3].mean()), "prev_mean": float(x[:, 3:].mean())}


def unsupported(variant: Mapping[str, Any]) -> str | None:
    """Why a variant cannot be run, None where it can."""
    unknown = set(variant.get("zoom_in") or {}) - ZOOM_SETTINGS
    unknown |= set(variant.get("predictor_params") or {}) - set(PREDICTOR_SETTINGS) - CASCADE_SETTINGS
    return f"the settings {', '.join(sorted(unknown))} are not supported yet" if unknown else None


def predictor(net: Network, variant: Mapping[str, Any]) -> Segmenter:
    """The predictor with a variant's settings, the original's stale RoI and nested cascades included."""
    zoom_in = variant.get("zoom_in")
    if zoom_in is not None:
        settings = dict(zoom_in)
        if isinstance(settings.get("target_size"), list):
            height, width = settings["target_size"]
            settings["target_size"] = (height, width)
        zoom_in = ZoomIn(**settings, keep_stale_roi=True)
    params = variant.get("predictor_params") or {}
    options = {PREDICTOR_SETTINGS[key]: value for key, value in params.items() if key in PREDICTOR_SETTINGS}
    plain = ClickPredictor(net=net, name="parity", version="parity", zoom_in=zoom_in, flip=bool(variant.get("with_flip")), **options)
    steps, clicks = int(params.get("cascade_step") or 0), int(params.get("cascade_clicks", 1))
    if steps < 1 or clicks < 1:
        return plain
    return CascadedSegmenter(plain, Cascade(steps - 1, bool(params.get("cascade_adaptive")), clicks), as_published=True)


def as_clicks(recorded: Sequence[Sequence[float]]) -> list[Click]:
    """(is_positive, row, col) in pixel indices to clicks in edge-based native px."""
    return [Click(row=row + 0.5, col=col + 0.5, positive=bool(positive)) for positive, row, col in recorded]


def roi_of(state: State) -> list[int] | None:
    """The RoI in use after a click, as the fixtures write it."""
    roi = state.memory.roi
    return None if roi is None else [roi.row_min, roi.row_max, roi.col_min, roi.col_max]


def check_variants(fixture: Fixture, net: Network, tolerance: float) -> Iterator[Check]:
    """Trace, RoIs and probability maps of every variant of a fixture. tolerance: of the maps."""
    for name, variant in fixture.setting("variants").items():
        reason = unsupported(variant)
        if reason is not None:
            yield skipped(fixture.name, f"variant {name}: {reason}")
            continue
        recorder = Recorder(net)
        states = states_after_clicks(predictor(recorder, variant), fixture.array("image"), as_clicks(fixture.setting("clicks")))
        if variant.get("net_calls") is not None:
            yield compare_trace(fixture.name, f"{name}:trace", recorder.calls, variant["net_calls"], tolerance)
        if variant.get("object_roi_after_click") is not None:
            yield compare_lists(fixture.name, f"{name}:roi", [roi_of(state) for state in states], variant["object_roi_after_click"])
        maps = np.stack([state.probability for state in states])
        for array, step in subsampled(fixture, f"prob_{name}"):
            yield close(fixture.name, f"{name}:{array}", maps[:, ::step, ::step], fixture.array(array) / UINT16, tolerance)


def subsampled(fixture: Fixture, stem: str) -> list[tuple[str, int]]:
    """The arrays named `stem` or `stem`_sN, and N (1 without)."""
    found = [(name, re.fullmatch(rf"{re.escape(stem)}(?:_s(\d+))?", name)) for name in fixture.arrays or ()]
    return [(name, int(match[1] or 1)) for name, match in found if match]


def compare_trace(
    fixture: str, stage: str, ours: Sequence[Mapping[str, Any]], recorded: Sequence[Mapping[str, Any]], tolerance: float
) -> Check:
    """Counts the calls that differ in shape, points or the means of their input; a call too many or too few counts as well."""
    wrong = [
        f"call {number}: {what}"
        for number, pair in enumerate(zip(ours, recorded, strict=False), 1)
        if (what := _difference(*pair, tolerance))
    ]
    if len(ours) != len(recorded):
        wrong.append(f"{len(ours)} calls, recorded {len(recorded)}")
    return exact(fixture, stage, len(wrong), "; ".join(wrong[:1]))


def _difference(ours: Mapping[str, Any], recorded: Mapping[str, Any], tolerance: float) -> str | None:
    if ours["shape"] != recorded["shape"]:
        return f"input shape {ours['shape']}, recorded {recorded['shape']}"
    found, expected = np.asarray(ours["pts"]), np.asarray(recorded["pts"])
    if found.shape != expected.shape or np.abs(found - expected).max(initial=0) > POINT_TOLERANCE:
        return f"points {found.tolist()}, recorded {expected.tolist()}"
    for key, limit in (("in_mean", IMAGE_MEAN_TOLERANCE), ("prev_mean", tolerance)):
        if not abs(ours[key] - recorded[key]) <= limit:
            return f"{key} {ours[key]}, recorded {recorded[key]}"
    return None


def compare_lists(fixture: str, stage: str, ours: Sequence[Any], recorded: Sequence[Any]) -> Check:
    """Counts the places where two lists differ; the difference of their lengths counts as well."""
    wrong = [
        f"number {place}: {found}, recorded {expected}"
        for place, (found, expected) in enumerate(zip(ours, recorded, strict=False), 1)
        if found != expected
    ]
    missing = abs(len(ours) - len(recorded))
    return exact(fixture, stage, len(wrong) + missing, (wrong or [f"{len(ours)} entries, recorded {len(recorded)}"])[0])


def states_after_clicks(segmenter: Segmenter, image: NDArray[np.uint8], clicks: Sequence[Click]) -> list[State]:
    """The state after each click."""
    encoding = segmenter.encode(image)
    states = [segmenter.start(encoding)]
    for count in range(1, len(clicks) + 1):
        states.append(segmenter.step(encoding, clicks[:count], states[-1]))
    return states[1:]
