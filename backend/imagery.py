"""The pixels behind a task: its chip, the local file of its raster, and the window in the bands that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.byte_cache import ByteCache
from backend.errors import ContractError
from backend.session import PixelKey, SourceStamp
from converters import bands, label_studio, rasters
from converters.chips import Chip, PixelWindow
from converters.errors import SourceError, TaskError
from converters.frames import Size
from converters.origins import shown

_EXIF_ORIENTATION = 0x0112
# 10 000 x 10 000: the float map of one click is 400 MB then, and no browser shows more.
_MOST_PIXELS = 100_000_000


class Resolves(Protocol):
    """What is needed of `converters.resolver.Resolver`."""

    def local_path(self, uri: str, *, task_id: int | None = None) -> Path:
        """A readable local file with the content of `uri`; SourceError otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class TaskImage:
    """A task's chip and the state of its raster's file on disk when it was asked for."""

    chip: Chip
    path: Path
    stamp: SourceStamp

    @property
    def native(self) -> Size:
        """The window's size in native px, which is the size of every mask."""
        return self.chip.window.size

    @property
    def display(self) -> Size:
        """The size of the picture that the browser shows."""
        window, scale = self.chip.window, self.chip.scale
        return Size(max(1, round(window.width * scale)), max(1, round(window.height * scale)))


class Imagery:
    """Finds and reads the pixels of tasks; keeps windows up to `window_bytes`. Safe to share between threads."""

    def __init__(self, resolver: Resolves, *, window_bytes: int) -> None:
        self._resolver = resolver
        self.windows: ByteCache[PixelKey, NDArray[np.uint8]] = ByteCache(window_bytes)
        self._descriptions: ByteCache[tuple[Path, SourceStamp], rasters.RasterInfo] = ByteCache(256)

    def of_task(self, task: Mapping[str, Any], image_field: str) -> TaskImage:
        """The chip of a task; a task that `rsiseg import` did not make is a picture, which is its own raster, whole.

        image_field: the key of the task's `data` that the Image tag shows.
        Raises TaskError for broken chip data, SourceError for a file that is not there or not allowed, RasterError for one that is no
        raster, ContractError when the raster is not the one that was imported.
        """
        image = self._of_task(task, image_field)
        if image.native.width * image.native.height > _MOST_PIXELS:
            raise ContractError(
                f"the picture is {image.native}, more than {_MOST_PIXELS // 10**6} million px; cut it into chips with `rsiseg import`"
            )
        return image

    def _of_task(self, task: Mapping[str, Any], image_field: str) -> TaskImage:
        data = task.get("data")
        task_id = task.get("id") if isinstance(task.get("id"), int) else None
        if not label_studio.has_chip(data):
            return self._picture(data, image_field, task_id)
        chip = _checked_chip(data)
        path, stamp = self._file(chip.raster, task_id)
        found = self._describe(path, stamp).size
        if found != chip.native_size:
            raise ContractError(
                f"the raster {path.name} is {found}, recorded were {chip.native_size}; it was replaced; "
                "import it again with `rsiseg import`"
            )
        return TaskImage(chip, path, stamp)

    def pixel_key(self, image: TaskImage, recipes: Sequence[Sequence[str]]) -> PixelKey:
        """What identifies the pixels of `image` in the first of `recipes` that it has. Raises RasterError when it has none."""
        chip = image.chip
        return PixelKey(
            source=image.stamp,
            window=chip.window,
            bands=bands.select(chip.bands, recipes),
            stretch=chip.stretch,
            nodata=repr(chip.nodata),
        )

    def pixels(self, image: TaskImage, key: PixelKey) -> NDArray[np.uint8]:
        """HxWxC uint8 of the window, native px, in the band order of `key`; read-only. Raises RasterError."""
        kept = self.windows.get(key)
        if kept is not None:
            return kept
        chip = image.chip
        window = rasters.read_window(
            image.path, chip.window, bands=key.bands, stretch=chip.stretch, nodata=chip.nodata, alpha=bands.alpha(chip.bands)
        )
        window.setflags(write=False)
        self.windows.put(key, window, window.nbytes)
        return window

    def _picture(self, data: object, image_field: str, task_id: int | None) -> TaskImage:
        uri = data.get(image_field) if isinstance(data, Mapping) else None
        if not isinstance(uri, str) or not uri:
            raise ContractError(f"the task's data has no picture under {image_field!r}; expected the address of one image")
        path, stamp = self._file(uri, task_id)
        info = self._describe(path, stamp)
        _refuse_turned_picture(path)
        chip = Chip(
            image=uri,
            raster=uri,
            window=PixelWindow(0, 0, info.size.width, info.size.height),
            transform=info.transform,
            crs=info.crs,
            bands=info.bands,
            scale=1.0,
            gsd=info.gsd,
            native_size=info.size,
            stretch=None,
            nodata=info.nodata,
        )
        return TaskImage(chip, path, stamp)

    def _file(self, uri: str, task_id: int | None) -> tuple[Path, SourceStamp]:
        path = self._resolver.local_path(uri, task_id=task_id)
        try:
            status = path.stat()
        except OSError:
            raise SourceError(f"the file of {shown(uri)} is gone; expected it at {path}; restore it or import the raster again") from None
        return path, SourceStamp(uri, status.st_size, status.st_mtime_ns)

    def _describe(self, path: Path, stamp: SourceStamp) -> rasters.RasterInfo:
        info = self._descriptions.get((path, stamp))
        if info is None:
            info = rasters.describe(path)
            self._descriptions.put((path, stamp), info, 1)
        return info


def _checked_chip(data: object) -> Chip:
    chip = label_studio.chip_from_task_data(data)
    if not 1e-3 <= chip.scale <= 1e3:
        raise TaskError(
            f"the scale of the task's data is {chip.scale}; expected display px per native px, 0.001 to 1000; import the raster again"
        )
    return chip


def _refuse_turned_picture(path: Path) -> None:
    """Browsers turn a photograph as its EXIF says and raster readers do not, so a click would land elsewhere."""
    try:
        with Image.open(path) as picture:
            orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return  # not a kind of picture that Pillow knows, so none that carries an orientation
    if orientation not in (0, 1):
        raise ContractError(
            f"the picture {path.name} is stored turned (EXIF orientation {orientation}), so clicks would miss; "
            "save it upright, or import it with `rsiseg import`"
        )
