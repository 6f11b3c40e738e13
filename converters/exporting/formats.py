"""The formats of `rsiseg export`: a table, and what each writer is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from converters.exporting import (
    class_rasters,
    coco,
    geojson_file,
    geopackage,
    geoparquet,
    image_folder,
    mask_folder,
    overviews,
    qgis_project,
    stac,
    yolo,
)
from converters.exporting.account import Account
from converters.exporting.chosen import Choice, ChosenRegion, chosen_regions
from converters.exporting.layer import LayerRequest, survey_objects
from converters.exporting.shaping import Shaping
from converters.exporting.survey_object import SurveyObject
from converters.label_studio_export import AnnotatedTask


@dataclass(frozen=True, slots=True)
class Request:
    """What a format is asked to write.

    tasks: a fresh pass over the export at each call. out: file or folder to make, a temporary name beside the final one.
    colours: class -> "#rrggbb", from the labelling interface. options: those of single formats, by the name of the command's option.
    pixels: vector formats write px of the raster. progress: wraps a pass over the tasks.
    """

    tasks: Callable[[], Iterable[AnnotatedTask]]
    out: Path
    account: Account = field(default_factory=Account)
    choice: Choice = field(default_factory=Choice)
    shaping: Shaping = field(default_factory=Shaping)
    colours: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    pixels: bool = False

    def regions(self) -> Iterator[ChosenRegion]:
        """A fresh lazy pass over the chosen regions, chip by chip; seams and overlaps stay as they were drawn."""
        return chosen_regions(self.tasks(), self.choice, self.account, colours=self.colours)

    def objects(self) -> Iterator[SurveyObject]:
        """A fresh lazy pass over the objects: overlaps settled, seams joined, simplified, as asked."""
        return survey_objects(LayerRequest(self.tasks, self.choice, self.shaping, self.colours, self.pixels), self.account)


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    write: makes `request.out` or raises; it tells `request.account` about every region that it could not use after all.
    coordinates: of its outlines on the map; None for formats of pictures.
    """

    name: str
    writes: Literal["file", "folder"]
    write: Callable[[Request], None]
    help: str
    coordinates: str | None = None


DEGREES = "longitude, latitude (WGS 84)"
OWN_CRS = "the rasters' CRS"

FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("geojson", "file", geojson_file.write, "RFC 7946, longitude and latitude; with --pixels, px of the raster", DEGREES),
        Format("gpkg", "file", geopackage.write, "GeoPackage, a layer for each class, in the rasters' CRS, with styles for QGIS", OWN_CRS),
        Format("qgis", "folder", qgis_project.write, "that GeoPackage, and a QGIS project with its layers over their rasters", OWN_CRS),
        Format("geoparquet", "file", geoparquet.write, "GeoParquet 1.1, one table", f"{OWN_CRS}; of several, {DEGREES}"),
        Format("class-raster", "folder", class_rasters.write_cogs, "a cloud-optimised GeoTIFF of class codes for each raster"),
        Format("isprs", "folder", class_rasters.write_isprs, "a GeoTIFF in the six colours of the ISPRS benchmark for each raster"),
        Format("coco", "folder", coco.write, "a training set with COCO's RLE masks"),
        Format("yolo", "folder", yolo.write, "a training set with YOLO's polygons"),
        Format("masks", "folder", mask_folder.write, "a training set with PNG masks, as rsiseg train reads it"),
        Format("imagefolder", "folder", image_folder.write, "a training set with PNG masks, as Hugging Face datasets reads it"),
        Format("overview", "folder", overviews.write, "a PNG of the layer over its imagery for each raster"),
        Format("stac", "folder", stac.write, "a static STAC catalogue with the label extension"),
    )
}
