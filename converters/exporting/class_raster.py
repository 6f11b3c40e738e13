"""Class rasters: one cloud-optimised GeoTIFF for each source raster, its pixels the class codes, on the source's own grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from converters.chips import Chip, PixelWindow
from converters.errors import ExportError
from converters.exporting.class_codes import UNLABELLED, ClassCodes
from converters.exporting.raster_painter import RasterPainter
from converters.frames import Size

BLOCK = 512
# GDAL's cache of blocks, bytes; its default of 5 % of the machine's memory is no bound that can be named.
_CACHE = 64 << 20


@dataclass(frozen=True, slots=True)
class RasterGrid:
    """The grid of a whole source raster. transform: native px of the raster -> map, None without; crs: "EPSG:...", WKT or None."""

    size: Size
    transform: Affine | None
    crs: str | None

    @classmethod
    def of(cls, chip: Chip) -> RasterGrid:
        """The grid of the raster that a chip is a window of."""
        window = chip.window
        transform = None if chip.transform is None else chip.transform @ Affine.translation(-window.col_off, -window.row_off)
        return cls(chip.native_size, transform, chip.crs)


def write_class_raster(path: Path, grid: RasterGrid, painter: RasterPainter, classes: ClassCodes) -> None:
    """Writes the class raster: uint8, nodata 255, the classes' colours as its colour table, their names as tags, nearest overviews.

    The memory it takes follows the window, not the raster; a temporary file of about the result's size lies beside `path` meanwhile.
    Raises ExportError when it cannot be written.
    """
    aside = path.with_name(f".{path.name}.painting.tif")
    try:
        with create(aside, grid, count=1, nodata=UNLABELLED, photometric="MINISBLACK") as raster:
            raster.write_colormap(1, classes.table())
            raster.update_tags(1, **classes.tags())
            raster.update_tags(RSISEG_CLASSES=", ".join(f"{code} {name}" for code, name in enumerate(classes.names)))
            write_windows(raster, ((window, codes[None]) for window, codes in painter.windows(grid.size)))
        with rasterio.Env(GDAL_CACHEMAX=_CACHE):
            # Class codes have no mean: an overview shows one of the pixels under it.
            rasterio.shutil.copy(
                aside, path, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=BLOCK, OVERVIEW_RESAMPLING="NEAREST", BIGTIFF="IF_SAFER"
            )
    except (RasterioError, OSError) as error:
        path.unlink(missing_ok=True)
        raise ExportError(f"{path} cannot be written ({error}); make room or choose another --out") from error
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def create(path: Path, grid: RasterGrid, **profile: Any) -> Iterator[DatasetWriter]:
    """A tiled GeoTIFF on a grid, open for writing; blocks that are never written stay empty (sparse)."""
    settings: Mapping[str, Any] = {
        "width": grid.size.width, "height": grid.size.height, "crs": grid.crs, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
        "compress": "DEFLATE", "BIGTIFF": "IF_SAFER", "SPARSE_OK": True, **profile,
    }  # fmt: skip
    place: Mapping[str, Any] = {} if grid.transform is None else {"transform": grid.transform}
    with rasterio.Env(GDAL_CACHEMAX=_CACHE), rasterio.open(path, "w", driver="GTiff", dtype="uint8", **settings, **place) as raster:
        yield raster


def write_windows(raster: DatasetWriter, painted: Iterable[tuple[PixelWindow, NDArray[np.uint8]]]) -> None:
    """Writes windows CxHxW at their places."""
    for window, values in painted:
        raster.write(values, window=Window(window.col_off, window.row_off, window.width, window.height))  # pyright: ignore[reportCallIssue]
