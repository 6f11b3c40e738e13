"""The pixels of a labelled image: any raster file, by windows, in 8 bits, with its bands' letters and ground sampling distance."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shapely import box

from converters.bands import alpha, format_bands
from converters.chips import Chip, PixelWindow
from converters.errors import ExportError, RasterError, TaskError
from converters.frames import Size
from converters.map_place import MapPlace
from converters.rasters import RasterInfo, describe, raster_stretch, read_window

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".jp2", ".vrt")
"""Endings of files that are looked at as rasters."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One raster file as the images of labelled sets read it.

    recipe: bands to read, in this order, by letter; where the file does not name them and they are as many as its channels, they are what
    its channels mean. None: every band but alpha.
    """

    path: Path
    recipe: tuple[str, ...] | None = None

    @property
    def info(self) -> RasterInfo:
        """What the file says about itself. RasterError for what cannot be opened."""
        return _info(self.path, _state(self.path))

    @property
    def size(self) -> Size:
        """Width and height in px."""
        return self.info.size

    @property
    def bands(self) -> tuple[str, ...] | None:
        """Letters of the channels that `read` returns; None where the file says nothing about any of them."""
        if self.recipe is not None:
            return self.recipe
        letters = tuple(letter for letter in self.info.bands if letter != "A")
        return None if set(letters) == {"X"} else letters

    @property
    def gsd(self) -> float | None:
        """Metres per px, None where the file has no georeference."""
        return ground_sampling_distance(self.info)

    def indices(self) -> tuple[int, ...]:
        """1-based band numbers of `read`'s channels. TaskError when the file lacks a band of the recipe."""
        letters = self.info.bands
        pictures = tuple(index for index, letter in enumerate(letters, start=1) if letter != "A")
        if self.recipe is None:
            return pictures
        if "X" not in self.recipe and all(letter in letters for letter in self.recipe):
            return tuple(letters.index(letter) + 1 for letter in self.recipe)
        if len(self.recipe) == len(pictures):
            return pictures
        raise TaskError(
            f"{self.path} has the bands {format_bands(letters)}; expected {format_bands(self.recipe)}; "
            f"name bands that it has, or give a letter to each of its {len(pictures)} channels"
        )

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window (None: all) as HxWxC uint8; other types are stretched as a task of `rsiseg import` would, alpha 0 becomes black.

        Raises RasterError for a window outside the raster and for what cannot be decoded.
        """
        info = self.info
        return read_window(
            self.path,
            window or PixelWindow(0, 0, info.size.width, info.size.height),
            bands=self.indices(),
            stretch=None if info.dtype == "uint8" else _stretch(self.path, _state(self.path), info),
            nodata=info.nodata,
            alpha=alpha(info.bands),
        )


def read_values(path: Path, window: PixelWindow) -> NDArray[np.uint8]:
    """A window of a label raster, HxWx1 (values) or HxWx3 (colours; a palette is resolved), alpha left out.

    Raises RasterError for what cannot be decoded, TaskError for values of more than 8 bits and for 2 or more than 3 bands.
    """
    info = Picture(path).info
    letters = [letter for letter in info.bands if letter != "A"]
    if len(info.bands) == 4:
        letters = letters[:3]  # the fourth band of a label is its alpha, whatever it looks like
    if info.dtype != "uint8" or len(letters) not in (1, 3):
        raise TaskError(
            f"the label {path} has {len(info.bands)} bands of {info.dtype}; expected one band of class values or three of colours, 8 bit; "
            "convert it (gdal_translate -ot Byte)"
        )
    return read_window(path, window, bands=range(1, len(letters) + 1))


def ground_sampling_distance(info: RasterInfo) -> float | None:
    """Metres per px: the side of a square of a pixel's mean area on the ground; None where the raster has no place on earth."""
    width, height = info.size.width, info.size.height
    window = PixelWindow(0, 0, width, height)
    try:
        place = MapPlace.of(Chip("", "", window, info.transform, info.crs, (), 1.0, None, info.size, None, None))
        area, _ = place.area([box(0, 0, width, height)])
    except ExportError:
        return None
    return round(math.sqrt(area / (width * height)), 9) if area > 0 else None


def picture_files(folder: Path) -> list[Path]:
    """The raster files of a folder, sorted by name. TaskError when the folder cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
    except OSError as error:
        raise TaskError(f"{folder} cannot be listed ({error.strerror}); expected a folder of images; check the path") from error


def unique(names: Sequence[str], what: str) -> None:
    """TaskError when two images have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TaskError(f"{what} has two images named {name}; expected each name once; rename one")
        seen.add(name)


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file is written again."""
    try:
        status = path.stat()
    except OSError:
        raise RasterError(f"{path} is not there or may not be read; expected the picture; restore it") from None
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=4096)
def _info(path: Path, state: tuple[int, int]) -> RasterInfo:
    return describe(path)


@functools.lru_cache(maxsize=4096)
def _stretch(path: Path, state: tuple[int, int], info: RasterInfo) -> tuple[tuple[float, float], ...] | None:
    return raster_stretch(path, bands=info.bands, nodata=info.nodata)
