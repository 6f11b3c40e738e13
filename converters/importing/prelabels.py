"""Labels that exist already as regions of a chip: polygons of vector files, and class rasters, in any CRS.

Pixels decide, as in training and evaluation: a pixel belongs to a polygon when its centre lies inside, and an object of a class raster is
one 8-connected component of a class in the chip. What does not become a region is counted, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.chips import PixelWindow
from converters.importing.class_raster import ClassRaster
from converters.importing.fingerprint import digest
from converters.importing.vector_labels import VectorLabels
from converters.label_config import ControlTag
from converters.label_studio import brush_region, polygon_region
from converters.labelled_objects import LabelledObject
from converters.vectorise import polygons

BRUSH, POLYGON = "BrushLabels", "PolygonLabels"


@dataclass(frozen=True, slots=True)
class TargetTag:
    """The control tag that pre-annotations belong to. type: BRUSH or POLYGON. classes: the labels it has, in its order."""

    type: str
    name: str
    to_name: str
    classes: tuple[str, ...]

    @classmethod
    def of(cls, tag: ControlTag) -> TargetTag:
        """The same tag of a labelling interface."""
        return cls(tag.type, tag.name, tag.to_name, tuple(tag.labels))


@dataclass(frozen=True, slots=True)
class RasterLabels:
    """The labels of one raster.

    sources: what has objects on it. names: class in the labels -> label of the tag, for classes that are called otherwise.
    min_area: px; smaller objects are counted and left out.
    """

    sources: tuple[VectorLabels | ClassRaster, ...]
    tag: TargetTag
    names: tuple[tuple[str, str], ...]
    min_area: int

    @property
    def version(self) -> str:
        """The files, as the author of the pre-annotation."""
        return f"labels: {', '.join(dict.fromkeys(name for source in self.sources for name in source.files))}"[:256]

    @property
    def state(self) -> list[Any]:
        """What changes when a file of labels, or what is made of it, does."""
        return [
            [source.state for source in self.sources],
            list(self.names),
            self.min_area,
            self.tag.type,
            self.tag.name,
            self.tag.to_name,
            *self.tag.classes,
        ]

    def regions(self, window: PixelWindow) -> dict[str, Any]:
        """{"result": region items, "left_out": {reason: number}} of a window of the raster.

        Raises RasterError and TaskError for labels that cannot be read or laid over the raster.
        """
        result: list[dict[str, Any]] = []
        left_out: Counter[str] = Counter()
        for source in self.sources:
            for each in source.objects(window):
                label = label_of(each.class_name, self.tag.classes, self.names)
                if label is None:
                    left_out[f"the labelling interface has no class {each.class_name!r}"] += 1
                elif each.area < self.min_area:
                    left_out[f"smaller than {self.min_area} px in its chip"] += 1
                else:
                    result += self._items(each, label, f"{window}|{len(result)}", left_out)
        return {"result": result, "left_out": dict(left_out)}

    def _items(self, each: LabelledObject, label: str, seed: str, left_out: Counter[str]) -> list[dict[str, Any]]:
        names: dict[str, Any] = {"label": label, "from_name": self.tag.name, "to_name": self.tag.to_name}
        mask = each.mask == 1
        if self.tag.type == BRUSH:
            return [brush_region(mask, id=digest(seed, 10), **names)]
        parts = polygons(mask)
        if holes := sum(len(part.interiors) for part in parts):
            left_out["holes, which polygon regions cannot have"] += holes
        return [
            polygon_region(np.asarray(part.exterior.coords), each.window, id=digest([seed, number], 10), **names)
            for number, part in enumerate(parts)
        ]


def label_of(class_name: str, labels: Sequence[str], names: Sequence[tuple[str, str]]) -> str | None:
    """The label for a class: what `names` says, else the one spelt alike (case, underscores and blanks do not matter), else None."""
    renamed = dict(names).get(class_name)
    if renamed is not None:
        return renamed
    plain = _plain(class_name)
    return next((label for label in labels if _plain(label) == plain), None)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
