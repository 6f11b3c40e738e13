"""Clicks as images: the disk encoding that every published network of the RITM family reads, and its two published alternatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PADDING = (-1.0, -1.0, -1.0)
FAR = 1e6
"""Squared distance, in squared radii, to a click where there is none."""


def points_tensor(clicks: Sequence[Sequence[tuple[float, float, bool]]], *, limit: int | None = None) -> Tensor:
    """Click lists of a batch as one tensor [B, 2n, 3] of (row, col, order), float32, padded with (-1, -1, -1).

    clicks: per sample, (row, col, positive) in pixel indices of the network input, in click order.
    limit: only the first `limit` clicks of each list are used.
    The first n rows are positive, the last n negative; n = max(1, most positives, most negatives) over the batch. MODELS.md 1.3.
    """
    rows: list[tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]]] = []
    for sample in clicks:
        signed: tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]] = ([], [])
        for order, (row, col, positive) in enumerate(sample[:limit]):
            signed[0 if positive else 1].append((row, col, float(order)))
        rows.append(signed)
    n = max([1, *(len(one) for signed in rows for one in signed)])
    padded = [[*one, *([PADDING] * (n - len(one)))] for signed in rows for one in signed]
    return torch.tensor(padded, dtype=torch.float32).reshape(len(rows), 2 * n, 3)


def disk_maps(points: Tensor, size: tuple[int, int], radius: float) -> Tensor:
    """Hard disks around the clicks: float32 [B, 2, H, W] of 0 and 1, channel 0 positive, channel 1 negative.

    points: [B, 2n, 3] as `points_tensor` makes them; centres stay fractional. A point counts unless both row and col are negative.
    size: (H, W) of the network input. radius: in its pixels. MODELS.md 1.4.
    """
    squared, valid = _squared_distances(points, size)
    inside = (squared <= radius * radius) & valid[..., None, None]
    return _by_sign(inside).any(dim=2).to(points.dtype)


def rounded_disk_maps(points: Tensor, size: tuple[int, int], radius: float) -> Tensor:
    """As `disk_maps` with the centres rounded to whole pixels, halves to the even one: the original's `cpu_dist_maps`.

    No published network reads these (MODELS.md, gotcha 5); they are here to be compared. A centre rounded out of the image is cut off.
    """
    valid = torch.maximum(points[..., :1], points[..., 1:2]) >= 0  # of the click as it was: -0.3 rounds to 0
    return disk_maps(torch.cat([torch.where(valid, points[..., :2].round(), points[..., :2]), points[..., 2:]], dim=2), size, radius)


def distance_maps(points: Tensor, size: tuple[int, int], radius: float) -> Tensor:
    """How far every pixel is from the nearest click of a sign: float32 [B, 2, H, W], tanh(2 d), d in units of `radius`; 1 without a click.

    points, size: as for `disk_maps`. No published network reads these. MODELS.md 1.4.
    """
    squared, valid = _squared_distances(points, size, unit=radius)
    return _by_sign(squared.masked_fill(~valid[..., None, None], FAR)).amin(dim=2).sqrt().mul(2).tanh()


def _squared_distances(points: Tensor, size: tuple[int, int], unit: float = 1.0) -> tuple[Tensor, Tensor]:
    """(squared distance of every pixel to every click in squared units [B, 2n, H, W], whether it is a click at all [B, 2n])."""
    row, col = points[..., 0], points[..., 1]  # (B, 2n)
    rows, cols = (torch.arange(length, dtype=points.dtype, device=points.device) for length in size)
    down, right = ((rows - row[..., None]) / unit).square(), ((cols - col[..., None]) / unit).square()
    return down[..., :, None] + right[..., None, :], torch.maximum(row, col) >= 0


def _by_sign(maps: Tensor) -> Tensor:
    """[B, 2n, H, W] of all clicks as [B, 2, n, H, W]: positive, negative."""
    batch, slots, height, width = maps.shape
    return maps.view(batch, 2, slots // 2, height, width)
