"""The region that a click corrects: the one that is there already where an annotator's first click falls."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.byte_cache import ByteCache
from backend.drawn import ANNOTATION, Drawn, drawn
from converters import rle
from converters.chips import Chip
from converters.errors import RSISegError
from converters.exporting.region_shape import native_mask
from converters.frames import Click
from converters.label_studio_export import BrushShape, Region

logger = logging.getLogger(__name__)

AUTOSAVE_SECONDS = 10.0
"""Label Studio saves a draft 5 s after a change (measured). For twice that an own answer is taken to be what a region is by now."""
_ANSWERS = 256
_BOX_BYTES = 32 * 1024 * 1024
_BRUSH, _POLYGON = "brush", "polygon"


@dataclass(frozen=True, slots=True)
class Existing:
    """A region to be corrected.

    mask: HxW bool in native px of the window. shape: "brush" or "polygon", which it stays. source: see `drawn.Drawn`.
    clicks: that it took so far; 0 for a proposal and for one that was drawn by hand. proposed: whether it began as a proposal.
    """

    id: str
    mask: NDArray[np.bool_]
    shape: str
    source: str
    clicks: int
    proposed: bool = False

    @property
    def untouched(self) -> bool:
        """A proposal of which nobody has changed anything by a click."""
        return self.proposed and not self.clicks


@dataclass(frozen=True, slots=True)
class Place:
    """Where someone clicks. project, task: as Label Studio names them. image: the Image tag. label: the class of the click."""

    project: str
    task: str
    image: str
    label: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """first: the first click of the prompt that was answered. base: the region that it corrected, None for a new object."""

    first: Click
    base: Existing | None
    region: Existing
    at: float


class ExistingRegions:
    """Finds regions in what comes with a click, and remembers the own answers that no draft holds yet. Safe to share between threads.

    The memory is of this process alone; it bridges the seconds until Label Studio saves the draft. clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._boxes: ByteCache[tuple[bytes, int, int], tuple[NDArray[np.bool_], int, int]] = ByteCache(_BOX_BYTES)
        self._answers: OrderedDict[tuple[Place, str], _Answer] = OrderedDict()
        self._lock = Lock()

    def under(self, click: Click, place: Place, task: Mapping[str, Any], chip: Chip) -> Existing | None:
        """The region of the click's class that the click falls on, the smallest where there are several; None for a new object.

        click: the first of the prompt, in native px of the window. A prompt that goes on keeps what it began with. Otherwise a region that
        an answer of the last seconds corrected is taken as that answer left it, accepted or not: nothing tells. A negative click may fall
        on an answer that is in no draft yet, or on an annotation that was submitted: a new object does not begin with one. A positive click
        there may be the first one of somebody else's annotation, in which the region is not.
        """
        answers = self._recent(place)
        for answer in answers:
            if answer.first == click:
                return answer.base
        fresh = {answer.region.id: answer.region for answer in answers}
        found: list[Existing] = []
        for one in drawn(task, place.image):
            region = one.region
            if region.id in fresh:
                found.append(replace(fresh.pop(region.id), source=one.source))
            elif region.labels[0] == place.label and not (click.positive and one.source == ANNOTATION):
                found += self._covering(one, click, chip)
        if not click.positive:
            found += fresh.values()
        pixel = _pixel(click, chip)
        return min((one for one in found if one.mask[pixel]), key=lambda one: int(np.count_nonzero(one.mask)), default=None)

    def answered(self, place: Place, first: Click, base: Existing | None, region: Existing) -> None:
        """Remember what was answered to a prompt that began with the click `first`; base: the region that it corrected."""
        with self._lock:
            self._answers[place, region.id] = _Answer(first, base, region, self._clock())
            self._answers.move_to_end((place, region.id))
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)

    def _recent(self, place: Place) -> list[_Answer]:
        least = self._clock() - AUTOSAVE_SECONDS
        with self._lock:
            for key in [key for key, answer in self._answers.items() if answer.at < least]:
                del self._answers[key]
            return [answer for (where, _), answer in self._answers.items() if where == place]

    def _covering(self, one: Drawn, click: Click, chip: Chip) -> Iterator[Existing]:
        """The region, if it is one of this chip and holds the clicked pixel."""
        region = one.region
        try:
            if isinstance(region.shape, BrushShape) and not self._brush_holds(region.shape, click, chip):
                return
            mask = native_mask(region, chip)
        except (RSISegError, TypeError, ValueError) as error:  # the last two: of an RLE that holds no bytes
            logger.info("a region of a %s cannot be corrected by clicks: %s", one.source, error)
            return
        assert region.id is not None
        shape = _BRUSH if isinstance(region.shape, BrushShape) else _POLYGON
        yield Existing(region.id, mask, shape, one.source, clicks_so_far(region), bool(region.made_by.get("proposed")))

    def _brush_holds(self, shape: BrushShape, click: Click, chip: Chip) -> bool:
        """Whether a mask may hold the clicked pixel. Its box is decoded once: a draft comes again, with all its masks, at every click."""
        if shape.size != chip.window.size:
            return True  # to be brought to native px first
        key = (bytes(shape.rle), shape.size.width, shape.size.height)
        box = self._boxes.get(key)
        if box is None:
            box = rle.decode_box(shape.rle, shape.size)
            self._boxes.put(key, box, box[0].nbytes + len(key[0]))
        mask, left, top = box
        row, col = _pixel(click, chip)
        inside = 0 <= row - top < mask.shape[0] and 0 <= col - left < mask.shape[1]
        return inside and bool(mask[row - top, col - left])


def clicks_so_far(region: Region) -> int:
    """Clicks that a region took, those of earlier corrections included; 0 where nothing says so."""
    counts = (region.made_by.get("clicks"), region.made_by.get("clicks_before"))
    return sum(count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count > 0)


def _pixel(click: Click, chip: Chip) -> tuple[int, int]:
    size = chip.window.size
    return min(max(int(click.row), 0), size.height - 1), min(max(int(click.col), 0), size.width - 1)
