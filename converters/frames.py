"""The four frames of coordinates, and every conversion between them, once.

percent     Label Studio: 0..100 of the displayed image, x to the right, y down.
display px  the image the browser shows. Edge-based: (0, 0) is the outer corner of the upper-left pixel, as in GDAL.
native px   the chip's window of the raster, edge-based, counted from the window's own upper-left corner.
map         coordinates in the raster's CRS.

A network counts pixels instead (a centre is an integer); that step is `network_index` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine

from converters.errors import TaskError


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in whole pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} px"


@dataclass(frozen=True, slots=True)
class Percent:
    """A point in Label Studio's frame, 0..100 each way."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class NativePoint:
    """A point in native px of a chip's window, edge-based; the centre of the first pixel is (0.5, 0.5)."""

    col: float
    row: float


@dataclass(frozen=True, slots=True)
class Click:
    """One point given by the annotator.

    row, col: native px of the chip's window, edge-based, real numbers.
    positive: True adds to the object, False takes away.
    """

    row: float
    col: float
    positive: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle round an object, drawn by the annotator. Edges in native px of the chip's window, edge-based, real numbers."""

    row_min: float
    row_max: float
    col_min: float
    col_max: float

    @property
    def centre(self) -> Click:
        """What a box says to a network that reads clicks only: a positive click in its middle."""
        return Click(row=(self.row_min + self.row_max) / 2, col=(self.col_min + self.col_max) / 2, positive=True)


def percent_to_native(point: Percent, native: Size) -> NativePoint:
    """The native point under a percent point; percent outside 0..100 is clamped to the image's edge.

    The display image is a scaled picture of the whole window, so its own pixel count drops out: percent is a share of the window.
    """
    x = min(max(point.x, 0.0), 100.0)
    y = min(max(point.y, 0.0), 100.0)
    return NativePoint(col=x / 100.0 * native.width, row=y / 100.0 * native.height)


def native_to_percent(point: NativePoint, native: Size) -> Percent:
    """Inverse of `percent_to_native` inside the image."""
    return Percent(x=point.col / native.width * 100.0, y=point.row / native.height * 100.0)


def native_to_map(point: NativePoint, transform: Affine) -> tuple[float, float]:
    """Map coordinates (x, y) of a native point; `transform` is the chip's own affine, origin at the window's outer corner."""
    x, y = transform @ (point.col, point.row)
    return x, y


def map_to_native(x: float, y: float, transform: Affine) -> NativePoint:
    """Inverse of `native_to_map`. Raises TaskError for a transform that maps everything onto a line."""
    if transform.is_degenerate:
        raise TaskError(f"the transform {tuple(transform)[:6]} has no inverse; expected an affine with an area; re-import the raster")
    col, row = ~transform @ (x, y)
    return NativePoint(col=col, row=row)


def network_index(click: Click, native: Size) -> tuple[float, float]:
    """(row, col) of a click as a network counts pixels: centres are integers, fractions are kept, the outside is clamped.

    Clamping at 0 matters: an index below zero in both axes is the networks' padding mark, and a click at 0 %, 0 % is a click.
    """
    row = min(max(click.row - 0.5, 0.0), native.height - 1.0)
    col = min(max(click.col - 0.5, 0.0), native.width - 1.0)
    return row, col
