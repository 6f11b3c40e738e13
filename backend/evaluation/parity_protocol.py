"""Parity of the evaluation protocol: the robot's next clicks, and clicks as maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.evaluation.parity import Check, Fixture, close, exact, skipped
from backend.inference.click_maps import disk_maps, distance_maps, rounded_disk_maps
from backend.inference.next_click import next_click

MAP_SIZE = (40, 48)
"""(height, width) of the recorded maps where no distance map beside them says otherwise."""
DISTANCE_TOLERANCE = 1e-5
"""Of tanh in 0..1: rounding alone."""

_RADIUS = r"(\d+(?:\.\d+)?)"
DISKS: dict[str, Callable[[Tensor, tuple[int, int], float], Tensor]] = {
    rf"dm_disk_r{_RADIUS}": disk_maps,
    rf"dm_cpu_mode_disk_r{_RADIUS}": rounded_disk_maps,
}
DISTANCES = rf"dm_dist_r{_RADIUS}"


def check(fixture: Fixture) -> Iterator[Check]:
    """Next clicks, disk maps, distance maps; what of them was recorded."""
    names = sorted(fixture.arrays or ())
    if "clicks" in names:
        yield _check_clicks(fixture)
    for name in names:
        distance = re.fullmatch(DISTANCES, name)
        if distance:
            yield _check_distances(fixture, name, float(distance[1]))
        for pattern, draw in DISKS.items():
            disk = re.fullmatch(pattern, name)
            if disk:
                yield _check_disks(fixture, name, draw, float(disk[1]))


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


def _check_distances(fixture: Fixture, name: str, radius: float) -> Check:
    """[B, 2, H, W] of 0..1."""
    recorded = fixture.array(name)
    ours = distance_maps(_points(fixture), (recorded.shape[-2], recorded.shape[-1]), radius)
    return close(fixture.name, f"protocol:{name}", ours.numpy(), recorded, DISTANCE_TOLERANCE)


def _check_disks(fixture: Fixture, name: str, draw: Callable[[Tensor, tuple[int, int], float], Tensor], radius: float) -> Check:
    """Hard disks, [B, 2, H, W] packed."""
    points, packed = _points(fixture), fixture.array(name)
    sizes = {
        (array.shape[2], array.shape[3])
        for other, array in (fixture.arrays or {}).items()
        if re.fullmatch(DISTANCES, other) and array.ndim == 4
    }
    fitting = [size for size in (*sorted(sizes), MAP_SIZE) if -(-len(points) * 2 * size[0] * size[1] // 8) == packed.size]
    if not fitting:
        return skipped(fixture.name, f"{name}: the size of its maps is not recorded, and is not {MAP_SIZE[0]} x {MAP_SIZE[1]}")
    ours = draw(points, fitting[0], radius).numpy() > 0
    wrong = int((ours != _unpacked(packed, ours.shape)).sum())
    return exact(fixture.name, f"protocol:{name}", wrong, f"{wrong} pixels differ")


def _points(fixture: Fixture) -> Tensor:
    return torch.tensor(fixture.array("dist_points"), dtype=torch.float32)


def _unpacked(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Raises ValueError where the bits are not those of the shape."""
    size = int(np.prod(shape))
    if packed.size != -(-size // 8):
        raise ValueError(f"{packed.size} packed bytes cannot be {shape} bits")
    return np.unpackbits(packed, count=size).reshape(shape).astype(bool)
