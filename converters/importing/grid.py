"""The grid of chips over a raster."""

from __future__ import annotations

from collections.abc import Iterator

from converters.chips import PixelWindow
from converters.frames import Size


def windows(size: Size, chip: int, overlap: int = 0) -> Iterator[PixelWindow]:
    """The chips of a raster, row by row from the upper left; what is left at the right and lower edge is kept as it is."""
    for row in chip_rows(size, chip, overlap):
        yield from row


def chip_rows(size: Size, chip: int, overlap: int = 0) -> Iterator[tuple[PixelWindow, ...]]:
    """The same, a row of chips at a time.

    chip: side in native px. overlap: px that neighbours share, less than `chip`; a chip inside its neighbour's share is left out.
    """
    cols = _starts(size.width, chip, overlap)
    for top in _starts(size.height, chip, overlap):
        height = min(chip, size.height - top)
        yield tuple(PixelWindow(left, top, min(chip, size.width - left), height) for left in cols)


def _starts(length: int, chip: int, overlap: int) -> range:
    return range(0, max(1, length - overlap), chip - overlap)
