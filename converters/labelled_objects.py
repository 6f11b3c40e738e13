"""What a labelled image is, and what counts as an object of it.

An object of a class raster is one 8-connected component of one class inside the window that is asked for. An object that was drawn by
itself (an annotation) is that annotation clipped to the window: one that lies within the window stays as it is, one that the window's
edge cuts counts as its 8-connected parts there. Either way an object has at least `min_area` pixels in the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.frames import Size


@dataclass(frozen=True, slots=True, eq=False)
class LabelledObject:
    """One object of one window.

    class_name: its class. area: pixels. box: (row0, col0, row1, col1) in px of the window, half open.
    inside: bool of the box's shape, true where the object is. window: size of the window.
    ignore: bool HxW of the window's pixels that count neither way, or None.
    """

    class_name: str
    area: int
    box: tuple[int, int, int, int]
    inside: NDArray[np.bool_] = field(repr=False)
    window: Size
    ignore: NDArray[np.bool_] | None = field(repr=False, default=None)

    @property
    def mask(self) -> NDArray[np.int8]:
        """int8 HxW of the window: 1 the object, 0 anything else, -1 ignored. An object's own pixels are never ignored."""
        mask = np.zeros((self.window.height, self.window.width), np.int8)
        if self.ignore is not None:
            mask[self.ignore] = -1
        row0, col0, row1, col1 = self.box
        mask[row0:row1, col0:col1][self.inside] = 1
        return mask

    @property
    def boxed_mask(self) -> NDArray[np.int8]:
        """`mask` cut to `box`, without ever making the whole."""
        mask = self.inside.astype(np.int8)
        if self.ignore is not None:
            row0, col0, row1, col1 = self.box
            mask[self.ignore[row0:row1, col0:col1] & ~self.inside] = -1
        return mask


class LabelledImage(Protocol):
    """An image and its objects; nothing but headers is read before it is asked for."""

    @property
    def name(self) -> str:
        """Name of the image, unique in its set; the file's name where that is."""
        ...

    @property
    def size(self) -> Size:
        """Width and height in px, from headers alone."""
        ...

    @property
    def bands(self) -> tuple[str, ...] | None:
        """Letters (`converters.bands`) of `read()`'s channels in order, without alpha; None where nothing is known of them."""
        ...

    @property
    def gsd(self) -> float | None:
        """Ground sampling distance: metres per px, the side of a square of a pixel's area; None where that is unknown."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the image and its objects are read from, the one with the pixels first."""
        ...

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window (None: all) as HxWxC uint8: every band a model may be given. RasterError for what cannot be decoded."""
        ...

    def objects(self, min_area: int, window: PixelWindow | None = None) -> list[LabelledObject]:
        """Objects of at least `min_area` pixels (and one) inside the window (None: all), in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """The images of one data set, sorted by name.

    kind: what was found at `path`, such as "COCO instances". notes: repairs and doubts that a report must print.
    """

    path: Path
    images: tuple[LabelledImage, ...]
    kind: str
    notes: tuple[str, ...] = ()


def whole(size: Size) -> PixelWindow:
    """The window that is the whole image."""
    return PixelWindow(0, 0, size.width, size.height)


def inside_image(window: PixelWindow | None, size: Size, name: str) -> PixelWindow:
    """The window, or the whole image for None. TaskError for a window that leaves the image or is empty."""
    if window is None:
        return whole(size)
    right, bottom = window.col_off + window.width, window.row_off + window.height
    if not (0 <= window.col_off < right <= size.width and 0 <= window.row_off < bottom <= size.height):
        raise TaskError(
            f"{name} is {size}; expected a window inside it, found {window.size} at column {window.col_off}, row {window.row_off}"
        )
    return window


def components(inside: NDArray[np.bool_], class_name: str, min_area: int, ignore: NDArray[np.bool_] | None = None) -> list[LabelledObject]:
    """The 8-connected components of `inside`, HxW of a window, that have at least `min_area` pixels, as objects of one class."""
    size = Size(inside.shape[1], inside.shape[0])
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    found: list[LabelledObject] = []
    for number, (left, top, width, height, area) in enumerate(stats.tolist()[1:], start=1):
        if area >= max(min_area, 1):
            box = (top, left, top + height, left + width)
            found.append(LabelledObject(class_name, area, box, numbered[top : box[2], left : box[3]] == number, size, ignore))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What of one annotation lies in a window.

    inside: bool. row, col: its upper-left pixel in px of the window; it lies within the window.
    cut: whether the annotation goes on beyond the window's edge, inside the image.
    """

    class_name: str
    inside: NDArray[np.bool_]
    row: int
    col: int
    cut: bool


def piece_of_mask(class_name: str, mask: NDArray[np.bool_], window: PixelWindow) -> Piece | None:
    """What of a mask of the whole image lies in the window."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    place = clipped(box, window)
    if place is None:
        return None
    top, left, bottom, right = place
    return Piece(class_name, mask[top:bottom, left:right], top - window.row_off, left - window.col_off, place != box)


def clipped(box: tuple[int, int, int, int], window: PixelWindow) -> tuple[int, int, int, int] | None:
    """A half open box (row0, col0, row1, col1) in px of the image, cut to the window; None when nothing is left."""
    row0, col0 = max(box[0], window.row_off), max(box[1], window.col_off)
    row1, col1 = min(box[2], window.row_off + window.height), min(box[3], window.col_off + window.width)
    return (row0, col0, row1, col1) if row0 < row1 and col0 < col1 else None


def annotated(pieces: Iterable[Piece], size: Size, min_area: int, ignore: NDArray[np.bool_] | None = None) -> list[LabelledObject]:
    """The objects that annotations are in a window of `size`, in their order; those that overlap stay separate.

    An annotation that the window's edge cuts is split into its 8-connected parts; any other stays one object, connected or not.
    """
    found: list[LabelledObject] = []
    for piece in pieces:
        if piece.cut:
            found += [_moved(part, piece, size, ignore) for part in components(piece.inside, piece.class_name, min_area)]
            continue
        rows, cols = np.flatnonzero(piece.inside.any(axis=1)), np.flatnonzero(piece.inside.any(axis=0))
        area = int(np.count_nonzero(piece.inside))
        if area >= max(min_area, 1):
            box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
            inside = np.ascontiguousarray(piece.inside[box[0] : box[2], box[1] : box[3]])
            found.append(_moved(LabelledObject(piece.class_name, area, box, inside, size), piece, size, ignore))
    return found


def _moved(each: LabelledObject, piece: Piece, size: Size, ignore: NDArray[np.bool_] | None) -> LabelledObject:
    """An object in px of a piece, in px of the window."""
    row0, col0, row1, col1 = each.box
    box = (row0 + piece.row, col0 + piece.col, row1 + piece.row, col1 + piece.col)
    return LabelledObject(each.class_name, each.area, box, each.inside, size, ignore)
