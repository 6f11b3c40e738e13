"""The format overview: a folder with one picture of the layer over its imagery for each raster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters import bands as band_letters
from converters.chips import Chip, PixelWindow
from converters.errors import RSISegError
from converters.exporting.overview import Outlined, overview, shown_size
from converters.exporting.raster_layers import RasterLayer, raster_layers
from converters.exporting.set_pictures import SetPictures
from converters.rasters import read_window

if TYPE_CHECKING:
    from pathlib import Path

    from converters.exporting.formats import Request

ENDING = "_overview.png"
# Read this much larger than shown: where a file has no overviews, GDAL takes single px, which flicker.
_FINER = 2
_GROUND = 190


def write(request: Request) -> None:
    """Writes `STEM_overview.png` for each raster that has objects."""
    pictures = SetPictures.of(request.options)
    request.out.mkdir(parents=True)
    lost: list[str] = []
    for layer in raster_layers(request):
        if (why := write_overview(request.out / f"{layer.stem}{ENDING}", layer, pictures)) is not None:
            lost.append(why)
    request.account.fact("rasters_without_imagery", lost)


def write_overview(path: Path, layer: RasterLayer, pictures: SetPictures) -> str | None:
    """Draws a raster's objects over its imagery, or over grey; then the reason comes back."""
    frame, why = layer.frame, None
    try:
        picture = _imagery(frame, pictures)
    except RSISegError as error:
        picture, why = np.full((1, 1, 3), _GROUND, np.uint8), str(error)
    title = layer.stem if why is None else f"{layer.stem} (imagery not found)"
    objects = [Outlined(one.class_name, one.colour, one.parts, _area(one.attributes.get("area_m2"))) for one in layer.objects]
    overview(picture, frame.native_size, objects, title, frame.gsd).save(path, "PNG")
    return why


def _imagery(frame: Chip, pictures: SetPictures) -> NDArray[np.uint8]:
    size, shown = frame.native_size, shown_size(frame.native_size)
    return read_window(
        pictures.raster(frame),
        PixelWindow(0, 0, size.width, size.height),
        bands=band_letters.display(frame.bands),
        stretch=frame.stretch,
        nodata=frame.nodata,
        alpha=band_letters.alpha(frame.bands),
        shape=(min(size.height, shown.height * _FINER), min(size.width, shown.width * _FINER)),
    )


def _area(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
