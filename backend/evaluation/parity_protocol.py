"""Parity of the evaluation protocol: the robot's next clicks, and clicks as disks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from backend.evaluation.parity import Check, Fixture, exact
from backend.inference.click_maps import disk_maps
from backend.inference.next_click import next_click


def check(fixture: Fixture) -> Iterator[Check]:
    """Next clicks and disk maps."""
    names = sorted(fixture.arrays or ())
    if "clicks" in names:
        yield _check_clicks(fixture)
    for name in names:
        match = re.fullmatch(r"dm_disk_r(\d+)", name)
        if match:
            yield _check_disks(fixture, name, float(match[1]))


def _check_clicks(fixture: Fixture) -> Check:
    """Successive clicks at one and the same prediction, so that places already clicked must be avoided."""
    gts, recorded = fixture.array("gts"), fixture.array("clicks")
    predictions = _unpacked(fixture.array("preds"), gts.shape)
    ours = np.zeros_like(recorded)
    for case, (gt, prediction) in enumerate(zip(gts, predictions, strict=True)):
        not_clicked = np.ones(gt.shape, bool)
        for number in range(recorded.shape[1]):
            ours[case, number] = next_click(gt, prediction, not_clicked)
            not_clicked[ours[case, number, 1], ours[case, number, 2]] = False
    wrong = np.argwhere((ours != recorded).any(axis=2))
    first = f"case and click {wrong[0].tolist()}: {ours[tuple(wrong[0])]}, recorded {recorded[tuple(wrong[0])]}" if len(wrong) else None
    return exact(fixture.name, "protocol:clicks", len(wrong), first)


def _check_disks(fixture: Fixture, name: str, radius: float) -> Check:
    """Hard disks, [B, 2, H, W] packed; their size is that of the distance maps beside them, 40 x 48 without."""
    points = torch.tensor(fixture.array("dist_points"))
    sizes = [array.shape[2:] for other, array in (fixture.arrays or {}).items() if other.startswith("dm_dist_") and array.ndim == 4]
    height, width = sizes[0] if sizes else (40, 48)
    ours = disk_maps(points, (height, width), radius).numpy() > 0
    recorded = _unpacked(fixture.array(name), ours.shape)
    return exact(fixture.name, f"protocol:{name}", int((ours != recorded).sum()), "pixels differ")


def _unpacked(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)
