"""What the names of the ISPRS Potsdam and Vaihingen files say about their bands, their role and their place.

Potsdam     top_potsdam_2_10_RGB.tif, ..._IRRG.tif, ..._RGBIR.tif; labels ..._label.tif, ..._label_noBoundary.tif; heights
            dsm_potsdam_02_10.tif. Rows and columns are zero-padded in some products only.
Vaihingen   top_mosaic_09cm_area1.tif, infrared, red, green. Its label has the same name in another folder, so a name alone
            does not tell the two apart: `looks_like_labels` asks the pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# UTM 33 north on WGS 84, the grid of every Potsdam tile; used only where a tile states none, and then reported as assumed.
POTSDAM_CRS = "EPSG:32633"
# What Vaihingen's eastings of about 497 000 suggest; never used unasked, since no published source states it.
VAIHINGEN_SUGGESTION = "EPSG:32632"

_POTSDAM = re.compile(r"potsdam_0?(\d+)_0?(\d+)(?:_(RGBIR|IRRG|RGB|label))?(?![0-9A-Z])", re.IGNORECASE)
_VAIHINGEN = re.compile(r"(?:top_mosaic_09cm|vaihingen)_area(\d+)", re.IGNORECASE)
_HEIGHT = re.compile(r"^n?dsm_|_normalized_", re.IGNORECASE)
_LABEL = re.compile(r"(?:^|_)label(?:_|$)|_noBoundary", re.IGNORECASE)
_POTSDAM_BANDS = {"RGB": ("R", "G", "B"), "IRRG": ("IR", "R", "G"), "RGBIR": ("R", "G", "B", "IR")}


@dataclass(frozen=True, slots=True)
class IsprsName:
    """What one file name says.

    dataset: "potsdam" or "vaihingen".
    tile: "2_10" (row_column, not padded) or "area1".
    role: "image", "label" or "height" as far as the name tells.
    bands: letters in file order; None where the name leaves it open (a Potsdam file without a product).
    """

    dataset: str
    tile: str
    role: str
    bands: tuple[str, ...] | None

    @property
    def title(self) -> str:
        """Data set and tile in words."""
        return f"ISPRS {self.dataset.capitalize()} {self.tile}"


def parse_name(path: str | Path) -> IsprsName | None:
    """What the base name of `path` says; None for a name of neither data set."""
    stem = Path(path).stem
    role = "label" if _LABEL.search(stem) else "height" if _HEIGHT.search(stem) else "image"
    if match := _POTSDAM.search(stem):
        product = (match[3] or "").upper()
        bands = _POTSDAM_BANDS.get(product) if role == "image" else None
        return IsprsName("potsdam", f"{match[1]}_{match[2]}", role, bands)
    if match := _VAIHINGEN.search(stem):
        return IsprsName("vaihingen", f"area{match[1]}", role, ("IR", "R", "G") if role == "image" else None)
    return None


def looks_like_labels(picture: NDArray[np.uint8]) -> bool:
    """Whether an HxWx3 uint8 picture is a class raster in the ISPRS palette: nearly every pixel is a corner of the colour cube.

    A lossy copy of a label (Potsdam 4_12) strays from the corners, so a distance of 40 grey levels is allowed; photographs do not
    come near it.
    """
    off = np.minimum(picture, 255 - picture).max(axis=-1)
    return bool((off <= 40).mean() > 0.98)
