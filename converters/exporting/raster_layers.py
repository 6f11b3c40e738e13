"""The objects of an export raster by raster, with what files of whole rasters need: class codes, grids, and names that do not clash."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from converters.chips import Chip
from converters.exporting.account import Account
from converters.exporting.chosen import chosen_tasks
from converters.exporting.class_codes import ClassCodes
from converters.exporting.class_raster import RasterGrid
from converters.exporting.layer import LayerRequest, survey_objects
from converters.exporting.raster_painter import RasterPainter
from converters.exporting.survey_object import SurveyObject

if TYPE_CHECKING:
    from converters.exporting.formats import Request


@dataclass(frozen=True, slots=True)
class RasterLayer:
    """One raster with objects. frame: a chip of it, which places it. stem: of its files, unlike any other raster's in the export."""

    frame: Chip
    stem: str
    objects: tuple[SurveyObject, ...]

    @property
    def grid(self) -> RasterGrid:
        """The raster's own grid."""
        return RasterGrid.of(self.frame)

    def painter(self, classes: ClassCodes) -> RasterPainter:
        """Paints the objects, later ones on top of earlier ones."""
        return RasterPainter((one.parts, classes.code(one.class_name)) for one in self.objects)


def class_codes(request: Request, colours: Mapping[str, str]) -> ClassCodes:
    """The codes of all classes of the export, see `ClassCodes.of`; reads it once, without decoding anything."""
    tasks = chosen_tasks(request.tasks(), request.choice, Account())
    return ClassCodes.of((region.class_name for task in tasks for region in task.regions), colours)


def raster_layers(
    request: Request, stem: Callable[[str], str] | None = None, *, pixels: bool = True, exact: bool = False
) -> Iterator[RasterLayer]:
    """The rasters that have objects, in the order of their first task, one in memory at a time.

    stem: of a raster's address, its file's own when None. pixels: objects are in px of the raster, so a raster needs no georeference;
    without it, objects that have no place on the map are left out. exact: outlines are neither simplified nor squared, whatever was asked.
    """
    shaping = replace(request.shaping, simplify_m=0.0, right_angles=frozenset()) if exact else request.shaping
    layer = LayerRequest(request.tasks, request.choice, shaping, request.colours, pixels=pixels)
    taken: set[str] = set()
    for frame, objects in itertools.groupby(survey_objects(layer, request.account), key=lambda one: one.frame):
        name = _unique((stem or plain_stem)(frame.raster), frame, taken)
        yield RasterLayer(frame, name, tuple(objects))


def plain_stem(raster: str) -> str:
    """The raster's file name without its ending, plain characters only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(raster).stem)[:80] or "raster"


def _unique(stem: str, frame: Chip, taken: set[str]) -> str:
    """The stem; for a second raster of the name with a hash of its address, and a number for one that lies at several places."""
    name = stem if stem not in taken else f"{stem}-{hashlib.sha256(frame.raster.encode()).hexdigest()[:8]}"
    number = 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
