"""Label Studio's JSON export: a team's own accepted annotations as objects.

One image a task: the chip that `rsiseg import` made it from (its window of the raster, native px and bands), or the picture itself. The
latest annotation that was not cancelled counts; every brush and polygon region of it is one object, and regions that overlap stay
separate. Files are looked for beside the export and below the roots given, nowhere else; nothing is downloaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from converters import rle
from converters.bands import format_bands
from converters.chips import Chip, PixelWindow
from converters.errors import RSISegError, TaskError
from converters.exporting.chosen import latest_annotation
from converters.exporting.region_shape import is_display_size
from converters.frames import Size, percent_to_native
from converters.label_studio import chip_from_task_data, has_chip
from converters.label_studio_export import AnnotatedTask, BrushShape, NoRegion, Region, read_export, regions
from converters.labelled_objects import LabelledObject, LabelledSet, Piece, annotated, inside_image, piece_of_mask
from converters.labelled_pixels import PICTURES, Picture, channels
from converters.labelled_shapes import burnt
from converters.rasters import read_window
from converters.task_files import TaskFiles, bare_name

KIND = "Label Studio export"
_EXIF_ORIENTATION = 0x0112
# As many reasons for leaving something out are told apart in the notes.
_REASONS = 8
_CHIPLESS_ENDINGS = (*PICTURES, ".webp", ".bmp", ".gif")


@dataclass(frozen=True, slots=True)
class ExportLabelled:
    """A task with its annotation. raster: the file that the chip's window is read from. source: the export. regions: its objects."""

    name: str
    chip: Chip
    raster: Path
    source: Path
    regions: tuple[Region, ...]
    recipe: tuple[str, ...] | None

    @property
    def size(self) -> Size:
        """Size of the chip's window, native px."""
        return self.chip.window.size

    @property
    def bands(self) -> tuple[str, ...] | None:
        """As the task records them."""
        return channels(self.chip.bands, self.recipe, self.raster).letters

    @property
    def gsd(self) -> float | None:
        """As the task records it."""
        return self.chip.gsd

    @property
    def files(self) -> tuple[Path, ...]:
        """Raster and export."""
        return self.raster, self.source

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window of the chip as HxWxC, stretched as the task records."""
        window = inside_image(window, self.size, self.name)
        place = self.chip.window
        chosen = channels(self.chip.bands, self.recipe, self.raster)
        return read_window(
            self.raster,
            PixelWindow(place.col_off + window.col_off, place.row_off + window.row_off, window.width, window.height),
            bands=chosen.numbers,
            stretch=self.chip.stretch,
            nodata=self.chip.nodata,
            alpha=chosen.alpha,
        )

    def objects(self, min_area: int, window: PixelWindow | None = None) -> list[LabelledObject]:
        """The regions in the export's order, clipped to the window."""
        window = inside_image(window, self.size, self.name)
        pieces = [piece for region in self.regions if (piece := self._piece(region, window)) is not None]
        return annotated(pieces, window.size, min_area)

    def _piece(self, region: Region, window: PixelWindow) -> Piece | None:
        name, shape = region.labels[0], region.shape
        if not isinstance(shape, BrushShape):
            corners = [percent_to_native(point, self.size) for point in shape.points]
            return burnt(name, [[np.array([(corner.col, corner.row) for corner in corners])]], self.size, window)
        try:
            mask = rle.decode(shape.rle, shape.size)
        except TaskError as error:
            raise TaskError(f"{self.source}: region {region.id} of {self.name}: {error}") from error
        return piece_of_mask(name, _resampled(mask, self.size), window)


def _resampled(mask: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    """The mask of the picture in native px of the window: what the picture shows at each pixel's centre."""
    height, width = mask.shape
    if (width, height) == (size.width, size.height):
        return mask
    rows = ((np.arange(size.height) + 0.5) * height / size.height).astype(int)
    cols = ((np.arange(size.width) + 0.5) * width / size.width).astype(int)
    return mask[np.ix_(rows, cols)]


def open_export(
    path: Path, document: object, recipe: tuple[str, ...] | None, roots: Sequence[Path] = (), document_root: Path | None = None
) -> LabelledSet:
    """The set of an export and what it holds.

    roots: further folders whose files may be read. document_root: what Label Studio's /data/local-files/?d= counts from; None tries the
    export's folder and the roots. Tasks whose file is not there are left out, and noted. TaskError when none is left.
    """
    files = TaskFiles(path.resolve().parent, roots, document_root)
    images: list[ExportLabelled] = []
    lost: list[str] = []
    left_out: Counter[str] = Counter()
    for task in read_export(document):
        annotation = latest_annotation(task)
        if annotation is None:
            left_out["tasks without an annotation"] += 1
            continue
        try:
            chip, raster = _chip(task, files)
        except RSISegError as error:
            lost.append(f"task {task.id}: {error}")
            continue
        kept = list(_kept(regions(annotation), chip, left_out))
        images.append(ExportLabelled(_name(chip, raster), chip, raster, path, tuple(kept), recipe))
    if not images:
        reason = lost[0] if lost else "no task has an annotation; submit one in Label Studio and export again"
        raise TaskError(f"{path} has no task to learn from: {reason}")
    images = _uniquely_named(images)
    return LabelledSet(path, tuple(sorted(images, key=lambda image: image.name)), KIND, _notes(images, lost, left_out))


def _kept(found: Iterator[Region | NoRegion], chip: Chip, left_out: Counter[str]) -> Iterator[Region]:
    for region in found:
        if isinstance(region, NoRegion):
            left_out[f"results ({region.reason})"] += 1
        elif region.shape.size is not None and not is_display_size(region.shape.size, chip):
            left_out[f"regions drawn on a picture of another size than the task's ({region.shape.size})"] += 1
        else:
            yield region


def _notes(images: Sequence[ExportLabelled], lost: list[str], left_out: Counter[str]) -> tuple[str, ...]:
    notes = [f"{count} {what} are left out" for what, count in left_out.most_common(_REASONS)]
    if len(left_out) > _REASONS:
        notes.append(f"{sum(left_out.values()) - sum(count for _, count in left_out.most_common(_REASONS))} more results are left out")
    if lost:
        notes.insert(0, f"{len(lost)} annotated tasks are left out; {lost[0]}")
    every = [region for image in images for region in image.regions]
    several = sum(len(region.labels) > 1 for region in every)
    if several:
        notes.append(f"{several} regions have several labels; the first is their class")
    models = Counter(str(region.made_by.get("model", "a model")) for region in every if region.made_by)
    if models:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(models.items()))
        notes.append(
            f"{sum(models.values())} of {len(every)} regions were drawn by a model before a person accepted them: {names}; "
            "a comparison on them favours that model"
        )
    return tuple(notes)


def _name(chip: Chip, raster: Path) -> str:
    """The raster's file name, with the window where that is not all of it."""
    window = chip.window
    if window.size == chip.native_size:
        return raster.name
    return f"{raster.stem}_r{window.row_off:06d}_c{window.col_off:06d}_{window.width}x{window.height}{raster.suffix}"


def _uniquely_named(images: list[ExportLabelled]) -> list[ExportLabelled]:
    """Several tasks of one window, and rasters of one name in several folders, are numbered in the export's order."""
    seen: Counter[str] = Counter()
    named: list[ExportLabelled] = []
    for image in images:
        seen[image.name] += 1
        stem, dot, ending = image.name.rpartition(".")
        name = image.name if seen[image.name] == 1 else f"{stem}-{seen[image.name]}{dot}{ending}"
        named.append(ExportLabelled(name, image.chip, image.raster, image.source, image.regions, image.recipe))
    return named


# --- the task's file


def _chip(task: AnnotatedTask, files: TaskFiles) -> tuple[Chip, Path]:
    """The chip of a task and its raster. RSISegError when the file is not there or another one than was annotated."""
    if has_chip(task.data):
        chip = chip_from_task_data(task.data)
        raster = files.find(chip.raster)
        info = Picture(raster).info
        if info.size != chip.native_size or len(info.bands) != len(chip.bands):
            raise TaskError(
                f"{raster} is {info.size} with {len(info.bands)} bands, the task records {chip.native_size} and "
                f"{format_bands(chip.bands)}; expected the raster that was annotated; restore it"
            )
        return chip, raster
    uri = _picture_address(task)
    raster = files.find(uri)
    _refuse_turned(raster)
    picture = Picture(raster)
    info, whole = picture.info, PixelWindow(0, 0, picture.size.width, picture.size.height)
    return Chip(uri, uri, whole, info.transform, info.crs, info.bands, 1.0, picture.gsd, info.size, picture.stretch, info.nodata), raster


def _picture_address(task: AnnotatedTask) -> str:
    """The address of the one picture in a task's data."""
    texts: dict[str, Any] = {key: value for key, value in task.data.items() if isinstance(value, str)}
    found = [value for value in texts.values() if bare_name(value).lower().endswith(_CHIPLESS_ENDINGS)]
    if "image" in texts:
        return texts["image"]
    if len(found) != 1:
        raise TaskError(f"its data names {len(found)} pictures among {', '.join(map(str, task.data))}; expected one, under the key image")
    return found[0]


def _refuse_turned(path: Path) -> None:
    """Browsers turn a photograph as its EXIF says and raster readers do not: its regions would lie elsewhere."""
    try:
        with Image.open(path) as picture:
            orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return
    if orientation not in (0, 1):
        raise TaskError(
            f"the picture {path.name} is stored turned (EXIF orientation {orientation}), so its regions would miss; save it upright"
        )
