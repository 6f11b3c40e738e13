"""What happens to the regions of a raster before they are written: cores, overlaps, seams, simplification. Stored annotations stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from converters.exporting.account import Account
from converters.exporting.drawn import Sheet
from converters.exporting.survey_object import SurveyObject


@dataclass(frozen=True, slots=True)
class Shaping:
    """How regions become objects."""


def shaped(sheet: Sheet, shaping: Shaping, account: Account) -> Iterator[SurveyObject]:
    """The objects of one raster, by the order of their first region."""
    for one in sheet.drawn:
        yield SurveyObject(
            class_name=one.class_name,
            colour=one.colour,
            chip=one.chip,
            frame=sheet.frame,
            sources=(one.name,),
            parts=one.parts,
            attributes=one.attributes,
        )
