"""Clicks as images: the disk encoding that every network of the RITM family reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PADDING = (-1.0, -1.0, -1.0)


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
    height, width = size
    batch, slots, _ = points.shape
    row, col = points[..., 0], points[..., 1]  # (B, 2n)
    rows = torch.arange(height, dtype=points.dtype, device=points.device)
    cols = torch.arange(width, dtype=points.dtype, device=points.device)
    squared = (rows - row[..., None]).square()[..., :, None] + (cols - col[..., None]).square()[..., None, :]  # (B, 2n, H, W)
    valid = torch.maximum(row, col) >= 0
    inside = (squared <= radius * radius) & valid[..., None, None]
    return inside.view(batch, 2, slots // 2, height, width).any(dim=2).to(points.dtype)
