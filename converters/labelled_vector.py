"""Georeferenced rasters with polygons in vector files, in whatever CRS each is.

Found are: a raster with a vector file of its name beside it (or one vector file for all); a vector file with its rasters beside it; a
folder of both, or with `images/` and `labels/`. A vector file of a raster's name belongs to that raster alone; any other is shared by the
rasters that have none, each taking the polygons that lie on it. A pixel belongs to a polygon when its centre lies inside. Tiles of a web
map that have no georeference are placed by their names (column-row-zoom).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.errors import TaskError
from converters.frames import Size
from converters.labelled_objects import LabelledObject, LabelledSet, Piece, annotated, inside_image
from converters.labelled_pixels import PICTURES, Picture, ground_sampling_distance, look, picture_files, unique
from converters.labelled_place import Place, ToPixels, is_tile, place_of
from converters.labelled_shapes import Rings, burnt
from converters.labelled_vector_file import ENDINGS, VectorFile, read_vector_file

KIND = "rasters and vector polygons"


@dataclass(frozen=True, slots=True)
class VectorLabelled:
    """A raster and the vector files whose polygons are its objects. attribute: the one that holds classes, None to look for it."""

    picture: Picture
    place: Place
    vectors: tuple[Path, ...]
    attribute: str | None

    @property
    def name(self) -> str:
        """The raster's file name."""
        return self.picture.path.name

    @property
    def size(self) -> Size:
        """Size of the raster."""
        return self.picture.size

    @property
    def bands(self) -> tuple[str, ...] | None:
        """As the raster's file says."""
        return self.picture.bands

    @property
    def gsd(self) -> float | None:
        """From the raster's place."""
        return ground_sampling_distance(self.place.transform, self.place.crs, self.size)

    @property
    def files(self) -> tuple[Path, ...]:
        """Raster and vector files."""
        return self.picture.path, *self.vectors

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window as HxWxC."""
        return self.picture.read(window)

    def objects(self, min_area: int, window: PixelWindow | None = None) -> list[LabelledObject]:
        """The polygons in file order, clipped to the window; those that overlap stay separate."""
        window = inside_image(window, self.size, self.name)
        pieces: list[Piece] = []
        for path in self.vectors:
            drawn = _drawn(self.picture.path, self.place, read_vector_file(path, self.attribute))
            pieces += [piece for number in drawn.near(window) if (piece := burnt(*drawn.polygons[number], self.size, window)) is not None]
        return annotated(pieces, window.size, min_area)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Polygons of one vector file in native px of one raster: class and parts of each. boxes: Nx4, col0, row0, col1, row1 of each."""

    polygons: list[tuple[str, list[Rings]]]
    boxes: NDArray[np.float64]

    def near(self, window: PixelWindow) -> list[int]:
        """Numbers of the polygons whose boxes touch the window."""
        if not self.polygons:
            return []
        col0, row0, col1, row1 = self.boxes.T
        right, bottom = window.col_off + window.width, window.row_off + window.height
        return np.flatnonzero((col0 < right) & (row0 < bottom) & (col1 > window.col_off) & (row1 > window.row_off)).tolist()


@functools.lru_cache(maxsize=16)
def _drawn(raster: Path, place: Place, vector: VectorFile) -> _Drawn:
    to_pixels, numbers = _on(raster, place, vector)
    parts = to_pixels.outlines(vector.polygons[numbers].tolist(), vector.path.name)
    ends = [np.concatenate([rings[0] for rings in polygon]) for polygon in parts]
    boxes = np.array([[*points.min(axis=0), *points.max(axis=0)] for points in ends]).reshape(-1, 4)
    return _Drawn([(vector.classes[number], polygon) for number, polygon in zip(numbers.tolist(), parts, strict=True)], boxes)


def _on(raster: Path, place: Place, vector: VectorFile) -> tuple[ToPixels, NDArray[np.int64]]:
    """The way from a vector file to a raster, and the numbers of the polygons that may lie on it, in file order."""
    # Coordinates that cannot be degrees were written in the raster's own CRS; `open_vector` has said so.
    crs = place.crs if vector.beyond_degrees else vector.crs
    to_pixels = ToPixels.of(place, crs, f"{raster.name} and {vector.path.name}")
    reach = to_pixels.reach()
    found = _tree(vector).query(shapely.box(*reach)) if reach is not None else np.empty(0, np.int64)
    return to_pixels, np.sort(found)


@functools.lru_cache(maxsize=16)
def _tree(vector: VectorFile) -> shapely.STRtree:
    return shapely.STRtree(vector.polygons)


def vector_files(folder: Path) -> list[Path]:
    """The vector files of a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())


def find_vector_set(path: Path) -> tuple[list[Path], list[Path]] | None:
    """(rasters, vector files) of the layouts above at `path`; None when it is none of them."""
    if path.is_file():
        ending = path.suffix.lower()
        if ending in ENDINGS:
            beside = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
            if not picture_files(beside) and (path.parent.parent / "images").is_dir():
                beside = path.parent.parent / "images"
            return [raster for raster in picture_files(beside) if raster.stem == path.stem] or picture_files(beside), [path]
        if ending in PICTURES:
            vectors = vector_files(path.parent)
            return [path], [vector for vector in vectors if vector.stem == path.stem] or vectors
        return None
    if not path.is_dir():
        return None
    vectors = [one for folder in (path / "labels", path) if folder.is_dir() for one in vector_files(folder)]
    return (rasters_at(path), vectors) if vectors else None


def rasters_at(path: Path) -> list[Path]:
    """The raster file, or those of the folder or of its `images/`."""
    if path.is_file():
        return [path]
    return picture_files(path / "images" if (path / "images").is_dir() else path)


def open_vector(
    path: Path, rasters: Sequence[Path], vectors: Sequence[Path], recipe: tuple[str, ...] | None, attribute: str | None
) -> LabelledSet:
    """The set of these rasters and vector files.

    attribute: the one that holds classes, None to look for it. TaskError when a file cannot be read or placed, and when no polygon lies
    on any raster.
    """
    if not rasters or not vectors:
        lacking = "raster beside its vector file" if not rasters else "vector file beside its raster"
        raise TaskError(f"{path} has no {lacking}; expected GeoTIFFs and {', '.join(ENDINGS)} in one folder; put them together")
    unique([raster.name for raster in rasters], str(path))
    files = [read_vector_file(vector, attribute) for vector in vectors]
    stems = {raster.stem for raster in rasters}
    shared = [file for file in files if file.path.stem not in stems]
    images: list[VectorLabelled] = []
    unplaced: list[Path] = []
    for raster in rasters:
        own = [file for file in files if file.path.stem == raster.stem]
        place = place_of(Picture(raster).info)
        if place is not None:
            images.append(VectorLabelled(Picture(raster, recipe), place, tuple(file.path for file in own or shared), attribute))
        elif own:
            raise TaskError(f"{raster} has no georeference, so {own[0].path.name} cannot be laid over it; georeference it first")
        else:
            unplaced.append(raster)
    if not images:
        raise TaskError(f"{unplaced[0]} has no georeference, so polygons cannot be laid over it; expected a GeoTIFF; georeference it first")
    return LabelledSet(path, tuple(images), KIND, _notes(images, files, unplaced))


def _notes(images: list[VectorLabelled], files: list[VectorFile], unplaced: list[Path]) -> tuple[str, ...]:
    """What a report must say. TaskError when no polygon lies on any raster."""
    hit = {file.path: np.zeros(len(file.polygons), np.bool_) for file in files}
    bare: list[str] = []
    for image in images:
        numbers = [_on(image.picture.path, image.place, read_vector_file(path, image.attribute))[1] for path in image.vectors]
        for path, found in zip(image.vectors, numbers, strict=True):
            hit[path][found] = True
        if not any(len(found) for found in numbers):
            bare.append(image.name)
    if not any(found.any() for found in hit.values()):
        raise TaskError(_nowhere(images[0], files[0]))
    notes = [note for file in files for note in file.notes]
    notes += look(image.picture for image in images)
    notes += [
        f"{file.path.name} claims {file.crs} and its coordinates are no degrees; they are taken for the raster's own CRS"
        for file in files
        if file.beyond_degrees
    ]
    tiles = sum(is_tile(image.picture.info) for image in images)
    if tiles:
        notes.append(f"{tiles} images without a georeference are placed as tiles of a web map, by their names")
    if unplaced:
        notes.append(f"{len(unplaced)} images have no georeference and are left out, {unplaced[0].name} among them")
    if bare:
        notes.append(f"{len(bare)} images have no polygon on them, {bare[0]} among them")
    for path, found in hit.items():
        if not found.all():
            notes.append(f"{path.name}: {int((~found).sum())} of {len(found)} polygons lie on no image")
    return tuple(notes)


def _nowhere(image: VectorLabelled, file: VectorFile) -> str:
    x0, y0, x1, y1 = (f"{number:.6g}" for number in shapely.total_bounds(file.polygons))
    claims = f"claims {file.crs}" if file.crs is not None else "names no CRS"
    return (
        f"no polygon of {file.path} lies on any raster, such as {image.name}: it {claims} and spans x {x0} to {x1}, y {y0} to {y1}; "
        "expected polygons that overlap the rasters; correct its CRS or give the rasters that it was drawn on"
    )
