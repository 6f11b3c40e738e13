"""A class raster laid over one raster: its pixels as they are where the two have one grid, else the nearest one, through any CRS."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.warp
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.importing.fingerprint import file_state
from converters.isprs_labels import CLASSES as ISPRS_CLASSES
from converters.labelled_folder import Classes
from converters.labelled_objects import LabelledObject, components
from converters.labelled_pixels import read_values
from converters.labelled_place import Place
from converters.rasters import RasterInfo, describe

# Grids that agree to this share of a pixel over the whole raster are one.
_SAME = 0.01

ISPRS = Classes(
    values={name: tuple(255 if corner & bit else 0 for bit in (4, 2, 1)) for corner, name in ISPRS_CLASSES.items()}, ignore=((0, 0, 0),)
)
"""The colours of the ISPRS benchmark, for label rasters in colour without a `classes.json`."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassRaster:
    """path: of the labels. classes: their values or colours. place: of the raster they are laid over.

    snapped: channels are cut at 127 first, for colours at corners of the colour cube in a lossy copy.
    """

    path: Path
    classes: Classes
    place: Place
    snapped: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files behind it."""
        return (self.path.name,)

    @property
    def state(self) -> list[Any]:
        """What changes when the labels, or what their values mean, do."""
        return [str(self.path), file_state(self.path), {name: list(value) for name, value in self.classes.values.items()}, self.snapped]

    def reaches(self) -> bool:
        """Whether the labels cover a part of the raster. RasterError for labels that cannot be read."""
        info = describe(self.path)
        if self._one_grid(info):
            return True
        if info.transform is None or info.crs is None or self.place.crs is None:
            return False
        theirs = Place(info.transform, info.crs, info.size).corners.bounds
        try:
            west, south, east, north = rasterio.warp.transform_bounds(info.crs, self.place.crs, *theirs)
        except RasterioError:
            return False
        left, bottom, right, top = self.place.corners.bounds
        return west < right and east > left and south < top and north > bottom

    def objects(self, window: PixelWindow) -> list[LabelledObject]:
        """8-connected components of every class inside the window of the raster, class by class in the classes' order.

        Raises RasterError for labels that cannot be decoded, TaskError for labels of more than 8 bits or without a place.
        """
        label, there = self._pixels(window)
        if self.snapped:
            label = np.where(label > 127, np.uint8(255), np.uint8(0))
        found: list[LabelledObject] = []
        for name, value in self.classes.values.items():
            wanted = value if label.shape[2] == 3 else value[:1] if len(set(value)) == 1 else None
            if wanted is not None:
                found += components(np.all(label == np.array(wanted, np.uint8), axis=2) & there, name, 1)
        return found

    def _pixels(self, window: PixelWindow) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """(HxWx1 values or HxWx3 colours, HxW where there are labels) of a window of the raster."""
        info = describe(self.path)
        if self._one_grid(info):
            label = self._indices(window) if self._by_index() else read_values(self.path, window)
            return label, np.ones(label.shape[:2], np.bool_)
        if info.transform is None or info.crs is None or self.place.crs is None:
            raise TaskError(
                f"the label {self.path} is {info.size} without a CRS, its image {self.place.size}; expected one size, or a georeference of "
                "both; georeference them"
            )
        if info.dtype != "uint8":
            raise TaskError(
                f"the label {self.path} holds {info.dtype}; expected 8-bit class values or colours; convert it with gdal_translate"
            )
        return self._warped(window, info)

    def _warped(self, window: PixelWindow, info: RasterInfo) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        transform = self.place.transform @ Affine.translation(window.col_off, window.row_off)
        grid = {"crs": self.place.crs, "transform": transform, "width": window.width, "height": window.height}
        try:
            with rasterio.open(self.path) as source:
                add_alpha = source.nodata is None and "A" not in info.bands
                with WarpedVRT(source, resampling=Resampling.nearest, src_crs=info.crs, add_alpha=add_alpha, **grid) as warped:
                    bands = [1] if source.count < 3 else [1, 2, 3]
                    values = warped.read(bands)
                    there = warped.dataset_mask() != 0
                    table = None if self._by_index() else _palette(source)
        except (RasterioError, ValueError) as error:
            raise RasterError(
                f"the label {self.path} cannot be laid over the raster ({error}); expected a complete raster; check it"
            ) from None
        label = np.moveaxis(values, 0, -1) if table is None else table[values[0]]
        return np.ascontiguousarray(label), there

    def _by_index(self) -> bool:
        """Whether the classes are the values behind a palette, and not its colours."""
        with rasterio.open(self.path) as source:
            table = _palette(source)
        return table is not None and not set(self.classes.values.values()) <= set(map(tuple, table.tolist()))

    def _indices(self, window: PixelWindow) -> NDArray[np.uint8]:
        area = Window(window.col_off, window.row_off, window.width, window.height)  # pyright: ignore[reportCallIssue]
        try:
            with rasterio.open(self.path) as source:
                return source.read(1, window=area)[..., None]
        except RasterioError:
            raise RasterError(f"the label {self.path} is cut short or damaged; expected a complete raster; copy it again") from None

    def _one_grid(self, info: RasterInfo) -> bool:
        """Whether both rasters have the same pixels; labels without a place of their own have the image's when they have its size."""
        if info.size != self.place.size:
            return False
        if info.transform is None:
            return True
        off = ~self.place.transform @ info.transform
        corners = ((0, 0), (info.size.width, 0), (0, info.size.height))
        moved = max(abs(a - b) for corner in corners for a, b in zip(off @ corner, corner, strict=True))
        return moved < _SAME and (info.crs is None or self.place.crs is None or _one_crs(info.crs, self.place.crs))


def _palette(source: DatasetReader) -> NDArray[np.uint8] | None:
    """256x3: the colours of a raster's palette; None without one."""
    if source.count != 1 or source.dtypes[0] != "uint8" or source.colorinterp[0] != ColorInterp.palette:
        return None
    table = np.zeros((256, 3), np.uint8)
    for index, colour in source.colormap(1).items():
        if index < 256:
            table[index] = colour[:3]
    return table


@functools.lru_cache(maxsize=64)
def _one_crs(one: str, other: str) -> bool:
    return rasterio.CRS.from_user_input(one) == rasterio.CRS.from_user_input(other)
