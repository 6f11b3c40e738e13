"""The raster that `rsiseg up` shows, and its chips under the folder that Label Studio serves files from."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from backend.studio.environment import CHECKOUT
from backend.studio.installation import Installation
from converters.errors import RasterError
from converters.importing.survey import import_rasters
from converters.task_addresses import TaskAddresses

# A real, georeferenced picture where the folder of real imagery lies beside the checkout (bridge, cars, roofs; 10 cm).
REAL_TILE = Path("shared/data/geotiffs/images/deepforest/5b90f92da0d7280005fab355_4310.tif")
_SCENE_SIZE = 1200
_SCENE_SEED = 1


@dataclass(frozen=True, slots=True)
class ChipSet:
    """The chips of one raster, ready to be served.

    raster: the source, absolute. folder: chips and tasks.json, below the folder of local files. tasks: as `rsiseg import` made them.
    """

    raster: Path
    folder: Path
    tasks: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """Unique for a raster's path and state: a changed file is another set."""
        return self.folder.name


def choose_tile(given: Path | None, installation: Installation) -> Path:
    """The given raster, else the real tile beside the checkout, else a scene that is drawn into the data folder.

    Raises RasterError when the given one is not there.
    """
    if given is not None:
        if not given.is_file():
            raise RasterError(f"there is no raster {given}; expected a GeoTIFF or another file that GDAL opens; check the path")
        return given.resolve()
    real = CHECKOUT.parent / REAL_TILE
    return real if real.is_file() else draw_scene(installation.folder / "scene")


def draw_scene(folder: Path) -> Path:
    """The raster of a procedural aerial scene in `folder`; drawn at the first call, its label raster beside it."""
    image, legend = folder / f"scene_{_SCENE_SEED}.tif", folder / f"scene_{_SCENE_SEED}_legend.json"
    if image.is_file() and legend.is_file():  # the legend is written last
        return image
    from converters.scene import write_scene  # noqa: PLC0415  (only where no real tile is at hand)

    return write_scene(folder, size=_SCENE_SIZE, seed=_SCENE_SEED).image


def import_tile(raster: Path, installation: Installation, progress: Callable[[int, int], None]) -> ChipSet:
    """The chips of `raster`; cut at the first call for this state of the file, found again later.

    Raises RasterError, with nothing left behind, for a file that cannot be imported.
    """
    state = raster.stat()
    digest = hashlib.sha256(f"{raster}|{state.st_size}|{state.st_mtime_ns}".encode()).hexdigest()[:8]
    folder = installation.files / f"{_plain(raster.stem)}-{digest}"
    tasks = folder / "tasks.json"
    if not tasks.is_file():
        addresses = TaskAddresses(out=folder, document_root=installation.files, url_prefix=None, raster_root=None)
        summary = import_rasters([str(raster)], addresses, progress=progress)
        if summary.tasks is None:
            raise RasterError(summary.failed[0].reason if summary.failed else f"{raster} was not imported; expected a raster image")
    return ChipSet(raster=raster, folder=folder, tasks=_empty_last(json.loads(tasks.read_text(encoding="utf-8")), installation.files))


def _empty_last(tasks: list[dict[str, Any]], files: Path) -> list[dict[str, Any]]:
    """The tasks in their order, but chips that show next to nothing, such as the black corner of a turned orthophoto, at the end.

    Nothing is told by the picture's compressed size: less than a tenth of the usual bytes for a pixel.
    """

    def bytes_for_a_pixel(task: dict[str, Any]) -> float:
        _, _, width, height = task["data"]["window"]
        return (files / unquote(task["data"]["image"].partition("?d=")[2])).stat().st_size / (width * height)

    sizes = {task["data"]["image"]: bytes_for_a_pixel(task) for task in tasks}
    limit = statistics.median(sizes.values()) / 10
    return sorted(tasks, key=lambda task: sizes[task["data"]["image"]] < limit)


def _plain(stem: str) -> str:
    """For a folder name that needs no quoting in an address."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem)[:60]
