"""The format yolo: segmentation labels for Ultralytics' YOLO, one text file for each chip, corners as shares of its width and height.

YOLO knows no holes and no scattered parts: a hole is cut along a bridge of no width (`one_ring`), and each part is a line, an instance of
its own. How far the written text is from the masks is measured from the text itself and told in the report.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import rasterio.features
from numpy.typing import NDArray
from shapely.affinity import translate

from converters.exporting.chip_set import TRAIN, VAL, ChipSet, MaskedRegion
from converters.exporting.class_codes import ClassCodes
from converters.exporting.one_ring import one_ring
from converters.label_studio_export import BrushShape
from converters.vectorise import polygons

if TYPE_CHECKING:
    from converters.exporting.formats import Request

# Of a share of the chip: on a chip of 10 000 px, a millionth of a pixel.
DECIMALS = 10


@dataclass(slots=True)
class Deviation:
    """How far the text is from the masks.

    wrong_px: most pixels of one object whose centre the written rings get wrong. opencv_wrong_px: the same when the corners are rounded
    down and filled with their outline by OpenCV, as YOLO's own loader does. bridged: holes cut open. split: objects in several lines.
    """

    wrong_px: int = 0
    opencv_wrong_px: int = 0
    bridged: int = 0
    split: int = 0

    def measure(self, one: MaskedRegion, rings: list[NDArray[np.float64]]) -> None:
        """Compares the rings (px of the chip) with the region's pixels, in the smallest window that holds both."""
        corners = np.concatenate(rings)
        col, row = np.minimum(np.floor(corners.min(axis=0)), (one.col, one.row)).astype(int).tolist()
        right, foot = np.ceil(corners.max(axis=0)).astype(int).tolist()
        height, width = one.inside.shape
        right, foot = max(right, one.col + width) + 1, max(foot, one.row + height) + 1  # OpenCV draws on the far edge, too
        mask = np.zeros((foot - row, right - col), np.bool_)
        mask[one.row - row : one.row - row + height, one.col - col : one.col - col + width] = one.inside
        local = [ring - (col, row) for ring in rings]
        self.wrong_px = max(self.wrong_px, int(np.count_nonzero(filled(local, mask.shape) != mask)))
        self.opencv_wrong_px = max(self.opencv_wrong_px, int(np.count_nonzero(filled_by_opencv(local, mask.shape) != mask)))


def write(request: Request) -> None:
    """Writes the folder."""
    found, off = ChipSet.of(request), Deviation()
    for chip in found.chips():
        for kind in ("images", "labels"):
            (request.out / kind / chip.part).mkdir(parents=True, exist_ok=True)
        (request.out / "images" / chip.part / f"{chip.name}.png").write_bytes(chip.png)
        text = "".join(f"{one.code} {line}\n" for one in chip.regions for line in lines(one, off))
        (request.out / "labels" / chip.part / f"{chip.name}.txt").write_text(text, encoding="ascii", newline="\n")
    request.out.mkdir(parents=True, exist_ok=True)
    (request.out / "data.yaml").write_text(_data_yaml(found.classes, bool(found.counted[VAL])), encoding="utf-8", newline="\n")
    account = request.account
    account.fact("largest_deviation_px", off.wrong_px)
    account.fact("largest_deviation_filled_by_opencv_px", off.opencv_wrong_px)
    account.fact("holes_cut_along_a_bridge", off.bridged)
    account.fact("objects_in_several_lines", off.split)


def lines(one: MaskedRegion, off: Deviation) -> list[str]:
    """The corners of each part as text: "x y x y ...", shares of the chip; what they cannot say is added to `off`."""
    if isinstance(one.region.region.shape, BrushShape):
        parts = [translate(part, one.col, one.row) for part in polygons(one.inside)]
    else:
        parts = one.region.parts()
    width, height = one.size.width, one.size.height
    written = [_text(one_ring(part) / (width, height)) for part in parts]
    off.bridged += sum(len(part.interiors) for part in parts)
    off.split += len(parts) > 1
    off.measure(one, [parsed(text, width, height) for text in written])
    return written


def parsed(text: str, width: int, height: int) -> NDArray[np.float64]:
    """The corners Nx2 (col, row) in px of a line without its class."""
    return np.array(text.split(), np.float64).reshape(-1, 2) * (width, height)


def filled(rings: list[NDArray[np.float64]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels whose centre one of the rings encloses."""
    shapes = [{"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]} for ring in rings]
    return np.asarray(rasterio.features.rasterize(shapes, shape[:2], dtype=np.uint8)) != 0


def filled_by_opencv(rings: list[NDArray[np.float64]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What OpenCV fills, outline included, after rounding the corners down to whole pixels."""
    canvas: NDArray[np.uint8] = np.zeros(shape[:2], np.uint8)
    for ring in rings:
        cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
    return canvas != 0


def _text(shares: NDArray[np.float64]) -> str:
    # Corners of pixels share few columns and rows: each number is written out once.
    numbers, which = np.unique(shares.ravel(), return_inverse=True)
    texts = [f"{number:.{DECIMALS}f}".rstrip("0").rstrip(".") for number in numbers.tolist()]
    return " ".join([texts[index] for index in which.tolist()])


def _data_yaml(classes: ClassCodes, has_val: bool) -> str:
    """JSON's strings are YAML's; YOLO needs a val, so without one it is judged on what it learned from."""
    names = "".join(f"  {code}: {json.dumps(name, ensure_ascii=False)}\n" for code, name in enumerate(classes.names))
    return f"path: .\ntrain: images/{TRAIN}\nval: images/{VAL if has_val else TRAIN}\nnames:\n{names}"
