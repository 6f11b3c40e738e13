"""A chip: a window of a raster together with its place, as one Label Studio task shows it."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine

from converters.frames import Size


@dataclass(frozen=True, slots=True)
class PixelWindow:
    """A rectangle of whole pixels of a raster: offset of its upper-left pixel, and its size."""

    col_off: int
    row_off: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        """Width and height without the place."""
        return Size(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Chip:
    """Where a chip comes from and where it lies; the `data` of a task is this and nothing more.

    image: address of the 8-bit picture for the browser.
    raster: URI of the source; the picture itself for a task that was not made by `rsiseg import`.
    window: the pixels of `raster` that the chip shows.
    transform: affine of the window, native px of the window -> map; None without a georeference.
    crs: "EPSG:..." or WKT; None when unknown.
    bands: meaning of the raster's bands in file order, such as ("R", "G", "B", "IR").
    scale: display px per native px.
    gsd: ground sampling distance in metres per px, None when unknown.
    native_size: size of the whole raster.
    stretch: one (low, high) per band of the raster, taken once per raster; None for uint8, which is used as it is.
    nodata: the raster's nodata value, None when it has none.
    """

    image: str
    raster: str
    window: PixelWindow
    transform: Affine | None
    crs: str | None
    bands: tuple[str, ...]
    scale: float
    gsd: float | None
    native_size: Size
    stretch: tuple[tuple[float, float], ...] | None
    nodata: float | None
