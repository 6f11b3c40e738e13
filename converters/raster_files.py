"""Opening rasters: GDAL's datasets may not be shared between threads, so every thread keeps a few open of its own."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from converters.errors import RasterError
from converters.remote_raster import RasterLocation, RemoteRaster

# `RasterInfo.transform` says it, where the caller can see it.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

_OPEN_PER_THREAD = 8

_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# Reading by ranges: no listing of the folder beside the file, a few attempts, and never for ever.
_REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
}


class _Open(threading.local):
    """The datasets this thread has open, by file and its state on disk; the least used one is closed first."""

    def __init__(self) -> None:
        self.datasets: OrderedDict[tuple[str, int, int], DatasetReader] = OrderedDict()


_open = _Open()


def dataset_of(path: RasterLocation) -> DatasetReader:
    """The open dataset of this thread; it stays the cache's, so do not close it. Raises RasterError for what cannot be opened."""
    if isinstance(path, RemoteRaster):
        return _kept((path.gdal, 0, 0), lambda: _open_remote(path))
    try:
        status = path.stat()
    except OSError:
        raise RasterError(f"{path} is not there or may not be read; expected a raster file; check the path") from None
    key = (str(path), status.st_mtime_ns, status.st_size)
    return _kept(key, lambda: _open_file(path, status.st_size))


def _kept(key: tuple[str, int, int], open_it: Callable[[], DatasetReader]) -> DatasetReader:
    if key in _open.datasets:
        _open.datasets.move_to_end(key)
        return _open.datasets[key]
    dataset = _open.datasets[key] = open_it()
    while len(_open.datasets) > _OPEN_PER_THREAD:
        _open.datasets.popitem(last=False)[1].close()
    return dataset


def _open_file(path: Path, size: int) -> DatasetReader:
    if not path.is_file():
        raise RasterError(f"{path} is not a file; expected a raster file such as a GeoTIFF")
    try:
        with gdal_settings(path):
            dataset = rasterio.open(path)
    except RasterioError:
        raise RasterError(_why_not_opened(path, size)) from None
    return _with_bands(dataset, path.name)


def _open_remote(raster: RemoteRaster) -> DatasetReader:
    try:
        with gdal_settings(raster):
            dataset = rasterio.open(raster.gdal)
    except RasterioError as error:
        said = str(error).splitlines()[0][:120].replace(raster.gdal, raster.name)
        raise RasterError(
            f"{raster} could not be opened ({said}); expected a raster, best a cloud-optimised GeoTIFF, on a server that answers "
            "requests for ranges; check the address, for s3:// the credentials (AWS_...) and region in the environment, or download it"
        ) from None
    return _with_bands(dataset, raster.name)


def _with_bands(dataset: DatasetReader, name: str) -> DatasetReader:
    if dataset.count == 0:
        parts = f"; it is a container of {len(dataset.subdatasets)} rasters" if dataset.subdatasets else ""
        dataset.close()
        raise RasterError(
            f"{name} holds no band to show{parts}; expected a raster with bands; convert the part you need with gdal_translate"
        )
    return dataset


def gdal_settings(path: RasterLocation) -> rasterio.Env:
    """GDAL's settings, for opening and for reading.

    Its shortcut for whole PNG files (measured with 3.10) returns uninitialised memory for one that is cut short, without an error; it is
    off only if it is off both when the file is opened and when it is read.
    """
    settings: dict[str, Any] = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO", **(_REMOTE if isinstance(path, RemoteRaster) else {})}
    return rasterio.Env(**settings)


def _why_not_opened(path: Path, size: int) -> str:
    if size == 0:
        return f"{path} is empty (0 bytes); expected a raster; copy the file again"
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        return f"{path} may not be read ({error.strerror}); expected a raster this user can open; change its permissions"
    if magic in _TIFF_MAGIC:
        return f"{path} begins like a TIFF but is cut short or damaged ({size} bytes): its directory cannot be read; copy the file again"
    return f"{path} is not a raster that GDAL can read; expected a GeoTIFF, PNG, JPEG or another raster format"
