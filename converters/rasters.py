"""Reading rasters: what a file is (`describe`), a window of it in 8 bits (`read_window`), its stretch (`raster_stretch`).

A window costs the blocks it touches, never the file. GDAL's datasets may not be shared between threads, so every thread keeps a few
open of its own.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from converters import band_meaning, georeference, isprs
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.frames import Size
from converters.stretch import percentiles, to_uint8

# `RasterInfo.transform` says it, where the caller can see it.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

_OPEN_PER_THREAD = 8
# Longest side of the picture that the percentiles are taken from.
_STRETCH_SIZE = 2048
# Side of the piece read to tell a mask from a spectral band.
_SAMPLE_SIZE = 256

_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


@dataclass(frozen=True, slots=True)
class RasterInfo:
    """What a file says about itself, without reading its pixels.

    size: native px. bands: letters in file order (a palette counts as R, G, B). bands_source: "file", "ISPRS name" or "assumed".
    dtype: numpy name. transform: native px -> map, None without a georeference. crs: "EPSG:..." or WKT or None.
    gsd: metres per px or None. nodata: the file's own value or None. driver: GDAL's name of the format.
    warnings: sentences a user should read.
    """

    path: Path
    size: Size
    bands: tuple[str, ...]
    bands_source: str
    dtype: str
    transform: Affine | None
    crs: str | None
    gsd: float | None
    nodata: float | None
    driver: str
    warnings: tuple[str, ...]


def describe(path: str | Path) -> RasterInfo:
    """What the raster at `path` (a local file) is. Raises RasterError for what cannot be opened or shown."""
    path = Path(path)
    dataset = _dataset(path)
    size = Size(dataset.width, dataset.height)
    transform, crs = georeference.affine(dataset), georeference.crs_text(dataset)
    notes: list[str] = []
    if transform is None and dataset.gcps[0]:
        notes.append("its ground control points are not used; rectify it first (gdalwarp) to place results on the map")
    if _is_palette(dataset):
        bands = band_meaning.BandMeaning(("R", "G", "B"), "file")
    else:
        bands = band_meaning.meaning(
            [colour.name.lower() for colour in dataset.colorinterp],
            dataset.descriptions,
            isprs.parse_name(path),
            lambda band: _read(dataset, path, [band], _centre(size))[0],
        )
    return RasterInfo(
        path=path,
        size=size,
        bands=bands.letters,
        bands_source=bands.source,
        dtype=_dtype(dataset, path).name,
        transform=transform,
        crs=crs,
        gsd=georeference.ground_sampling_distance(transform, crs, size),
        nodata=dataset.nodata,
        driver=dataset.driver,
        warnings=(*bands.warnings, *notes),
    )


def read_window(
    path: str | Path,
    window: PixelWindow,
    *,
    bands: Sequence[int],
    stretch: Sequence[tuple[float, float]] | None = None,
    nodata: float | None = None,
    alpha: int | None = None,
) -> NDArray[np.uint8]:
    """The window as HxWxC uint8, C = len(bands); native px, no resampling.

    bands: 1-based, in the order wanted; a band may be repeated. A palette raster has bands 1, 2, 3: red, green, blue.
    stretch: (low, high) for every band of the raster in file order, as a task records it; needed unless the raster is uint8, which is
        returned as it is. Pixels equal to `nodata`, or NaN, become 0 in their band; for uint8 they stay what they are.
    alpha: 1-based band; where it is 0, every band becomes 0.
    Raises RasterError for a window or band outside the raster, a missing stretch, and data that cannot be decoded.
    """
    path = Path(path)
    dataset = _dataset(path)
    _check_window(path, window, dataset)
    count = 3 if _is_palette(dataset) else dataset.count
    if not bands or not all(1 <= band <= count for band in (*bands, *([alpha] if alpha else []))):
        raise RasterError(f"{path.name} has {count} bands; expected band numbers between 1 and {count}, found {list(bands)}")
    if _is_palette(dataset):
        return _read_palette(dataset, path, window, bands)
    values = _read(dataset, path, bands, window)
    if values.dtype == np.uint8:
        picture = values.astype(np.uint8, copy=False)
    else:
        picture = _stretched(values, path, [_pair(path, stretch, band, count) for band in bands], nodata)
    if alpha is not None:
        picture = picture * (_read(dataset, path, [alpha], window) != 0)
    return np.ascontiguousarray(np.moveaxis(picture, 0, -1))


def raster_stretch(path: str | Path, *, bands: Sequence[str], nodata: float | None) -> tuple[tuple[float, float], ...] | None:
    """(low, high) for every band in file order, from a decimated read (overviews where the file has them); None for uint8.

    bands: letters in file order; alpha is left out of the percentiles and gets its type's range.
    A band without a single valid pixel gets (0, 1).
    Raises RasterError for data that cannot be decoded.
    """
    path = Path(path)
    dataset = _dataset(path)
    dtype = _dtype(dataset, path)
    if dtype == np.uint8:
        return None
    factor = max(1.0, max(dataset.width, dataset.height) / _STRETCH_SIZE)
    shape = (max(1, round(dataset.height / factor)), max(1, round(dataset.width / factor)))
    whole = PixelWindow(0, 0, dataset.width, dataset.height)
    seen = np.ones(shape, dtype=np.bool_)
    if "A" in bands:
        seen = _read(dataset, path, [bands.index("A") + 1], whole, shape=shape)[0] != 0
    pairs: list[tuple[float, float]] = []
    for index, letter in enumerate(bands, start=1):
        if letter == "A":
            pairs.append((0.0, float(np.iinfo(dtype.name).max) if np.issubdtype(dtype, np.integer) else 1.0))
            continue
        values = _read(dataset, path, [index], whole, shape=shape)[0]
        valid = seen if nodata is None else seen & (values != nodata)
        pairs.append(percentiles(values, valid) or (0.0, 1.0))
    return tuple(pairs)


# --- opening


class _Open(threading.local):
    """The datasets this thread has open, by file and its state on disk; the least used one is closed first."""

    def __init__(self) -> None:
        self.datasets: OrderedDict[tuple[str, int, int], DatasetReader] = OrderedDict()


_open = _Open()


def _dataset(path: Path) -> DatasetReader:
    try:
        status = path.stat()
    except OSError:
        raise RasterError(f"{path} is not there or may not be read; expected a raster file; check the path") from None
    key = (str(path), status.st_mtime_ns, status.st_size)
    if key in _open.datasets:
        _open.datasets.move_to_end(key)
        return _open.datasets[key]
    dataset = _open_file(path, status.st_size)
    _open.datasets[key] = dataset
    while len(_open.datasets) > _OPEN_PER_THREAD:
        _open.datasets.popitem(last=False)[1].close()
    return dataset


def _open_file(path: Path, size: int) -> DatasetReader:
    if not path.is_file():
        raise RasterError(f"{path} is not a file; expected a raster file such as a GeoTIFF")
    try:
        with _gdal():
            dataset = rasterio.open(path)
    except RasterioError:
        raise RasterError(_why_not_opened(path, size)) from None
    if dataset.count == 0:
        parts = f"; it is a container of {len(dataset.subdatasets)} rasters" if dataset.subdatasets else ""
        dataset.close()
        raise RasterError(
            f"{path.name} holds no band to show{parts}; expected a raster with bands; convert the part you need with gdal_translate"
        )
    return dataset


def _gdal() -> rasterio.Env:
    """GDAL's settings, for opening and for reading.

    Its shortcut for whole PNG files (measured with 3.10) returns uninitialised memory for one that is cut short, without an error; it is
    off only if it is off both when the file is opened and when it is read.
    """
    return rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO")


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


def _dtype(dataset: DatasetReader, path: Path) -> np.dtype[np.generic]:
    dtype = np.result_type(*dataset.dtypes)
    if np.issubdtype(dtype, np.complexfloating):
        raise RasterError(f"{path.name} holds complex numbers ({dtype.name}); expected real values; convert it to its amplitude first")
    return dtype


def _is_palette(dataset: DatasetReader) -> bool:
    return dataset.count == 1 and dataset.colorinterp[0] == ColorInterp.palette and dataset.dtypes[0] == "uint8"


# --- pixels


def _check_window(path: Path, window: PixelWindow, dataset: DatasetReader) -> None:
    inside = (
        0 <= window.col_off < window.col_off + window.width <= dataset.width
        and 0 <= window.row_off < window.row_off + window.height <= dataset.height
    )
    if not inside:
        raise RasterError(
            f"{path.name} is {Size(dataset.width, dataset.height)}; expected a window inside it, found {window.size} at column "
            f"{window.col_off}, row {window.row_off}; if the file was replaced, import it again"
        )


def _read(
    dataset: DatasetReader, path: Path, bands: Sequence[int], window: PixelWindow, *, shape: tuple[int, int] | None = None
) -> NDArray[np.generic]:
    """Bands of a window as CxHxW in the file's dtype, decimated to `shape` (rows, columns) if given."""
    area = Window(window.col_off, window.row_off, window.width, window.height)  # pyright: ignore[reportCallIssue]
    try:
        with _gdal():
            return dataset.read(list(bands), window=area, out_shape=None if shape is None else (len(bands), *shape))
    except RasterioError:
        raise RasterError(
            f"{path} is cut short or damaged: {window.size} at column {window.col_off}, row {window.row_off} could not be decoded; "
            "expected a complete raster; copy the file again"
        ) from None


def _read_palette(dataset: DatasetReader, path: Path, window: PixelWindow, bands: Sequence[int]) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), dtype=np.uint8)
    for index, colour in dataset.colormap(1).items():
        if index < 256:
            table[index] = colour[:3]
    return table[_read(dataset, path, [1], window)[0]][..., [band - 1 for band in bands]]


def _pair(path: Path, pairs: Sequence[tuple[float, float]] | None, band: int, count: int) -> tuple[float, float]:
    if pairs is None or len(pairs) != count:
        found = "none" if pairs is None else f"{len(pairs)} pairs"
        raise RasterError(
            f"{path.name} is not 8-bit, so its task must record a stretch for each of its {count} bands; found {found}; import it again"
        )
    return pairs[band - 1]


def _stretched(values: NDArray[np.generic], path: Path, pairs: Sequence[tuple[float, float]], nodata: float | None) -> NDArray[np.uint8]:
    if np.iscomplexobj(values):
        raise RasterError(
            f"{path.name} holds complex numbers ({values.dtype.name}); expected real values; convert it to its amplitude first"
        )
    picture = np.stack([to_uint8(band, *pair) for band, pair in zip(values, pairs, strict=True)])
    if nodata is not None:
        picture[values == nodata] = 0
    return picture


def _centre(size: Size) -> PixelWindow:
    width, height = min(size.width, _SAMPLE_SIZE), min(size.height, _SAMPLE_SIZE)
    return PixelWindow((size.width - width) // 2, (size.height - height) // 2, width, height)
