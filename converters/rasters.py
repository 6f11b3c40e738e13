"""Reading rasters: what a file is (`describe`), a window of it in 8 bits (`read_window`), its stretch (`raster_stretch`).

A window costs the blocks it touches, never the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from converters import band_meaning, georeference, isprs
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.frames import Size
from converters.raster_files import dataset_of, gdal_settings
from converters.remote_raster import RasterLocation, RemoteRaster
from converters.stretch import percentiles, to_uint8

# Longest side of the picture that the percentiles are taken from.
_STRETCH_SIZE = 2048
# Side of the piece read to tell a mask from a spectral band.
_SAMPLE_SIZE = 256


@dataclass(frozen=True, slots=True)
class RasterInfo:
    """What a file says about itself, without reading its pixels.

    size: native px. bands: letters in file order (a palette counts as R, G, B). bands_source: "file", "ISPRS name" or "assumed".
    dtype: numpy name. transform: native px -> map, None without a georeference. crs: "EPSG:..." or WKT or None.
    gsd: metres per px or None. nodata: the file's own value or None. driver: GDAL's name of the format.
    warnings: sentences a user should read.
    """

    path: RasterLocation
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


def describe(path: str | Path | RemoteRaster) -> RasterInfo:
    """What the raster at `path` is; text is always a local file. Raises RasterError for what cannot be opened or shown."""
    path = _location(path)
    dataset = dataset_of(path)
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
            isprs.parse_name(path.name),
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
    path: str | Path | RemoteRaster,
    window: PixelWindow,
    *,
    bands: Sequence[int],
    stretch: Sequence[tuple[float, float]] | None = None,
    nodata: float | None = None,
    alpha: int | None = None,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """The window as HxWxC uint8, C = len(bands); native px, no resampling, unless a `shape` (rows, columns) asks for fewer px.

    bands: 1-based, in the order wanted; a band may be repeated. A palette raster has bands 1, 2, 3: red, green, blue.
    stretch: (low, high) for every band of the raster in file order, as a task records it; needed unless the raster is uint8, which is
        returned as it is. Pixels equal to `nodata`, or NaN, become 0 in their band; for uint8 they stay what they are.
    alpha: 1-based band; where it is 0, every band becomes 0.
    Raises RasterError for a window or band outside the raster, a missing stretch, and data that cannot be decoded.
    """
    path = _location(path)
    values = read_native(path, window, bands=bands, shape=shape)
    opaque = None if alpha is None else read_native(path, window, bands=[alpha], shape=shape)[0] != 0
    pairs = None if values.dtype == np.uint8 else chosen_stretch(path, stretch, bands)
    return picture_of(values, pairs=pairs, nodata=nodata, opaque=opaque)


def read_native(
    path: str | Path | RemoteRaster, window: PixelWindow, *, bands: Sequence[int], shape: tuple[int, int] | None = None
) -> NDArray[np.generic]:
    """The window as CxHxW in the file's own dtype, C = len(bands); a palette is resolved to uint8 red, green, blue.

    bands: 1-based, in the order wanted. shape: (rows, columns) of a decimated picture, from the file's overviews where it has them.
    Raises RasterError for a window or band outside the raster, complex numbers, and data that cannot be decoded.
    """
    path = _location(path)
    dataset = dataset_of(path)
    _check_window(path, window, dataset)
    count = 3 if _is_palette(dataset) else dataset.count
    if not bands or not all(1 <= band <= count for band in bands):
        raise RasterError(f"{path.name} has {count} bands; expected band numbers between 1 and {count}, found {list(bands)}")
    _dtype(dataset, path)
    if _is_palette(dataset):
        return _read_palette(dataset, path, window, bands, shape)
    return _read(dataset, path, bands, window, shape=shape)


def read_mask(path: str | Path | RemoteRaster, window: PixelWindow) -> NDArray[np.bool_] | None:
    """HxW, True where the raster's own mask (inside the file or in a .msk beside it) says that there is data; None without such a mask."""
    path = _location(path)
    dataset = dataset_of(path)
    _check_window(path, window, dataset)
    if not all(MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags for flags in dataset.mask_flag_enums):
        return None
    area = Window(window.col_off, window.row_off, window.width, window.height)  # pyright: ignore[reportCallIssue]
    try:
        with gdal_settings(path):
            return dataset.read_masks(1, window=area) != 0
    except RasterioError:
        raise RasterError(f"{path} has a damaged mask; expected a complete raster; copy the file again") from None


def chosen_stretch(path: RasterLocation, stretch: Sequence[tuple[float, float]] | None, bands: Sequence[int]) -> list[tuple[float, float]]:
    """The (low, high) of the bands wanted, out of a stretch for every band of the raster. RasterError when it is not one for each."""
    dataset = dataset_of(path)
    return [_pair(path, stretch, band, 3 if _is_palette(dataset) else dataset.count) for band in bands]


def picture_of(
    values: NDArray[np.generic],
    *,
    pairs: Sequence[tuple[float, float]] | None,
    nodata: float | None = None,
    opaque: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Values CxHxW as HxWxC uint8. pairs: (low, high) of each channel, None for values that are uint8 already; nodata, opaque: as alpha
    and nodata of `read_window`."""
    if pairs is None:
        picture = values.astype(np.uint8, copy=False)
    else:
        picture = np.stack([to_uint8(band, *pair) for band, pair in zip(values, pairs, strict=True)])
        if nodata is not None:
            picture[values == nodata] = 0
    if opaque is not None:
        picture = picture * opaque
    return np.ascontiguousarray(np.moveaxis(picture, 0, -1))


def raster_stretch(
    path: str | Path | RemoteRaster, *, bands: Sequence[str], nodata: float | None
) -> tuple[tuple[float, float], ...] | None:
    """(low, high) for every band in file order, from a decimated read (overviews where the file has them); None for uint8.

    bands: letters in file order; alpha is left out of the percentiles and gets its type's range.
    A band without a single valid pixel gets (0, 1).
    Raises RasterError for data that cannot be decoded.
    """
    path = _location(path)
    dataset = dataset_of(path)
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


def _dtype(dataset: DatasetReader, path: RasterLocation) -> np.dtype[np.generic]:
    dtype = np.result_type(*dataset.dtypes)
    if np.issubdtype(dtype, np.complexfloating):
        raise RasterError(f"{path.name} holds complex numbers ({dtype.name}); expected real values; convert it to its amplitude first")
    return dtype


def _is_palette(dataset: DatasetReader) -> bool:
    return dataset.count == 1 and dataset.colorinterp[0] == ColorInterp.palette and dataset.dtypes[0] == "uint8"


# --- pixels


def _check_window(path: RasterLocation, window: PixelWindow, dataset: DatasetReader) -> None:
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
    dataset: DatasetReader, path: RasterLocation, bands: Sequence[int], window: PixelWindow, *, shape: tuple[int, int] | None = None
) -> NDArray[np.generic]:
    """Bands of a window as CxHxW in the file's dtype, decimated to `shape` (rows, columns) if given."""
    area = Window(window.col_off, window.row_off, window.width, window.height)  # pyright: ignore[reportCallIssue]
    try:
        with gdal_settings(path):
            return dataset.read(list(bands), window=area, out_shape=None if shape is None else (len(bands), *shape))
    except RasterioError:
        raise RasterError(
            f"{path} is cut short or damaged: {window.size} at column {window.col_off}, row {window.row_off} could not be decoded; "
            "expected a complete raster; copy the file again"
        ) from None


def _read_palette(
    dataset: DatasetReader, path: RasterLocation, window: PixelWindow, bands: Sequence[int], shape: tuple[int, int] | None
) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), dtype=np.uint8)
    for index, colour in dataset.colormap(1).items():
        if index < 256:
            table[index] = colour[:3]
    return table.T[[band - 1 for band in bands]][:, _read(dataset, path, [1], window, shape=shape)[0]]


def _pair(path: RasterLocation, pairs: Sequence[tuple[float, float]] | None, band: int, count: int) -> tuple[float, float]:
    if pairs is None or len(pairs) != count:
        found = "none" if pairs is None else f"{len(pairs)} pairs"
        raise RasterError(
            f"{path.name} is not 8-bit, so its task must record a stretch for each of its {count} bands; found {found}; import it again"
        )
    return pairs[band - 1]


def _location(path: str | Path | RemoteRaster) -> RasterLocation:
    """Text is a path and nothing else: an address in a task's data must not be opened."""
    return path if isinstance(path, RemoteRaster) else Path(path)


def _centre(size: Size) -> PixelWindow:
    width, height = min(size.width, _SAMPLE_SIZE), min(size.height, _SAMPLE_SIZE)
    return PixelWindow((size.width - width) // 2, (size.height - height) // 2, width, height)
