"""Images with labels, from the layouts people have, as objects: what the benchmark measures and training learns from.

Two layouts are read:

* a folder with `images/`, `labels/` (same names, PNG of class values or colours) and `classes.json`
  (`{"classes": {name: value or [r, g, b]}, "ignore": [...], "background": [...]}`);
* a COCO instances JSON with polygon segmentations, its images in `images/` beside it.

An object of a class raster is one 8-connected component of one class; an object of a COCO file is one annotation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from converters.errors import RasterError, TaskError

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One object of one image.

    class_name: its class. area: pixels. box: (row0, col0, row1, col1), half open.
    components: int32 HxW in which this object is `component`; ignore: bool HxW of pixels that count neither way, or None.
    """

    class_name: str
    area: int
    box: tuple[int, int, int, int]
    component: int
    components: NDArray[np.int32] = field(repr=False)
    ignore: NDArray[np.bool_] | None = field(repr=False, default=None)

    @property
    def mask(self) -> NDArray[np.int8]:
        """int8 HxW: 1 the object, 0 anything else, -1 ignored."""
        mask = (self.components == self.component).astype(np.int8)
        if self.ignore is not None:
            mask[self.ignore & (mask == 0)] = -1
        return mask

    @property
    def boxed_mask(self) -> NDArray[np.int8]:
        """`mask` cut to `box`, without ever making the whole."""
        row0, col0, row1, col1 = self.box
        part = replace(self, components=self.components[row0:row1, col0:col1])
        return (part if self.ignore is None else replace(part, ignore=self.ignore[row0:row1, col0:col1])).mask


class LabelledImage(Protocol):
    """An image and its objects; nothing is decoded before it is asked for."""

    @property
    def name(self) -> str:
        """File name of the image, unique in its set."""
        ...

    def read(self) -> NDArray[np.uint8]:
        """The image, uint8 HxWx3 in file band order."""
        ...

    def objects(self, min_area: int) -> list[LabelledObject]:
        """Objects of at least `min_area` pixels, in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """The images of one data set, sorted by name."""

    path: Path
    images: tuple[LabelledImage, ...]


@dataclass(frozen=True, slots=True)
class Classes:
    """`classes.json`: the colour or value of each class, and of the pixels that are ignored."""

    values: Mapping[str, tuple[int, ...]]
    ignore: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class RasterLabelled:
    """An image whose labels are a raster of class values or colours."""

    name: str
    image: Path
    label: Path
    classes: Classes

    def read(self) -> NDArray[np.uint8]:
        """The image, uint8 HxWx3."""
        return _read_rgb(self.image)

    def objects(self, min_area: int) -> list[LabelledObject]:
        """8-connected components of every class, class by class in `classes.json` order."""
        label = _read_rgb(self.label)
        with Image.open(self.image) as picture:  # reads the header alone
            size = (picture.height, picture.width)
        if label.shape[:2] != size:
            raise TaskError(
                f"{self.label} is {label.shape[1]} x {label.shape[0]} px, its image {size[1]} x {size[0]} px; "
                "expected the same size; export the label again"
            )
        ignore = _equal_any(label, self.classes.ignore) if self.classes.ignore else None
        found: list[LabelledObject] = []
        for name, value in self.classes.values.items():
            found += _components(_equal_any(label, (value,)), name, min_area, ignore)
        return found


@dataclass(frozen=True, slots=True)
class CocoLabelled:
    """An image of a COCO instances file. polygons: per object, its class and rings of (x, y) pixel coordinates."""

    name: str
    image: Path
    size: tuple[int, int]
    polygons: tuple[tuple[str, tuple[tuple[float, ...], ...]], ...]

    def read(self) -> NDArray[np.uint8]:
        """The image, uint8 HxWx3."""
        return _read_rgb(self.image)

    def objects(self, min_area: int) -> list[LabelledObject]:
        """The annotations in file order; overlapping annotations stay separate objects."""
        found: list[LabelledObject] = []
        for name, rings in self.polygons:
            mask = np.zeros(self.size, np.uint8)
            cv2.fillPoly(mask, [np.rint(np.reshape(ring, (-1, 2))).astype(np.int32) for ring in rings], 1)
            area = int(mask.sum())
            if area >= max(min_area, 1):
                rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
                box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
                found.append(LabelledObject(name, area, box, 1, mask.astype(np.int32)))
        return found


def open_labelled(path: Path) -> LabelledSet:
    """The labelled set at `path`: a folder with `classes.json`, or a COCO JSON. TaskError when it is neither."""
    if path.is_dir() and (path / "classes.json").is_file():
        return LabelledSet(path, _raster_set(path))
    if path.is_file() and path.suffix == ".json":
        return LabelledSet(path, _coco_set(path))
    raise TaskError(
        f"{path}: found neither a folder with images/, labels/ and classes.json nor a COCO instances JSON; give the path of one of these"
    )


def _raster_set(folder: Path) -> tuple[LabelledImage, ...]:
    document = _json(folder / "classes.json")
    try:
        classes = Classes(
            values={name: _value(value) for name, value in document["classes"].items()},
            ignore=tuple(_value(value) for value in document.get("ignore", [])),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TaskError(
            f'{folder / "classes.json"} cannot be used ({error!r}); expected {{"classes": {{name: value or [r, g, b]}}, "ignore": [...]}}'
        ) from error
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            raise TaskError(f"{folder} has no folder {part}; expected images/ and labels/ beside classes.json; put the pictures there")
    labels = {path.stem: path for path in sorted((folder / "labels").iterdir()) if path.suffix.lower() in _PICTURES}
    pictures = [path for path in sorted((folder / "images").iterdir()) if path.suffix.lower() in _PICTURES]
    images = tuple(RasterLabelled(path.name, path, labels[path.stem], classes) for path in pictures if path.stem in labels)
    if not images:
        raise TaskError(f"{folder}: no file of images/ has a label of the same name in labels/; expected pairs such as a.png and a.png")
    return images


def _coco_set(path: Path) -> tuple[LabelledImage, ...]:
    document = _json(path)
    if not isinstance(document, dict) or not {"images", "annotations", "categories"} <= document.keys():
        raise TaskError(f"{path}: not a COCO instances file; expected the keys images, annotations and categories")
    try:
        return _coco_images(path, document)
    except (KeyError, TypeError) as error:
        raise TaskError(f"{path} is not a whole COCO instances file ({error!r} in one of its records); export it again") from error


def _coco_images(path: Path, document: dict[str, Any]) -> tuple[LabelledImage, ...]:
    names = {category["id"]: category["name"] for category in document["categories"]}
    polygons: dict[int, list[tuple[str, tuple[tuple[float, ...], ...]]]] = {}
    for annotation in document["annotations"]:
        rings: Any = annotation.get("segmentation")
        if not isinstance(rings, list):
            raise TaskError(f"{path}: annotation {annotation.get('id')} is not made of polygons; convert its RLE mask to polygons first")
        polygons.setdefault(annotation["image_id"], []).append((names[annotation["category_id"]], tuple(tuple(ring) for ring in rings)))
    records = sorted(document["images"], key=lambda record: record["file_name"])
    return tuple(
        CocoLabelled(
            record["file_name"],
            path.parent / "images" / record["file_name"],
            (record["height"], record["width"]),
            tuple(polygons.get(record["id"], ())),
        )
        for record in records
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise TaskError(f"{path} is not JSON that can be read ({error}); write it again") from error


def _value(value: int | list[int]) -> tuple[int, ...]:
    colour = (value, value, value) if isinstance(value, int) else tuple(value)
    if len(colour) != 3 or not all(isinstance(channel, int) and 0 <= channel <= 255 for channel in colour):
        raise ValueError(f"{value} is no pixel value")
    return colour


def _read_rgb(path: Path) -> NDArray[np.uint8]:
    """uint8 HxWx3; grey is repeated, a palette resolved, alpha dropped."""
    encoded = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if picture is None:
        raise RasterError(f"{path}: no picture that can be decoded is there; expected an 8-bit PNG, JPEG or TIFF; restore it")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _equal_any(label: NDArray[np.uint8], values: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
    return np.logical_or.reduce([(label == np.array(value, np.uint8)).all(axis=2) for value in values])


def _components(inside: NDArray[np.bool_], name: str, min_area: int, ignore: NDArray[np.bool_] | None) -> list[LabelledObject]:
    _, components, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    found: list[LabelledObject] = []
    for component in range(1, len(stats)):
        left, top, width, height, area = (int(number) for number in stats[component])
        if area >= max(min_area, 1):
            box = (top, left, top + height, left + width)
            found.append(LabelledObject(name, area, box, component, components.astype(np.int32, copy=False), ignore))
    return found
