"""What happens to the regions of a raster before they are written: cores, overlaps, seams, simplification. Stored annotations stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from converters.errors import ExportError
from converters.exporting import attributes
from converters.exporting.account import Account
from converters.exporting.cores import cores
from converters.exporting.coverage import simplified
from converters.exporting.deviation import largest_deviation_m
from converters.exporting.drawn import Drawn, Sheet
from converters.exporting.ground import GroundAxes
from converters.exporting.overlaps import OVERLAPS, settled
from converters.exporting.regular import with_right_angles
from converters.exporting.seams import Joined, cut_to_cores, join, swallow
from converters.exporting.survey_object import SurveyObject

SEAMS = ("join", "keep")


@dataclass(frozen=True, slots=True)
class Shaping:
    """How regions become objects.

    seams: "join": each chip decides in its core, and what meets across a border is one object; "keep": each region as it was drawn.
    overlaps, priority: see `overlaps.settled`. simplify_m: tolerance in metres, 0: every vertex stays. right_angles: classes to be squared.
    Raises ExportError for settings that do not fit together.
    """

    seams: str = "join"
    overlaps: str = "keep"
    priority: tuple[str, ...] = ()
    simplify_m: float = 0.0
    right_angles: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.seams not in SEAMS:
            raise ExportError(f"{self.seams!r} is no way to treat seams; expected one of {', '.join(SEAMS)}")
        if self.overlaps not in OVERLAPS:
            raise ExportError(f"{self.overlaps!r} is no rule for overlaps; expected one of {', '.join(OVERLAPS)}")
        if (self.overlaps == "priority") != bool(self.priority):
            raise ExportError("--overlaps priority and --priority CLASS,CLASS,... belong together; expected both or neither")
        if self.overlaps == "keep" and (self.simplify_m > 0 or self.right_angles):
            raise ExportError(
                "neighbours can only share their edges where regions do not overlap; expected --overlaps later or priority beside "
                "--simplify and --right-angles"
            )


def shaped(sheet: Sheet, shaping: Shaping, account: Account, *, pixels: bool) -> Iterator[SurveyObject]:
    """The objects of one raster, by the order of their first region. pixels: the raster's place on the map does not matter."""
    found: list[SurveyObject] = []
    for lane in dict.fromkeys(one.lane for one in sheet.drawn):
        drawn = [one for one in sheet.drawn if one.lane == lane]
        objects = _joined(drawn, sheet, lane, shaping, account)
        if shaping.simplify_m > 0 or shaping.right_angles:
            axes = GroundAxes.of(sheet.frame, pixels=pixels)
            drawn_as = [one.parts for one in objects]
            objects = _drawn_simpler(objects, shaping, axes)
            off = largest_deviation_m(drawn_as, [one.parts for one in objects], axes)
            account.largest("largest_deviation_m", round(off, 3))
        found += [_object(one, sheet) for one in objects]
    yield from sorted(found, key=lambda one: one.sources[0].order)


def _drawn_simpler(objects: Sequence[Joined], shaping: Shaping, axes: GroundAxes) -> list[Joined]:
    parts = [one.parts for one in objects]
    if shaping.simplify_m > 0:
        parts = simplified(parts, shaping.simplify_m, axes)
    if shaping.right_angles:
        classes = [one.pieces[0].class_name for one in objects]
        parts = with_right_angles(parts, classes, shaping.right_angles, shaping.simplify_m, axes)
    return [replace(one, parts=simpler) for one, simpler in zip(objects, parts, strict=True)]


def _joined(drawn: Sequence[Drawn], sheet: Sheet, lane: int | str | None, shaping: Shaping, account: Account) -> list[Joined]:
    if shaping.seams == "keep":
        return [Joined((one,), one.parts) for one in settled(drawn, shaping.overlaps, shaping.priority, account)]
    areas = cores(sheet.windows[lane])
    inside, outside = cut_to_cores(drawn, areas)
    pieces = settled(inside, shaping.overlaps, shaping.priority, account)
    return swallow(join(pieces, areas), outside, account)


def _object(joined: Joined, sheet: Sheet) -> SurveyObject:
    first, *others = joined.pieces
    areas = [sum(part.area for part in piece.parts) for piece in joined.pieces]
    return SurveyObject(
        class_name=first.class_name,
        colour=first.colour,
        chip=first.chip,
        frame=sheet.frame,
        sources=tuple(piece.name for piece in (*joined.pieces, *joined.swallowed)),
        shares=(*(area / sum(areas) for area in areas), *(0.0 for _ in joined.swallowed)),
        parts=joined.parts,
        attributes=attributes.merged([one.attributes for one in joined.pieces]) if others else first.attributes,
    )
