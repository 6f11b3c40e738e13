"""The pictures of a training set's chips: rendered again from the raster, or the very ones that were annotated."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from converters import bands as band_letters
from converters.chips import Chip
from converters.errors import ExportError
from converters.labelled_pixels import Picture
from converters.png import encode_png
from converters.rasters import read_window
from converters.task_files import TaskFiles

SOURCES = ("raster", "chips")
_TOLD = {
    "raster": "rendered from the rasters, native px, three bands of 8 bit as the tasks record them",
    "chips": "the import's own chips, as they were annotated",
}


@dataclass(frozen=True, slots=True)
class SetPictures:
    """source: "raster" reads each chip's window from its raster; "chips" takes the import's picture. files: where they are looked for."""

    source: str
    files: TaskFiles

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SetPictures:
        """From the options `images`, `home` (folder of the export), `roots` and `document_root`."""
        home = Path(options.get("home") or ".").resolve()
        return cls(str(options.get("images") or SOURCES[0]), TaskFiles(home, options.get("roots") or (), options.get("document_root")))

    @property
    def told(self) -> str:
        """Which pictures the set has, for the report."""
        return _TOLD[self.source]

    def png(self, chip: Chip) -> bytes:
        """The chip's picture as an 8-bit PNG of the window's size. Raises SourceError, RasterError or ExportError for what is not there."""
        return encoded(self._rendered(chip)) if self.source == "raster" else self._copied(chip)

    def raster(self, chip: Chip) -> Path:
        """The file of the chip's raster. ExportError when it is not the one that was annotated."""
        path = self.files.find(chip.raster)
        found = Picture(path).info.size
        if found != chip.native_size:
            raise ExportError(
                f"{path} is {found}, the task records {chip.native_size}; expected the raster that was annotated; restore it, or take the "
                "import's own pictures with --images chips"
            )
        return path

    def _rendered(self, chip: Chip) -> NDArray[np.uint8]:
        return read_window(
            self.raster(chip),
            chip.window,
            bands=band_letters.display(chip.bands),
            stretch=chip.stretch,
            nodata=chip.nodata,
            alpha=band_letters.alpha(chip.bands),
        )

    def _copied(self, chip: Chip) -> bytes:
        path = self.files.find(chip.image)
        try:
            data = path.read_bytes()
            with Image.open(io.BytesIO(data)) as picture:
                size, kind = picture.size, picture.format
                pixels = None if kind == "PNG" else np.asarray(picture.convert("RGB"))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise ExportError(f"{path} is no picture that can be read ({error}); expected the import's chip; restore it") from error
        if size != (chip.window.width, chip.window.height):
            raise ExportError(
                f"{path} is {size[0]} x {size[1]} px, its window {chip.window.size}; expected the same; "
                "render the pictures with --images raster"
            )
        return data if pixels is None else encoded(pixels)


def encoded(picture: NDArray[np.uint8]) -> bytes:
    """The PNG of HxW or HxWx3."""
    if picture.ndim == 3:
        return encode_png(picture)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=3)
    return file.getvalue()
