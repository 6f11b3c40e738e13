"""A row of chips of one raster: read at once, shown in every view, written one file at a time. Runs in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.importing.emptiness import empty_reason
from converters.importing.prelabels import RasterLabels
from converters.importing.staging import EMPTY, LABELS, cannot_write
from converters.png import encode_png
from converters.rasters import chosen_stretch, picture_of, read_mask, read_native
from converters.remote_raster import RasterLocation
from converters.task_addresses import chip_name
from converters.whole_file import write_whole

# Bytes of the raster's own values that are held at once. Neighbours share blocks of the file, so a row is read in as few pieces as fit.
_AT_ONCE = 64 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """How the chips of a raster are made.

    stage: folder that receives them. views: (name, 1-based bands shown as red, green, blue); the first view's name is empty.
    stretch, nodata, alpha: as in a task. pixel_bytes: of one band. skip_empty: chips that show nothing get a mark instead of a picture.
    """

    raster: RasterLocation
    stage: Path
    views: tuple[tuple[str, tuple[int, int, int]], ...]
    stretch: tuple[tuple[float, float], ...] | None
    nodata: float | None
    alpha: int | None
    pixel_bytes: int
    skip_empty: bool
    labels: RasterLabels | None

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands that the views show, each once, in the order in which they are read."""
        return tuple(dict.fromkeys(band for _, bands in self.views for band in bands))


@dataclass(frozen=True, slots=True)
class CutRow:
    """Neighbouring windows of one row of chips, from left to right."""

    cut: Cut
    windows: tuple[PixelWindow, ...]


def cut_row(row: CutRow) -> int:
    """Writes the chips of a row into their stage; returns how many there are. Raises RasterError for what cannot be read or written."""
    for windows in _pieces(row):
        _cut_piece(row.cut, windows)
    return len(row.windows)


def _pieces(row: CutRow) -> Iterator[list[PixelWindow]]:
    """Runs of windows without gaps that are small enough to be read at once."""
    cut = row.cut
    piece: list[PixelWindow] = []
    for window in row.windows:
        if piece:
            width = window.col_off + window.width - piece[0].col_off
            size = width * window.height * cut.pixel_bytes * (len(cut.bands) + (cut.alpha is not None))
            if window.col_off > piece[-1].col_off + piece[-1].width or size > _AT_ONCE:
                yield piece
                piece = []
        piece.append(window)
    yield piece


def _cut_piece(cut: Cut, windows: Sequence[PixelWindow]) -> None:
    left, top = windows[0].col_off, windows[0].row_off
    whole = PixelWindow(left, top, windows[-1].col_off + windows[-1].width - left, windows[0].height)
    bands = [*cut.bands, *([] if cut.alpha is None else [cut.alpha])]
    values = read_native(cut.raster, whole, bands=bands)
    mask = read_mask(cut.raster, whole) if cut.skip_empty else None
    pairs = None if values.dtype == np.uint8 else chosen_stretch(cut.raster, cut.stretch, cut.bands)
    for window in windows:
        columns = slice(window.col_off - left, window.col_off - left + window.width)
        _write(cut, window, values[:, :, columns], pairs, None if mask is None else mask[:, columns])


def _write(
    cut: Cut,
    window: PixelWindow,
    values: NDArray[np.generic],
    pairs: list[tuple[float, float]] | None,
    mask: NDArray[np.bool_] | None,
) -> None:
    shown = values[: len(cut.bands)]
    opaque = None if cut.alpha is None else values[-1] != 0
    name = chip_name(window)
    try:
        if cut.skip_empty:
            seen = opaque if mask is None else mask if opaque is None else mask & opaque
            if (reason := empty_reason(shown, seen, cut.nodata)) is not None:
                write_whole(cut.stage / f"{name}{EMPTY}", reason.encode())
                return
        if cut.labels is not None:
            found = cut.labels.regions(window)
            write_whole(cut.stage / f"{name}{LABELS}", json.dumps(found, separators=(",", ":")).encode())
        picture = picture_of(shown, pairs=pairs, nodata=cut.nodata, opaque=opaque)
        order = {band: channel for channel, band in enumerate(cut.bands)}
        # The first view last: it says that the chip is finished.
        for view, numbers in reversed(cut.views):
            channels = [order[number] for number in numbers]
            view_picture = picture if channels == list(range(picture.shape[2])) else picture[..., channels]
            write_whole(cut.stage / chip_name(window, view), encode_png(view_picture))
    except OSError as error:
        raise cannot_write(cut.stage, error) from None
