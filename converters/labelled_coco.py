"""COCO instances files: an object is one annotation, a polygon or an RLE mask; overlapping annotations stay separate objects.

The images lie in `images/` beside the file, or beside it. A crowd (`iscrowd`) marks an area whose instances nobody told apart: its
pixels are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import labelled_coco_rle
from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.frames import Size
from converters.json_values import is_list_of_objects, is_number, shown
from converters.labelled_objects import LabelledObject, LabelledSet, Piece, annotated, inside_image, piece_of_mask
from converters.labelled_pixels import Picture, look, unique
from converters.labelled_shapes import burnt

KIND = "COCO instances"


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """One record: its class, what it looks like as the file states it (rings or RLE), and whether it is a crowd. where: for messages."""

    class_name: str
    segmentation: Any
    crowd: bool
    where: str


@dataclass(frozen=True, slots=True)
class CocoLabelled:
    """An image of a COCO file. source: that file. stated: the size that the file gives the image."""

    name: str
    picture: Picture
    source: Path
    stated: Size
    annotations: tuple[CocoAnnotation, ...]

    @property
    def size(self) -> Size:
        """Size of the picture. TaskError when the COCO file states another one."""
        if self.picture.size != self.stated:
            raise TaskError(
                f"{self.picture.path} is {self.picture.size}, {self.source.name} says {self.stated}; "
                "expected the picture that was annotated; restore it or export again"
            )
        return self.stated

    @property
    def bands(self) -> tuple[str, ...] | None:
        """As the image's file says."""
        return self.picture.bands

    @property
    def gsd(self) -> float | None:
        """From the image's georeference."""
        return self.picture.gsd

    @property
    def files(self) -> tuple[Path, ...]:
        """Image and COCO file."""
        return self.picture.path, self.source

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window as HxWxC."""
        return self.picture.read(window)

    def objects(self, min_area: int, window: PixelWindow | None = None) -> list[LabelledObject]:
        """The annotations in file order, clipped to the window."""
        window = inside_image(window, self.size, self.name)
        pieces = [(one.crowd, piece) for one in self.annotations if (piece := self._piece(one, window)) is not None]
        crowds = [piece for crowd, piece in pieces if crowd]
        ignore = None
        if crowds:
            ignore = np.zeros((window.height, window.width), np.bool_)
            for crowd in crowds:
                height, width = crowd.inside.shape
                ignore[crowd.row : crowd.row + height, crowd.col : crowd.col + width] |= crowd.inside
        return annotated([piece for crowd, piece in pieces if not crowd], window.size, min_area, ignore)

    def _piece(self, one: CocoAnnotation, window: PixelWindow) -> Piece | None:
        if not labelled_coco_rle.is_rle(one.segmentation):
            return burnt(one.class_name, [[ring] for ring in one.segmentation], self.stated, window)
        try:
            mask = labelled_coco_rle.decode(one.segmentation, self.stated)
        except TaskError as error:
            raise TaskError(f"{one.where}: {error}") from error
        return piece_of_mask(one.class_name, mask, window)


def is_coco(document: object) -> bool:
    """Whether a JSON document is a COCO instances file."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= document.keys()


def open_coco(path: Path, document: Any, recipe: tuple[str, ...] | None) -> LabelledSet:
    """The set of a COCO instances file and what it holds. TaskError for anything that cannot be used, with the annotation's number."""
    if not is_coco(document):
        raise TaskError(f"{path}: not a COCO instances file; expected the keys images, annotations and categories")
    lists = [document[key] for key in ("images", "annotations", "categories")]
    if not all(is_list_of_objects(records) for records in lists):
        raise TaskError(f"{path}: images, annotations and categories must be lists of records; export it again")
    try:
        return _coco_set(path, recipe, *lists)
    except (KeyError, TypeError, ValueError) as error:
        raise TaskError(f"{path} is not a whole COCO instances file ({error!r} in one of its records); export it again") from error


def _coco_set(path: Path, recipe: tuple[str, ...] | None, images: list[Any], annotations: list[Any], categories: list[Any]) -> LabelledSet:
    names = {category["id"]: str(category["name"]) for category in categories}
    found: dict[Any, list[CocoAnnotation]] = {record["id"]: [] for record in images}
    if not found:
        raise TaskError(f"{path} lists no image; expected at least one record under its key images; export it again")
    for annotation in annotations:
        where = f"{path}: annotation {annotation.get('id')}"
        segmentation = _segmentation(annotation.get("segmentation"), where)
        if annotation["image_id"] not in found:
            raise TaskError(f"{where} is of the image {annotation['image_id']!r}, which the file does not list; export it again")
        one = CocoAnnotation(names[annotation["category_id"]], segmentation, bool(annotation.get("iscrowd")), where)
        found[annotation["image_id"]].append(one)
    records = sorted(images, key=lambda record: record["file_name"])
    unique([record["file_name"] for record in records], str(path))
    folder = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    labelled = tuple(
        CocoLabelled(
            record["file_name"],
            Picture(_below(folder, record["file_name"], path), recipe),
            path,
            Size(int(record["width"]), int(record["height"])),
            tuple(found[record["id"]]),
        )
        for record in records
    )
    return LabelledSet(path, labelled, KIND, (*_notes(found), *look(image.picture for image in labelled)))


def _segmentation(value: Any, where: str) -> Any:
    """Rings as arrays Nx2, or the RLE as it stands."""
    if labelled_coco_rle.is_rle(value):
        return value
    if not isinstance(value, list) or not value or not all(map(_is_ring, value)):
        raise TaskError(
            f"{where} has the segmentation {shown(value)}; expected polygons (lists of x, y, at least three points each) or an RLE mask; "
            "export it again, with segmentations"
        )
    return [np.reshape(np.array(ring, np.float64), (-1, 2)) for ring in value]


def _is_ring(ring: object) -> bool:
    return isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 and all(map(is_number, ring))


def _below(folder: Path, name: str, source: Path) -> Path:
    """The image's path. TaskError for a name that leads out of the folder of images."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise TaskError(f"{source} names the image {name}, which lies outside {folder}; expected a file below that folder; put it there")
    return path


def _notes(found: Mapping[Any, list[CocoAnnotation]]) -> tuple[str, ...]:
    crowds = sum(one.crowd for annotations in found.values() for one in annotations)
    return (f"{crowds} crowd annotations are ignored: they are no objects, and their pixels count neither way",) if crowds else ()
