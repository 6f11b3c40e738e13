"""Synthetic ISPRS files with the real names and quirks; nothing in them is from the data set."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from converters.chips import PixelWindow
from converters.labelled import LabelledImage

WHITE, BLUE, CYAN, GREEN, YELLOW, RED = (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)
BLACK, MAGENTA = (0, 0, 0), (255, 0, 255)
SIDE = 240
LABEL = "top_potsdam_2_10_label.tif"


def label(side: int = SIDE) -> NDArray[np.uint8]:
    """A ground of low vegetation: a road across it, one building, one tree, three cars (one of them too small), and clutter."""
    picture = np.full((side, side, 3), CYAN, np.uint8)
    picture[100:120] = WHITE
    picture[20:60, 30:80] = BLUE
    picture[150:190, 150:190] = GREEN
    picture[105:113, 40:60] = YELLOW
    picture[105:113, 120:140] = YELLOW
    picture[105:110, 200:205] = YELLOW
    picture[200:230, 20:60] = RED
    return picture


OBJECTS = {"impervious surfaces": [4455], "building": [2000], "low vegetation": [22000, 26000], "tree": [1600], "car": [160, 160]}
"""Areas of `label`'s objects of at least 30 px. The road is 20 x 240 px less the cars; the road cuts the ground in two."""


def photo(bands: int, side: int = SIDE, seed: int = 0) -> NDArray[np.uint8]:
    """Noise about 100 + 20 x band, so that the mean of a channel tells which band it is."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(90 + 20 * band, 111 + 20 * band, (side, side), dtype=np.uint8) for band in range(bands)], axis=-1)


def eroded(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A label with black along its boundaries, three pixels to either side of a horizontal step, as noBoundary files have it."""
    out = picture.copy()
    for row in np.flatnonzero((picture[1:] != picture[:-1]).any(axis=(1, 2))) + 1:
        changed = (picture[row] != picture[row - 1]).any(axis=1)
        out[row - 3 : row + 3, changed] = BLACK
    return out


def lossy(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A label as a lossy codec leaves it: no pixel has its exact colour, none is more than 40 grey levels away."""
    offset = np.random.default_rng(4).integers(1, 41, picture.shape)
    return np.where(picture > 127, 255 - offset, offset).astype(np.uint8)


def write(path: Path, picture: NDArray[np.uint8], *, crs: str | None = None, world: bool = False) -> Path:
    """A tiled TIFF of an HxWxC picture; world: with a side-car .tfw of 5 cm, whose origin is the centre of the first pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = picture.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": "uint8", "tiled": True, "compress": "lzw"}
    place = {"crs": crs, "transform": Affine(0.05, 0, 366976.5, 0, -0.05, 5809761.025)} if crs else {}
    with rasterio.open(path, "w", blockxsize=128, blockysize=128, **profile, **place) as dataset:
        dataset.write(np.moveaxis(picture, -1, 0))
    if world:
        path.with_suffix(".tfw").write_text("0.050\n0\n0\n-0.050\n366976.525\n5809761.000\n")
    return path


def potsdam(
    root: Path,
    tiles: Sequence[str] = ("2_10",),
    *,
    products: Sequence[str] = ("RGB",),
    labels: Sequence[str] = ("5_Labels_all",),
    twice: bool = False,
    padded: bool = False,
    world: bool = False,
) -> Path:
    """A Potsdam tree. labels: folders, with noBoundary files where their names say so. twice: unpacked into folders of the zips' names."""
    folders = {"RGB": "2_Ortho_RGB", "IRRG": "3_Ortho_IRRG", "RGBIR": "4_Ortho_RGBIR"}
    # Bands of `photo` by letter: R is 100, G 120, B 140, IR 160.
    order = {"RGB": [0, 1, 2], "IRRG": [3, 0, 1], "RGBIR": [0, 1, 2, 3]}

    def place(name: str) -> Path:
        return root / name / name if twice else root / name

    for tile in tiles:
        row, column = tile.split("_")
        spelt = f"{int(row):02}_{int(column):02}" if padded else tile
        for product in products:
            write(place(folders[product]) / f"top_potsdam_{spelt}_{product}.tif", photo(4)[..., order[product]], world=world)
        for folder in labels:
            without = "noboundary" in folder.lower().replace("_", "")
            name = f"top_potsdam_{spelt}_label_noBoundary.tif" if without else f"top_potsdam_{spelt}_label.tif"
            write(place(folder) / name, eroded(label()) if without else label(), world=world and "participants" in folder)
    height = root / "1_DSM" / f"dsm_potsdam_{tiles[0]}.tif"
    write(height, photo(1))
    return root


def vaihingen(root: Path, areas: Sequence[int] = (1, 3), *, labelled: Sequence[int] | None = None) -> Path:
    """A Vaihingen tree: images in top/, complete labels and eroded ones in the folders of their zips; image and label have one name."""
    images = root / "ISPRS_semantic_labeling_Vaihingen" / "top"
    for area in areas:
        write(images / f"top_mosaic_09cm_area{area}.tif", photo(3))
    for area in areas if labelled is None else labelled:
        write(root / "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE" / f"top_mosaic_09cm_area{area}.tif", label())
        write(
            root / "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE" / f"top_mosaic_09cm_area{area}_noBoundary.tif",
            eroded(label()),
        )
    return root


def pack(folder: Path, into: Path) -> Path:
    """Zips a folder and removes its files."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(into, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder.parent))
            file.unlink()
    return into


def relabel(tree: Path, picture: NDArray[np.uint8], tile: str = "2_10", folder: str = "5_Labels_all") -> Path:
    """Writes another label for a tile."""
    return write(tree / folder / f"top_potsdam_{tile}_label.tif", picture)


def areas(image: LabelledImage, window: PixelWindow | None = None) -> dict[str, list[int]]:
    """Areas of the objects of at least 30 px, by class, ascending."""
    found: dict[str, list[int]] = {}
    for each in image.objects(30, window):
        found.setdefault(each.class_name, []).append(each.area)
    return {name: sorted(sizes) for name, sizes in found.items()}
