"""Which of the user's labels belong to which raster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affine import Affine

from converters import isprs
from converters.errors import TaskError
from converters.importing.class_raster import ISPRS, ClassRaster
from converters.importing.prelabels import RasterLabels, TargetTag
from converters.importing.sources import EXTENSIONS
from converters.importing.vector_labels import VectorLabels
from converters.label_config import LabelConfig
from converters.labelled_folder import Classes, label_values
from converters.labelled_place import Place, place_of
from converters.labelled_vector_file import ENDINGS
from converters.raster_profile import RasterProfile
from converters.rasters import describe
from converters.remote_raster import RemoteRaster

_TAGS = ("BrushLabels", "PolygonLabels")


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """The labels of an import.

    files: vector files and class rasters. classes: what the values of class rasters mean, None for the ISPRS colours.
    attribute: the one of vector files that holds classes, None to look for it. names: class in the labels -> label, where they differ.
    min_area: px in a chip.
    """

    files: tuple[Path, ...]
    tag: TargetTag
    classes: Classes | None = None
    attribute: str | None = None
    names: tuple[tuple[str, str], ...] = ()
    min_area: int = 1

    def on(self, profile: RasterProfile) -> RasterLabels | None:
        """The labels of one raster; None where none belong to it.

        A file of the raster's name (or of its ISPRS tile) belongs to that raster alone; any other file to all rasters that it reaches.
        Raises TaskError and RasterError for labels that cannot be read or placed.
        """
        name = profile.info.path.name
        own = [file for file in self.files if _is_namesake(file, name)]
        vectors = [file for file in own if _is_vector(file)] or [file for file in self.files if _is_vector(file) and file not in own]
        rasters = [file for file in own if not _is_vector(file)] or [
            file for file in self.files if not _is_vector(file) and file not in own
        ]
        place = _place(profile)
        drawn = [
            VectorLabels(file, self.attribute, place) for file in vectors if profile.info.transform is not None or place.crs is not None
        ]
        burnt = [
            self._class_raster(file, place) for file in rasters if isinstance(profile.info.path, RemoteRaster) or not _same(file, profile)
        ]
        sources = tuple(source for source in (*drawn, *burnt) if source.reaches())
        return RasterLabels(sources, self.tag, self.names, self.min_area) if sources else None

    def _class_raster(self, file: Path, place: Place) -> ClassRaster:
        if self.classes is not None:
            return ClassRaster(file, self.classes, place)
        if len(describe(file).bands) < 3:
            raise TaskError(
                f"{file} holds class values without names{label_values(file.parent)}; expected their classes; give a classes.json "
                '({"classes": {name: value}}) with --label-classes'
            )
        return ClassRaster(file, ISPRS, place, snapped=True)


def label_files(sources: Sequence[Path]) -> tuple[Path, ...]:
    """The label files that paths stand for: files as they are, folders searched through. TaskError for a path without any."""
    found: dict[Path, None] = {}
    for source in sources:
        inside = sorted(path for path in source.rglob("*") if _is_label(path)) if source.is_dir() else [source]
        if not inside or not inside[0].exists():
            raise TaskError(f"{source} holds no labels; expected class rasters or {', '.join(ENDINGS)}; check the path")
        found.update(dict.fromkeys(path.resolve() for path in inside))
    return tuple(found)


def target_tag(config: LabelConfig) -> TargetTag:
    """The tag of a labelling interface that takes pre-annotations: its first BrushLabels, else its first PolygonLabels tag.

    Raises TaskError for an interface with neither.
    """
    for kind in _TAGS:
        for control in config.controls:
            if control.type == kind:
                return TargetTag.of(control)
    raise TaskError(f"the labelling interface has no {' or '.join(_TAGS)} tag; expected one, which pre-annotations belong to; add it")


def _is_vector(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


def _is_label(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (*ENDINGS, *EXTENSIONS)


def _is_namesake(file: Path, raster: str) -> bool:
    if file.stem == Path(raster).stem:
        return True
    label, image = isprs.parse_name(file), isprs.parse_name(raster)
    return label is not None and image is not None and (label.dataset, label.tile) == (image.dataset, image.tile)


def _same(file: Path, profile: RasterProfile) -> bool:
    return Path(str(profile.info.path)).resolve() == file


def _place(profile: RasterProfile) -> Place:
    """Of the raster as imported; its name may place a tile of a web map. Without either: its own pixels."""
    if profile.info.transform is not None:
        return Place(profile.info.transform, profile.crs, profile.info.size)
    return place_of(profile.info) or Place(Affine.identity(), None, profile.info.size)
