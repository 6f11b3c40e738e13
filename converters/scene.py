"""A procedural aerial scene with its labels: a demonstration without data, and ground truth for tests.

A small town seen from above at 5 cm: houses with pitched roofs, works with flat ones, streets, drives, gardens, trees, cars, and the
shadows they throw. The bands are R, G, B and infrared; every pixel has an ISPRS class, and roofs, trees and cars are numbered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from converters import scene_layout
from converters.errors import RasterError
from converters.scene_canvas import BUILDING, CAR, CLUTTER, GSD, IMPERVIOUS, LOW_VEGETATION, TREE, Canvas
from converters.whole_file import replacing, write_whole

CRS = "EPSG:32633"
# A made-up place in the zone; pixels lie on multiples of 5 cm.
ORIGIN = (392_000.0, 5_820_000.0)

# Index -> name and the colour of the ISPRS files.
CLASSES: dict[int, tuple[str, tuple[int, int, int]]] = {
    IMPERVIOUS: ("impervious surfaces", (255, 255, 255)),
    BUILDING: ("building", (0, 0, 255)),
    LOW_VEGETATION: ("low vegetation", (0, 255, 255)),
    TREE: ("tree", (0, 255, 0)),
    CAR: ("car", (255, 255, 0)),
    CLUTTER: ("clutter", (255, 0, 0)),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene of S x S px.

    image: uint8 SxSx4, R, G, B, IR. classes: uint8 SxS, index of CLASSES. objects: uint16 SxS, 0 where nothing is numbered; every
    number is one roof, tree or car as far as it can be seen. transform: px -> metres in CRS, 5 cm.
    """

    image: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    objects: NDArray[np.uint16]
    transform: Affine
    crs: str = CRS


@dataclass(frozen=True, slots=True)
class ScenePaths:
    """The files of a scene: RGBIR GeoTIFF, class GeoTIFF with colour table, object GeoTIFF, and the legend as JSON."""

    image: Path
    classes: Path
    objects: Path
    legend: Path


def make_scene(size: int = 2048, seed: int = 0, *, angle: float | None = None) -> Scene:
    """The scene of a seed: the same arrays for the same size, seed and angle on the same machine.

    size: px, at least 64. angle: of the streets against the image's rows, radians; None: drawn from the seed.
    Raises RasterError for a smaller size.
    """
    if size < 64:
        raise RasterError(f"a scene of {size} px cannot hold a house; expected at least 64 px")
    rng = np.random.default_rng(seed)
    drawn = float(rng.uniform(-0.6, 0.6))
    azimuth, elevation = float(rng.uniform(-2.4, -0.8)), float(rng.uniform(0.72, 0.92))
    canvas = Canvas(size)
    scene_layout.build(canvas, rng, drawn if angle is None else angle)
    transform = Affine(GSD, 0.0, ORIGIN[0], 0.0, -GSD, ORIGIN[1])
    return Scene(canvas.render(rng, azimuth, elevation), canvas.classes, canvas.objects, transform)


def write_scene(folder: str | Path, size: int = 2048, seed: int = 0, *, angle: float | None = None) -> ScenePaths:
    """Writes a scene into `folder` (made when needed): scene_SEED.tif and beside it _classes.tif, _objects.tif, _legend.json.

    Each file appears whole or not at all. Raises RasterError for a size below 64.
    """
    scene = make_scene(size, seed, angle=angle)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"scene_{seed}"
    paths = ScenePaths(
        *(folder / f"{stem}{ending}" for ending in (".tif", "_classes.tif", "_objects.tif", "_legend.json")),
    )

    def colours(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.nir]

    def legend(dataset: Any) -> None:
        dataset.write_colormap(1, {index: (*colour, 255) for index, (_, colour) in CLASSES.items()})

    _write_tiff(paths.image, np.moveaxis(scene.image, -1, 0), scene.transform, colours)
    _write_tiff(paths.classes, scene.classes[None], scene.transform, legend)
    _write_tiff(paths.objects, scene.objects[None], scene.transform, lambda dataset: None)
    text = json.dumps({"classes": {name: index for index, (name, _) in CLASSES.items()}, "ignore": [], "background": []}, indent=1)
    write_whole(paths.legend, text + "\n")
    return paths


def _write_tiff(path: Path, values: NDArray[Any], transform: Affine, finish: Callable[[Any], None]) -> None:
    """A tiled GeoTIFF of CxHxW values; `finish` sets colours before the pixels are written."""
    count, height, width = values.shape
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": values.dtype,
        "crs": CRS,
        "transform": transform,
    }
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2}
    with replacing(path) as aside, rasterio.open(aside, "w", **tiles, **profile) as dataset:
        finish(dataset)
        dataset.write(values)
