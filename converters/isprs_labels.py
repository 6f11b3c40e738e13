"""Classes from the colours of ISPRS label files, also of those that lost their exact colours.

Every channel is cut at 127 and the corner of the colour cube is looked up: six corners are classes, black is ignored, magenta is an error.
Pixels that were not at a corner already count as repaired. Two published files need that: Potsdam 4_12 is a lossy copy without one exact
pixel, and most cars of Potsdam 6_7 are (252, 255, 0). Any other file that needs much of it is not what it is taken for.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.labelled_pixels import Picture
from converters.rasters import RasterInfo, read_window

# Corner of the cube as three bits, red the highest.
IGNORED, UNKNOWN, CLUTTER = 0b000, 0b101, 0b100
CLASSES = {0b111: "impervious surfaces", 0b001: "building", 0b011: "low vegetation", 0b010: "tree", 0b110: "car"}
"""Corner -> class, in the benchmark's order. Clutter is left out: it is background, as in the study."""

MAX_REPAIRED = 0.001
"""Largest share of pixels that may need repair in a file that is not in LOSSY."""

LOSSY = {
    ("potsdam", "4_12"): "the published file is a lossy copy",
    ("potsdam", "6_7"): "most cars of the published file are (252, 255, 0)",
}
"""Files whose colours are known to be off, by data set and tile."""

WRONG = {("potsdam", "7_10"): "its annotation is known to be wrong in places; most published work does not train on it"}
"""Files whose content is known to be wrong."""

_CORNER, _OFF = 0b111, 0x80
_STRIP = 512
_TABLE = np.array(
    [[[(bit if value > 127 else 0) | (0 if value in (0, 255) else _OFF) for bit in (4, 2, 1)] for value in range(256)]], dtype=np.uint8
)


@dataclass(frozen=True, slots=True)
class LabelSurvey:
    """What decoding a whole label file came upon, in pixels.

    repaired: not exactly a corner of the colour cube. ignored: black. unknown: magenta.
    """

    pixels: int
    repaired: int
    ignored: int
    unknown: int


def decode(path: Path, window: PixelWindow) -> NDArray[np.uint8]:
    """The corners of a window of a label file, uint8 HxW: a key of CLASSES, CLUTTER, IGNORED or UNKNOWN.

    Raises RasterError for what cannot be decoded, TaskError for a file that is not in colours.
    """
    return np.bitwise_and(_codes(path, window), np.uint8(_CORNER))


def survey(path: Path) -> LabelSurvey:
    """What there is in a whole label file; read in strips, once per process as long as the file does not change."""
    status = path.stat()
    return _survey(path, status.st_mtime_ns, status.st_size)


def judge(path: Path, dataset: str, tile: str, *, eroded: bool) -> tuple[str, ...]:
    """The sentences that a report must print about a label file, after a survey of all its pixels.

    eroded: whether the file is one with ignored boundaries. Raises TaskError for a file that cannot be a label as published.
    """
    found, title, known = survey(path), f"{dataset}_{tile}", LOSSY.get((dataset, tile))
    share = found.repaired / found.pixels
    if known is None and share > MAX_REPAIRED:
        raise TaskError(
            f"{path}: {found.repaired} of {found.pixels} px ({share:.2%}) are in none of the benchmark's colours; expected at most "
            f"{MAX_REPAIRED:.1%}, since this file is known to be sound; unpack it again; labels must not be resampled or saved as JPEG"
        )
    if known is None and found.unknown:
        raise TaskError(
            f"{path}: {found.unknown} px are magenta, no class of the benchmark; expected its six colours, or black where nothing "
            "counts; give the file as it was published"
        )
    notes: list[str] = []
    if found.repaired:
        why = f"; {known}" if known else ""
        notes.append(
            f"{title}: {found.repaired} of {found.pixels} label px ({share:.2%}) were off palette and took the nearest colour{why}"
        )
    if found.unknown:
        notes.append(f"{title}: {found.unknown} label px came out magenta, which is no class, and are ignored")
    if found.ignored and not eroded:
        notes.append(f"{title}: {found.ignored} label px are black, which full labels do not have, and are ignored")
    if wrong := WRONG.get((dataset, tile)):
        notes.append(f"{title}: {wrong}")
    return tuple(notes)


def label_info(path: Path) -> RasterInfo:
    """What a label file says about itself. TaskError unless it has colours: three bands of 8 bit, a fourth for alpha, or a palette."""
    info = Picture(path).info
    if info.dtype != "uint8" or len(info.bands) not in (3, 4):
        raise TaskError(
            f"the label {path} has {len(info.bands)} band{'s' * (len(info.bands) != 1)} of {info.dtype}; expected the benchmark's colours "
            "(three bands of 8 bit, or a palette), since bare class numbers have no agreed order; give the file as it was published"
        )
    return info


def _codes(path: Path, window: PixelWindow) -> NDArray[np.uint8]:
    """Corner of every pixel of a window, with the bit _OFF where it was repaired."""
    label_info(path)
    red, green, blue = cv2.split(cv2.LUT(read_window(path, window, bands=(1, 2, 3)), _TABLE))
    return cv2.bitwise_or(cv2.bitwise_or(red, green), blue).astype(np.uint8, copy=False)


@functools.lru_cache(maxsize=256)
def _survey(path: Path, modified: int, size: int) -> LabelSurvey:
    info = label_info(path).size
    counts = np.zeros(256, np.int64)
    for row in range(0, info.height, _STRIP):
        window = PixelWindow(0, row, info.width, min(_STRIP, info.height - row))
        counts += np.bincount(_codes(path, window).ravel(), minlength=256)
    return LabelSurvey(
        pixels=int(counts.sum()),
        repaired=int(counts[_OFF:].sum()),
        ignored=int(counts[[IGNORED, IGNORED | _OFF]].sum()),
        unknown=int(counts[[UNKNOWN, UNKNOWN | _OFF]].sum()),
    )
