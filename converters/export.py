"""Annotations to georeferenced features: regions -> exact masks -> polygons on pixel edges -> map -> GeoJSON.

A pure function of the export: no server, no raster, no clock; the same input gives the same bytes. Every result item of every
annotation becomes a feature or is named in `Export.left_out`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from converters import geojson, palette, rle
from converters.chips import Chip
from converters.errors import ExportError, RSISegError
from converters.frames import Size, percent_to_native
from converters.json_values import is_number
from converters.label_studio import chip_from_task_data, has_chip
from converters.label_studio_export import AnnotatedTask, Annotation, BrushShape, NoRegion, Region, RingShape, regions
from converters.map_place import MapPlace
from converters.vectorise import polygons

WHICH = ("latest", "all", "ground-truth")
NO_CHIP = "the task was not made by `rsiseg import`: its data has no 'raster' and 'window', so its place is unknown; import the raster"
# A member of the file, so that nobody takes column and row for longitude and latitude.
PIXEL_MEMBERS = {
    "coordinates": "column and row in px of each feature's raster, from its upper-left outer corner, rows down; not a place on earth"
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one region, annotation or task (the narrower numbers are None then) that the user should know."""

    task: int | str | None
    annotation: int | str | None
    region: str | None
    type: str | None
    reason: str


@dataclass(slots=True)
class Export:
    """features: GeoJSON. left_out: what is not among them, and why. notes: what is, but not as it was found. tasks: how many were read."""

    features: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """The place of a chip in its raster, for exports without a georeference. m2: of one native px, None when not known."""

    col_off: int
    row_off: int
    m2: float | None

    def coordinates(self, ring: NDArray[np.float64]) -> NDArray[np.float64]:
        """Px of the whole raster, Nx2 (col, row), of a ring in native px of the window."""
        return ring + np.array([self.col_off, self.row_off])

    def area(self, parts: Iterable[Polygon]) -> tuple[float | None, str | None]:
        """Square metres from the ground sampling distance, and that word; None without one."""
        return (None, None) if self.m2 is None else (round(sum(part.area for part in parts) * self.m2, 6), "gsd")


def export(
    tasks: Iterable[AnnotatedTask], *, annotations: str = "latest", colours: Mapping[str, str] | None = None, pixels: bool = False
) -> Export:
    """Features of the chosen annotations, in the order of the tasks, one for each brush or polygon region.

    annotations: "latest" takes each task's latest annotation that was not cancelled, "ground-truth" its marked ones, "all" every one
    that was not cancelled. colours: class -> "#rrggbb"; other classes get `palette.colour`. pixels: write px of the raster instead of
    longitude and latitude. Raises ExportError when there are regions and none of them has a place.
    """
    done = Export()
    unplaced: list[str] = []
    for task in tasks:
        done.tasks += 1
        for annotation in _chosen(task, annotations, done):
            try:
                chip, place = _place(task, pixels=pixels)
            except RSISegError as error:
                unplaced += [str(error)] * bool(annotation.results)
                _leave_out_all(task, annotation, str(error), done)
                continue
            for region in regions(annotation):
                _add(task, annotation, region, chip, place, colours or {}, done)
    if not done.features and unplaced:
        raise ExportError(f"nothing can be placed, {len(unplaced)} annotations with regions have no place: {unplaced[0]}")
    return done


def report(done: Export, *, pixels: bool) -> dict[str, Any]:
    """What the export did, as JSON: counts, what was left out, notes."""
    return {
        "tasks": done.tasks,
        "features": len(done.features),
        "coordinates": "pixels" if pixels else "longitude, latitude (WGS 84)",
        "left_out": [_as_json(remark) for remark in done.left_out],
        "notes": [_as_json(remark) for remark in done.notes],
    }


def _as_json(remark: Remark) -> dict[str, Any]:
    return {name: getattr(remark, name) for name in ("task", "annotation", "region", "type", "reason")}


# --- which annotations


def _chosen(task: AnnotatedTask, which: str, done: Export) -> Iterator[Annotation]:
    if which not in WHICH:
        raise ExportError(f"{which!r} is no choice of annotations; expected one of {', '.join(WHICH)}")
    if not task.annotations:
        beside = f" ({task.drafts} drafts and {task.predictions} predictions are none)" if task.drafts or task.predictions else ""
        done.left_out.append(Remark(task.id, None, None, None, f"the task has no annotation{beside}; submit one in Label Studio"))
    latest = latest_annotation(task)
    for annotation in task.annotations:
        reason = None
        if annotation.cancelled:
            reason = "the annotation was skipped (cancelled) in Label Studio"
        elif which == "latest" and annotation is not latest:
            reason = f"the task has a later annotation ({latest.id if latest else None}); --annotations all exports both"
        elif which == "ground-truth" and not annotation.ground_truth:
            reason = "the annotation is not marked as ground truth; --annotations latest exports it if it is the latest"
        if reason is None:
            yield annotation
        else:
            done.left_out.append(Remark(task.id, annotation.id, None, None, f"{reason} ({len(annotation.results)} results)"))


def latest_annotation(task: AnnotatedTask) -> Annotation | None:
    """The annotation that was changed last among those not cancelled; None without one."""
    return max((one for one in task.annotations if not one.cancelled), key=_age, default=None)


def _age(annotation: Annotation) -> tuple[float, int]:
    try:
        changed = datetime.fromisoformat(annotation.changed)
    except ValueError:
        seconds = 0.0
    else:
        seconds = (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
    return seconds, annotation.id if isinstance(annotation.id, int) else 0


# --- one region


def _place(task: AnnotatedTask, *, pixels: bool) -> tuple[Chip, MapPlace | PixelPlace]:
    if not has_chip(task.data):
        raise ExportError(NO_CHIP)
    chip = chip_from_task_data(task.data)
    if not pixels:
        return chip, MapPlace.of(chip)
    return chip, PixelPlace(chip.window.col_off, chip.window.row_off, None if chip.gsd is None else chip.gsd**2)


def _leave_out_all(task: AnnotatedTask, annotation: Annotation, reason: str, done: Export) -> None:
    for region in regions(annotation):
        said = region.reason if isinstance(region, NoRegion) else reason
        done.left_out.append(Remark(task.id, annotation.id, region.id, region.type, said))


def _add(
    task: AnnotatedTask,
    annotation: Annotation,
    region: Region | NoRegion,
    chip: Chip,
    place: MapPlace | PixelPlace,
    colours: Mapping[str, str],
    done: Export,
) -> None:
    """The region's feature, or the reason why there is none."""
    if isinstance(region, NoRegion):
        done.left_out.append(Remark(task.id, annotation.id, region.id, region.type, region.reason))
        return
    try:
        parts, notes = _native_parts(region, chip)
        rings = [[place.coordinates(np.asarray(ring.coords)[:-1]) for ring in (part.exterior, *part.interiors)] for part in parts]
        shape = geojson.geometry(rings, degrees=not isinstance(place, PixelPlace))
    except RSISegError as error:
        done.left_out.append(Remark(task.id, annotation.id, region.id, region.type, str(error)))
        return
    name, *others = region.labels
    if others:
        notes.append(f"the region has the labels {', '.join(region.labels)}; the first is its class")
    done.notes += [Remark(task.id, annotation.id, region.id, region.type, note) for note in notes]
    area, measured = place.area(parts)
    properties = {
        "class": name,
        "colour": colours.get(name) or palette.colour(name),
        "task": task.id,
        "annotation": annotation.id,
        "annotator": annotation.annotator,
        "region": region.id,
        "score": region.score,
        **_made_by(region),
        "area_m2": area,
        "area_method": measured,
    }
    if isinstance(place, PixelPlace):
        properties |= {"raster": chip.raster, "area_px": round(sum(part.area for part in parts), 6)}
    done.features.append(geojson.feature(shape, properties))


def _made_by(region: Region) -> dict[str, Any]:
    """Model, version, clicks and refinement of a region that a model drew; all None for one drawn by hand."""
    said = region.made_by
    clicks = said.get("clicks")
    plain = {
        name: said[name] if isinstance(said.get(name), str) or is_number(said.get(name)) else None for name in ("model", "version", "cfr")
    }
    return {
        "model": plain["model"],
        "model_version": plain["version"],
        "clicks": len(clicks) if isinstance(clicks, list) else clicks if is_number(clicks) else None,
        "cfr": plain["cfr"],
    }


def _native_parts(region: Region, chip: Chip) -> tuple[list[Polygon], list[str]]:
    """The region's polygons in native px of the window, and notes. Raises TaskError or ExportError when there are none."""
    shown, window = region.shape.size, chip.window.size
    if shown is not None and not is_display_size(shown, chip):
        raise ExportError(
            f"it was drawn on a picture of {shown}, but the chip was imported as {window} at scale {chip.scale:g}; "
            "expected the same picture; import the raster again and draw on that"
        )
    if isinstance(region.shape, RingShape):
        return _ring_parts(region.shape, window)
    return _mask_parts(region.shape, window), []


def is_display_size(shown: Size, chip: Chip) -> bool:
    """Whether a picture of the size `shown` can be the chip's; the importer may round either way."""
    return abs(shown.width - chip.window.width * chip.scale) < 1 and abs(shown.height - chip.window.height * chip.scale) < 1


def _mask_parts(shape: BrushShape, window: Size) -> list[Polygon]:
    found = polygons(rle.decode(shape.rle, shape.size))
    if not found:
        raise ExportError("its mask is empty; expected at least one pixel; delete the region or draw it again")
    if shape.size == window:
        return found
    # The picture shows the whole window, whatever its own pixel count: its pixel edges are shares of the window.
    per_pixel = np.array([window.width / shape.size.width, window.height / shape.size.height])
    return [shapely.transform(part, lambda corners: corners * per_pixel) for part in found]


def _ring_parts(shape: RingShape, window: Size) -> tuple[list[Polygon], list[str]]:
    corners = [percent_to_native(point, window) for point in shape.points]
    ring = Polygon([(corner.col, corner.row) for corner in corners])
    if ring.is_valid and ring.area > 0:
        return [ring], []
    mended = shapely.get_parts(shapely.make_valid(ring, method="structure", keep_collapsed=False)).tolist()
    parts = [part for part in mended if isinstance(part, Polygon) and part.area > 0]
    if not parts:
        raise ExportError("its outline encloses no area; expected a polygon; draw it again")
    return parts, ["the outline crosses or touches itself; the area that it encloses was exported"]
