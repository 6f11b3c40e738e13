"""Folders with `images/`, `labels/` and `classes.json`: class rasters whose connected components are the objects.

An image and its label have one name, whatever their endings; the label is of one size with its image and holds class values (one band)
or colours (three bands or a palette, which is read as its colours). `classes.json`:
`{"classes": {name: value or [r, g, b]}, "ignore": [...], "background": [...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.errors import RSISegError, TaskError
from converters.frames import Size
from converters.labelled_objects import LabelledObject, LabelledSet, components, inside_image
from converters.labelled_pixels import Picture, look, picture_files, read_values, unique

KIND = "images and label rasters"


@dataclass(frozen=True, slots=True)
class Classes:
    """The colour (three equal channels for a value) of each class, and of the pixels that are ignored."""

    values: Mapping[str, tuple[int, ...]]
    ignore: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class RasterLabelled:
    """An image whose labels are a raster of class values or colours."""

    picture: Picture
    label: Path
    classes: Classes

    @property
    def name(self) -> str:
        """The image's file name."""
        return self.picture.path.name

    @property
    def size(self) -> Size:
        """Size of the image."""
        return self.picture.size

    @property
    def bands(self) -> tuple[str, ...] | None:
        """As the image's file says."""
        return self.picture.bands

    @property
    def gsd(self) -> float | None:
        """From the georeference of the image, else of its label."""
        return self.picture.gsd or Picture(self.label).gsd

    @property
    def files(self) -> tuple[Path, ...]:
        """Image and label."""
        return self.picture.path, self.label

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window as HxWxC."""
        return self.picture.read(window)

    def objects(self, min_area: int, window: PixelWindow | None = None) -> list[LabelledObject]:
        """8-connected components of every class inside the window, class by class in `classes.json` order."""
        found, size = Picture(self.label).size, self.size
        if found != size:
            raise TaskError(f"{self.label} is {found}, its image {size}; expected the same size; export the label again")
        label = read_values(self.label, inside_image(window, size, self.name))
        ignore = _equal_any(label, self.classes.ignore) if self.classes.ignore else None
        return [
            each for name, value in self.classes.values.items() for each in components(_equal_any(label, (value,)), name, min_area, ignore)
        ]


def open_folder(folder: Path, recipe: tuple[str, ...] | None) -> LabelledSet:
    """The set of a folder with `classes.json`. TaskError says what is missing."""
    classes = read_classes(folder / "classes.json")
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            raise TaskError(f"{folder} has no folder {part}; expected images/ and labels/ beside classes.json; put the pictures there")
    labels = {path.stem: path for path in picture_files(folder / "labels")}
    pictures = picture_files(folder / "images")
    unique([path.stem for path in pictures], f"{folder / 'images'}")
    images = tuple(RasterLabelled(Picture(path, recipe), labels[path.stem], classes) for path in pictures if path.stem in labels)
    if not images:
        raise TaskError(f"{folder}: no file of images/ has a label of the same name in labels/; expected pairs such as a.png and a.png")
    unpaired = [path.name for path in pictures if path.stem not in labels]
    notes = (f"{len(unpaired)} images have no label and are left out, {unpaired[0]} among them",) if unpaired else ()
    return LabelledSet(folder, images, KIND, (*notes, *look(image.picture for image in images)))


def read_classes(path: Path) -> Classes:
    """What a `classes.json` says. TaskError for one that cannot be used."""
    document = read_json(path)
    try:
        classes = Classes(
            values={name: _value(value) for name, value in document["classes"].items()},
            ignore=tuple(_value(value) for value in document.get("ignore", [])),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TaskError(
            f'{path} cannot be used ({error!r}); expected {{"classes": {{name: value or [r, g, b]}}, "ignore": [...]}}'
        ) from error
    if not classes.values:
        raise TaskError(f"{path} names no classes; expected at least one under its key classes; add it")
    return classes


def label_values(folder: Path) -> str:
    """What the first label raster of a folder holds, as the end of a sentence; empty when none can be read."""
    for path in picture_files(folder)[:1]:
        try:
            size = Picture(path).size
            pixels = read_values(path, PixelWindow(0, 0, size.width, size.height))
        except RSISegError:
            return ""
        found = np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)
        if len(found) <= 12:
            shown = ", ".join(str(colour[0] if len(colour) == 1 else colour) for colour in found.tolist())
            return f" ({path.name} has the values {shown}: name their classes)"
    return ""


def read_json(path: Path) -> Any:
    """The document of a JSON file. TaskError when it cannot be read as one."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise TaskError(f"{path} is not JSON that can be read ({error}); write it again") from error


def _value(value: int | list[int]) -> tuple[int, ...]:
    colour = (value, value, value) if isinstance(value, int) else tuple(value)
    if len(colour) != 3 or not all(isinstance(channel, int) and 0 <= channel <= 255 for channel in colour):
        raise ValueError(f"{value} is no pixel value")
    return colour


def _equal_any(label: NDArray[np.uint8], values: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
    """Where an HxWx1 or HxWx3 label has one of the colours; a grey label has only colours of three equal channels."""
    found = np.zeros(label.shape[:2], np.bool_)
    for value in values:
        if label.shape[2] == 3:
            found |= (label[..., 0] == value[0]) & (label[..., 1] == value[1]) & (label[..., 2] == value[2])
        elif len(set(value)) == 1:
            found |= label[..., 0] == value[0]
    return found
