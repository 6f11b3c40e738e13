"""The formats class-raster and isprs: a folder with one label file for each source raster.

Pixels stay as they were annotated: simplification and right angles are for vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converters.exporting.class_raster import write_class_raster
from converters.exporting.isprs_colours import SUFFIX, colour_table, label_name, write_isprs_colours
from converters.exporting.raster_layers import class_codes, raster_layers

if TYPE_CHECKING:
    from converters.exporting.formats import Request

ENDING = "_classes.tif"


def write_cogs(request: Request) -> None:
    """Writes `STEM_classes.tif` for each raster that has objects, and `classes.json`."""
    classes = class_codes(request, request.colours)
    request.out.mkdir(parents=True)
    for layer in raster_layers(request, exact=True):
        write_class_raster(request.out / f"{layer.stem}{ENDING}", layer.grid, layer.painter(classes), classes)
    (request.out / "classes.json").write_text(classes.classes_json(), encoding="utf-8", newline="\n")
    request.account.fact("largest_deviation_px", 0)
    request.account.fact("classes", {name: code for code, name in enumerate(classes.names)})


def write_isprs(request: Request) -> None:
    """Writes `STEM_label.tif` in the benchmark's colours for each raster that has objects."""
    classes = class_codes(request, {})  # colours and names are the benchmark's, whatever else the labelling interface offers
    table = colour_table(classes.names)
    request.out.mkdir(parents=True)
    for layer in raster_layers(request, stem=lambda raster: label_name(raster).removesuffix(SUFFIX), exact=True):
        write_isprs_colours(request.out / f"{layer.stem}{SUFFIX}", layer.grid, layer.painter(classes), table)
    request.account.fact("largest_deviation_px", 0)
