"""The pixels of a labelled image: any raster file, by windows, in 8 bits, with its bands' letters and ground sampling distance."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
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

    recipe: bands to read, in this order, by letter; where the file does not name them and they are as many as its bands (with or without
    alpha), they are what its bands mean. None: every band but alpha.
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
        return channels(self.info.bands, self.recipe, self.path).letters

    @property
    def gsd(self) -> float | None:
        """Metres per px, None where the file has no georeference."""
        return ground_sampling_distance(self.info.transform, self.info.crs, self.info.size)

    @property
    def stretch(self) -> tuple[tuple[float, float], ...] | None:
        """(low, high) of every band of the file, None for uint8; as `rsiseg import` records it."""
        return None if self.info.dtype == "uint8" else _stretch(self.path, _state(self.path), self.info)

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window (None: all) as HxWxC uint8; other types are stretched as a task of `rsiseg import` would, alpha 0 becomes black.

        Raises RasterError for a window outside the raster and for what cannot be decoded.
        """
        info = self.info
        chosen = channels(info.bands, self.recipe, self.path)
        return read_window(
            self.path,
            window or PixelWindow(0, 0, info.size.width, info.size.height),
            bands=chosen.numbers,
            stretch=self.stretch,
            nodata=info.nodata,
            alpha=chosen.alpha,
        )


@dataclass(frozen=True, slots=True)
class Channels:
    """Which bands of a file are read. numbers: 1-based. letters: what they mean, None where unknown. alpha: 1-based band, None without."""

    numbers: tuple[int, ...]
    letters: tuple[str, ...] | None
    alpha: int | None


def channels(letters: tuple[str, ...], recipe: tuple[str, ...] | None, path: Path) -> Channels:
    """What is read of a file whose bands are `letters`, by a recipe as in `Picture`. TaskError when the file lacks a band of the recipe."""
    mask = alpha(letters)
    pictures = tuple(index for index, letter in enumerate(letters, start=1) if letter != "A")
    if recipe is None:
        found = tuple(letters[index - 1] for index in pictures)
        return Channels(pictures, None if set(found) <= {"X"} else found, mask)
    if "X" not in recipe and all(letter in letters for letter in recipe):
        return Channels(tuple(letters.index(letter) + 1 for letter in recipe), recipe, mask)
    if len(recipe) == len(pictures):
        return Channels(pictures, recipe, mask)
    if len(recipe) == len(letters):
        # What the file calls alpha is a picture: infrared is often marked so.
        return Channels(tuple(range(1, len(letters) + 1)), recipe, None)
    raise TaskError(
        f"{path} has the bands {format_bands(letters)}; expected {format_bands(recipe)}; "
        f"name bands that it has, or give a letter to each of its {len(letters)} bands"
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


def ground_sampling_distance(transform: Affine | None, crs: str | None, size: Size) -> float | None:
    """Metres per px: the side of a square of a pixel's mean area on the ground; None where the raster has no place on earth."""
    window = PixelWindow(0, 0, size.width, size.height)
    try:
        place = MapPlace.of(Chip("", "", window, transform, crs, (), 1.0, None, size, None, None))
        area, _ = place.area([box(0, 0, size.width, size.height)])
    except ExportError:
        return None
    return round(math.sqrt(area / (size.width * size.height)), 9) if area > 0 else None


def look(pictures: Iterable[Picture]) -> tuple[str, ...]:
    """Opens every picture, which finds those that are missing or damaged by name, and says what their headers leave in doubt.

    Raises RasterError, and TaskError for a picture that lacks a band of its recipe.
    """
    doubts: dict[str, list[str]] = {}
    for picture in pictures:
        info = picture.info
        channels(info.bands, picture.recipe, picture.path)
        for doubt in info.warnings:
            if picture.recipe is None or "--bands" not in doubt:  # a recipe settles what the bands are
                doubts.setdefault(doubt, []).append(info.path.name)
    return tuple(f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {doubt}" for doubt, names in doubts.items())


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
