"""Parity of FocalClick's predictor: calls of the coarse network, the crops, the maps and the merged masks of a variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.evaluation.parity import Check, Fixture, close
from backend.evaluation.parity_predictor import UINT16, ZOOM_SETTINGS, as_clicks, compare_lists, compare_trace, described, subsampled
from backend.inference.crop import Roi
from backend.inference.focus_crop import FocusCrop
from backend.inference.focus_predictor import FOCAL_ZOOM, FocalMemory, FocalNetwork, FocalPredictor
from backend.inference.segmenter import State

MASK_TOLERANCE = 8
"""Pixels of masks that may differ: of those that lie on the threshold."""
# FocalClick crops without resizing and takes another RoI at every click, whatever is given here (MODELS.md 6.4).
IGNORED_ZOOM_SETTINGS = ("target_size", "recompute_thresh_iou")


class FocalRecorder:
    """A network of two passes that remembers what its coarse pass was asked, see `described`."""

    def __init__(self, net: FocalNetwork) -> None:
        self.net = net
        self.calls: list[dict[str, Any]] = []

    def coarse(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """The network's own answer."""
        self.calls.append(described(x, points))
        return self.net.coarse(x, points)

    def refine(self, image: Tensor, points: Tensor, features: Tensor, logits: Tensor, box: Tensor) -> Tensor:
        """The network's own answer."""
        return self.net.refine(image, points, features, logits, box)


@dataclass(frozen=True, slots=True)
class After:
    """What a click left. probability: the network's own map. mask: the answer, merged where a given mask is corrected.

    crops: of the fixtures' `rois`: global_roi and focus_roi (row, row, col, col; ends exclusive), object_roi (ends included) or None.
    """

    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    crops: dict[str, list[int] | None]

    @classmethod
    def of(cls, state: State, threshold: float) -> After:
        """From the state of a FocalPredictor."""
        memory: FocalMemory = state.memory
        size = (state.probability.shape[0], state.probability.shape[1])
        found, focus = memory.zoom.roi, memory.focus or Roi.whole(size)
        crops = {
            "global_roi": _edges(found or Roi.whole(size)),
            "focus_roi": _edges(focus),
            "object_roi": None if found is None else [found.row_min, found.row_max, found.col_min, found.col_max],
        }
        probability = state.probability if memory.unmerged is None else memory.unmerged
        return cls(probability, state.probability > threshold, crops)


def _edges(roi: Roi) -> list[int]:
    return [roi.row_min, roi.row_max + 1, roi.col_min, roi.col_max + 1]


def unsupported(variant: Mapping[str, Any]) -> str | None:
    """Why a variant cannot be run, None where it can."""
    unknown = {f"zoom_in.{name}" for name in set(variant.get("zoom_in") or {}) - ZOOM_SETTINGS}
    unknown |= {"with_flip"} if variant.get("with_flip") else set()
    unknown |= {"predictor_params"} if variant.get("predictor_params") else set()
    return f"the settings {', '.join(sorted(unknown))} are not supported yet" if unknown else None


def predictor(net: FocalNetwork, variant: Mapping[str, Any]) -> FocalPredictor:
    """The predictor with a variant's settings; a stale RoI and the merge of a click that changes nothing are the originals'."""
    size = int(variant.get("infer_size", 256))
    zoom = {key: value for key, value in (variant.get("zoom_in") or {}).items() if key not in IGNORED_ZOOM_SETTINGS}
    if "expansion_ratio" in variant:
        zoom["expansion_ratio"] = variant["expansion_ratio"]
    return FocalPredictor(
        net=net,
        name="parity",
        version="parity",
        threshold=0.5,
        zoom_in=replace(FOCAL_ZOOM, target_size=(size, size), keep_stale_roi=True, **zoom),
        focus=FocusCrop(float(variant.get("focus_crop_r", 1.4))),
        merge_unchanged=True,
    )


def initial_mask(fixture: Fixture, name: str, variant: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    """The mask that a variant corrects: it says so, or its name does."""
    wanted = variant.get("init_mask", name.startswith("init_mask"))
    return fixture.array("init_mask") > 0 if wanted else None


def click_through(
    segmenter: FocalPredictor, image: NDArray[np.uint8], clicks: Sequence[Sequence[float]], mask: NDArray[np.bool_] | None
) -> list[After]:
    """What every click leaves. clicks: (is_positive, row, col) in pixel indices."""
    encoding = segmenter.encode(image)
    state, placed, found = segmenter.start(encoding, mask), as_clicks(clicks), []
    for count in range(1, len(placed) + 1):
        state = segmenter.step(encoding, placed[:count], state)
        found.append(After.of(state, segmenter.threshold))
    return found


def compare_clicks(
    fixture: Fixture, name: str, ours: Sequence[After], calls: Sequence[Mapping[str, Any]], recorded: Mapping[str, Any], tolerance: float
) -> Iterator[Check]:
    """Calls, crops, sizes of masks, maps and masks of one variant. tolerance: of the maps.

    The originals may have stopped with an error on an empty focus crop: then only the clicks before it are compared, and our guard's
    answers from there on are nobody's.
    """
    rois = recorded["rois"]
    ours = ours[: len(rois)] if recorded.get("error") else ours
    if recorded.get("net_calls") is not None:
        yield compare_trace(fixture.name, f"{name}:trace", calls, recorded["net_calls"], tolerance)
    yield compare_rois(fixture.name, f"{name}:roi", ours, rois)
    yield compare_sizes(fixture.name, f"{name}:n_mask", ours, rois)
    if not ours:
        return
    maps, masks = np.stack([after.probability for after in ours]), np.stack([after.mask for after in ours])
    for array, step in subsampled(fixture, f"prob_{name}"):
        yield close(fixture.name, f"{name}:{array}", maps[:, ::step, ::step], fixture.array(array) / UINT16, tolerance)
    packed = f"masks_{name}"
    if packed in (fixture.arrays or ()):
        wrong = int((np.unpackbits(fixture.array(packed), count=masks.size).reshape(masks.shape) != masks).sum())
        yield Check(fixture.name, f"{name}:{packed}", float(wrong), float(MASK_TOLERANCE), wrong <= MASK_TOLERANCE)


def compare_rois(fixture: str, stage: str, ours: Sequence[After], recorded: Sequence[Mapping[str, Any]]) -> Check:
    """The crops that were recorded, number for number."""
    kinds = [[key for key in ("global_roi", "focus_roi", "object_roi") if key in one] for one in recorded]
    found = [{key: after.crops[key] for key in keys} for after, keys in zip(ours, kinds, strict=False)]
    wanted = [{key: one[key] for key in keys} for one, keys in zip(recorded, kinds, strict=True)]
    return compare_lists(fixture, stage, found + [{}] * (len(ours) - len(found)), wanted)


def compare_sizes(fixture: str, stage: str, ours: Sequence[After], recorded: Sequence[Mapping[str, Any]]) -> Check:
    """Pixels of the masks."""
    return close(fixture, stage, [int(after.mask.sum()) for after in ours], [one["n_mask"] for one in recorded], MASK_TOLERANCE)
