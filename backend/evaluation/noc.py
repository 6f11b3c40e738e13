"""What is kept of one object under one model, and the number of clicks it took (MODELS.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.evaluation.robot import MAX_CLICKS

TARGETS = (80, 85, 90, 95)
"""IoU targets in percent."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object under one model.

    model: as asked for; version: the segmenter's own. image, window (col_off, row_off, width, height), index: which object: the
    index-th of that patch. class_name, area (px): what it is. clicks: (positive, row, col) in pixels of the window. ious, met: after each,
    see `robot.Trajectory`. gsd: metres per px, None where unknown.
    seconds: by stage: read, encode (both carried by the first object of a visit to a patch), step, robot.
    """

    model: str
    version: str
    image: str
    window: tuple[int, int, int, int]
    index: int
    class_name: str
    area: int
    clicks: tuple[tuple[bool, int, int], ...]
    ious: tuple[float, ...]
    met: tuple[int, ...]
    gsd: float | None = None
    seconds: dict[str, float] = field(compare=False, default_factory=dict)

    @property
    def area_m2(self) -> float | None:
        """Area in square metres of the grid of pixels; None where `gsd` is unknown."""
        return None if self.gsd is None else self.area * self.gsd**2


def clicks_needed(ious: Sequence[float], target: float, max_clicks: int = MAX_CLICKS) -> int:
    """Number of the first click after which the IoU reaches `target` (0..1); `max_clicks` when none does."""
    return next((number for number, iou in enumerate(ious[:max_clicks], start=1) if iou >= target), max_clicks)
