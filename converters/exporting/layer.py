"""From chosen regions to the objects of a survey, one raster after the other, so that memory follows the largest raster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely
from affine import Affine

from converters.chips import Chip
from converters.errors import RSISegError
from converters.exporting import attributes
from converters.exporting.account import Account
from converters.exporting.chosen import Choice, ChosenRegion, ChosenTask, chosen_tasks, too_small
from converters.exporting.drawn import Drawn, Sheet
from converters.exporting.place import place_of
from converters.exporting.region_shape import native_parts
from converters.exporting.shaping import Shaping, shaped
from converters.exporting.survey_object import SurveyObject
from converters.label_studio_export import AnnotatedTask

# Chips whose transforms place the raster's corners this close to each other, in px, are of one raster.
SAME_PLACE = 0.01


@dataclass(frozen=True, slots=True)
class LayerRequest:
    """What objects are wanted.

    tasks: a fresh pass over the export at each call. pixels: places are px of the raster. colours: class -> "#rrggbb".
    """

    tasks: Callable[[], Iterable[AnnotatedTask]]
    choice: Choice
    shaping: Shaping
    colours: Mapping[str, str]
    pixels: bool


def survey_objects(request: LayerRequest, account: Account) -> Iterator[SurveyObject]:
    """The objects of all rasters: by raster in the order of its first task, then by their first region's order in the export.

    A first pass counts the tasks of each raster; a raster is worked on when its last task has been read. Until then its regions wait as
    outlines. A region counts as exported, merged or left out in `account` when the raster's first object is yielded.
    """
    plain = replace(request.choice, min_area_m2=0.0)
    frames = _Frames()
    left: Counter[int] = Counter()
    for task in chosen_tasks(request.tasks(), plain, Account(), colours=request.colours):
        left[frames.number(task.chip)] += 1
    sheets: dict[int, Sheet] = {}
    turn = 0
    for task in chosen_tasks(request.tasks(), plain, account, colours=request.colours):
        number = frames.number(task.chip)
        sheet = sheets.setdefault(number, Sheet(frames.frame(number)))
        _draw(task, sheet, request, account)
        left[number] -= 1
        while turn in sheets and left[turn] == 0:
            yield from _finished(sheets.pop(turn), request, account)
            turn += 1


class _Frames:
    """The rasters of an export by number. A raster whose tasks place it at different positions counts as several."""

    def __init__(self) -> None:
        self._frames: list[Chip] = []
        self._of: dict[tuple[object, ...], list[int]] = {}

    def number(self, chip: Chip) -> int:
        candidates = self._of.setdefault((chip.raster, chip.crs, chip.native_size), [])
        for number in candidates:
            if _same_place(self._frames[number], chip):
                return number
        candidates.append(len(self._frames))
        self._frames.append(chip)
        return candidates[-1]

    def frame(self, number: int) -> Chip:
        return self._frames[number]


def _same_place(frame: Chip, chip: Chip) -> bool:
    if frame.transform is None or chip.transform is None:
        return frame.transform is chip.transform
    size = frame.native_size
    first, second = (one.transform @ Affine.translation(-one.window.col_off, -one.window.row_off) for one in (frame, chip))
    both = ~first @ second
    corners = ((0, 0), (size.width, 0), (0, size.height))
    return all(np.hypot(*np.subtract(both @ corner, corner)) < SAME_PLACE for corner in corners)


def _draw(task: ChosenTask, sheet: Sheet, request: LayerRequest, account: Account) -> None:
    """Puts the task's regions onto the sheet of its raster, as outlines in px of the whole raster."""
    for annotator in task.annotators:
        sheet.windows.setdefault(_lane(annotator, request), set()).add(task.chip.window)
    if not task.regions:
        return
    try:
        place_of(task.chip, pixels=request.pixels)
    except RSISegError as error:
        account.unplaced(task.position, str(error))
        for region in task.regions:
            account.left_out(region.name, str(error))
        return
    for region in task.regions:
        try:
            parts, notes = native_parts(region.region, region.chip)
        except RSISegError as error:
            account.left_out(region.name, str(error))
            continue
        for note in notes:
            account.note(region.name, note)
        sheet.drawn.append(_drawn(region, parts, request))


def _drawn(region: ChosenRegion, parts: list[shapely.Polygon], request: LayerRequest) -> Drawn:
    offset = np.array((region.chip.window.col_off, region.chip.window.row_off))
    return Drawn(
        name=region.name,
        class_name=region.class_name,
        colour=region.colour,
        chip=region.chip,
        lane=_lane(region.annotator, request),
        parts=tuple(shapely.transform(part, lambda corners: corners + offset) for part in parts),
        attributes=attributes.of_region(region),
    )


def _lane(annotator: int | str | None, request: LayerRequest) -> int | str | None:
    """Several people's answers to one chip are several layers: they are not cut out of each other, nor joined."""
    return annotator if request.choice.which == "all" else None


def _finished(sheet: Sheet, request: LayerRequest, account: Account) -> Iterator[SurveyObject]:
    """The objects of one raster, measured; smaller ones than wanted are left out."""
    for one in shaped(sheet, request.shaping, account, pixels=request.pixels):
        area, method = one.area(pixels=request.pixels)
        if area is not None and area < request.choice.min_area_m2:
            for name in one.sources:
                account.left_out(name, too_small(area, request.choice))
            continue
        shares = [None if area is None else area * share for share in one.shares]
        account.exported(one.sources[0], one.class_name, shares[0])
        for name, share in zip(one.sources[1:], shares[1:], strict=True):
            account.merged(name, one.sources[0], one.class_name, share)
        measured = {"area_m2": area, "area_method": method}
        if request.pixels:
            measured |= {"raster": one.chip.raster, "area_px": round(sum(part.area for part in one.parts), 6)}
        yield replace(one, attributes={**one.attributes, **measured})
