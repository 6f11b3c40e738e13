"""Label files in the six colours of the ISPRS benchmark, as `converters.isprs_labels` and the benchmark's own tools read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioError

from converters import isprs, palette
from converters.errors import ExportError
from converters.exporting.class_codes import UNLABELLED, rgb
from converters.exporting.class_raster import RasterGrid, create, write_windows
from converters.exporting.raster_painter import RasterPainter

SUFFIX = "_label.tif"


def colour_table(names: Sequence[str]) -> np.ndarray:
    """uint8 256x3: code -> colour of the benchmark, by the classes' names; black, which the benchmark ignores, for everything else.

    Raises ExportError, which names them, for classes that the benchmark does not have.
    """
    colours = [palette.isprs_colour(name) for name in names]
    unknown = [name for name, colour in zip(names, colours, strict=True) if colour is None]
    if unknown:
        raise ExportError(
            f"the ISPRS benchmark has no class {', '.join(map(repr, unknown))}; expected {', '.join(palette.ISPRS_CLASSES)}; "
            "rename the classes, or export class rasters"
        )
    table = np.zeros((UNLABELLED + 1, 3), np.uint8)
    for code, colour in enumerate(colours):
        table[code] = rgb(colour or "#000000")
    return table


def label_name(raster: str) -> str:
    """File name of the label of a raster: the benchmark's own for its tiles, else the raster's stem and `_label.tif`."""
    stem = Path(raster).stem
    name = isprs.parse_name(Path(raster))
    if name is not None and name.dataset == "potsdam":
        return f"top_potsdam_{name.tile}{SUFFIX}"
    return f"{stem}{SUFFIX}"


def write_isprs_colours(path: Path, grid: RasterGrid, painter: RasterPainter, table: np.ndarray) -> None:
    """Writes RGB uint8, losslessly compressed, on the source's grid; black where no object is. Raises ExportError when it cannot."""
    try:
        with create(path, grid, count=3, photometric="RGB", interleave="pixel", compress="LZW") as raster:
            write_windows(raster, ((window, np.moveaxis(table[codes], -1, 0)) for window, codes in painter.windows(grid.size)))
    except (RasterioError, OSError) as error:
        path.unlink(missing_ok=True)
        raise ExportError(f"{path} cannot be written ({error}); make room or choose another --out") from error
