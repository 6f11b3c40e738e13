"""ISPRS Potsdam and Vaihingen as labelled sets, with the bands one asks for.

A tile is one image, whatever product its pixels come from, so results of PRGB and PRGIR can be compared object by object. Objects are the
8-connected components of the five classes; clutter is background, black is ignored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.bands import format_bands
from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.frames import Size
from converters.isprs_labels import CLASSES, IGNORED, UNKNOWN, decode, judge, label_info
from converters.isprs_sets import GSD, POTSDAM_SIDE
from converters.isprs_splits import read_split
from converters.isprs_tree import IsprsTree, find_tree, is_isprs_tree
from converters.labelled_objects import LabelledObject, LabelledSet, components, inside_image
from converters.labelled_pixels import Picture

__all__ = ["IsprsImage", "is_isprs_tree", "isprs_set"]

_PRODUCTS = {"potsdam": (("R", "G", "B"), ("IR", "R", "G"), ("R", "G", "B", "IR")), "vaihingen": (("IR", "R", "G"),)}


@dataclass(frozen=True, slots=True)
class IsprsImage:
    """A tile with its label. picture: None where only the label is there."""

    dataset: str
    tile: str
    label: Path
    picture: Picture | None

    @property
    def name(self) -> str:
        """Data set and tile, such as potsdam_2_10 or vaihingen_area1."""
        return f"{self.dataset}_{self.tile}"

    @property
    def size(self) -> Size:
        """Size of the label, which is its image's."""
        return label_info(self.label).size

    @property
    def bands(self) -> tuple[str, ...] | None:
        """Those that were asked for."""
        return self.picture.bands if self.picture else None

    @property
    def gsd(self) -> float | None:
        """What the georeference of the image or the label says (world files are in metres), else what was published."""
        for info in (*([self.picture.info] if self.picture else []), label_info(self.label)):
            if info.gsd is not None:
                return info.gsd
            if info.transform is not None and info.crs is None:
                return round(math.sqrt(abs(info.transform.determinant)), 9)
        return GSD[self.dataset]

    @property
    def files(self) -> tuple[Path, ...]:
        """Image, where there is one, and label."""
        return (*([self.picture.path] if self.picture else []), self.label)

    def read(self, window: PixelWindow | None = None) -> NDArray[np.uint8]:
        """The window (None: all) as HxWxC. RasterError where only the label is there."""
        if self.picture is None:
            raise RasterError(
                f"{self.label} has no image beside it; expected the image of {self.name}; unpack the images into the same folder"
            )
        return self.picture.read(inside_image(window, self.size, self.name))

    def objects(self, min_area: int, window: PixelWindow | None = None) -> list[LabelledObject]:
        """8-connected components of the five classes inside the window (None: all), class by class in the benchmark's order."""
        corners = decode(self.label, inside_image(window, self.size, self.name))
        ignored = (corners == IGNORED) | (corners == UNKNOWN)
        ignore = ignored if ignored.any() else None
        return [each for corner, name in CLASSES.items() for each in components(corners == corner, name, min_area, ignore)]


def isprs_set(
    path: Path, *, bands: tuple[str, ...] | None = None, split: str | Path | None = None, eroded: bool = False, check: bool = True
) -> LabelledSet:
    """The ISPRS tree below `path` as a labelled set.

    bands: letters of the channels, any of the data set's; the product that has them for most tiles serves them, an exact one before
        RGBIR. None: all bands of the product with the most. Tiles without image are left out; where there are no images at all, the
        labels alone are the set, and its objects can be counted.
    split: one of `isprs_splits.SPLITS` or a file; None: all tiles that are there.
    eroded: labels with ignored boundaries; the default is full labels, as in the study. Where only the other kind is there, it is taken,
        and noted.
    check: survey every pixel of every label (half a second a tile) for repairs; a second process that opens the same set need not.
    Raises TaskError for a tree that lacks what is asked for, for images and labels that differ in size, and for labels that are damaged.
    """
    tree = find_tree(path)
    labels, eroded, notes = _labels(tree, eroded)
    wanted = read_split(split, tree.dataset) if split is not None else tuple(labels)
    if lacking := [tile for tile in wanted if tile not in labels]:
        raise TaskError(
            f"the split {split} names {tree.dataset}_{lacking[0]}, of which {path} has no {_kind(eroded)}"
            f" ({len(lacking)} of {len(wanted)} are missing); expected all; unpack them there, or give a split of tiles that are there"
        )
    product, pictures = _pictures(tree, bands, wanted, asked=split is not None)
    tiles = [tile for tile in wanted if tile in pictures] if pictures else list(wanted)
    if missing := len(wanted) - len(tiles):
        first = next(tile for tile in wanted if tile not in pictures)
        notes.append(
            f"{missing} of {len(wanted)} labelled tiles have no {format_bands(bands or product)} image and are left out, {first} among them"
        )
    if not pictures:
        notes.append("there are no images, only labels: objects can be counted, not clicked on")
    recipe = bands or product
    images = sorted(
        (IsprsImage(tree.dataset, tile, labels[tile], Picture(pictures[tile], recipe) if pictures else None) for tile in tiles),
        key=lambda image: image.name,
    )
    notes += _odd_sizes(images)
    if check:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            judged = pool.map(lambda image: judge(image.label, image.dataset, image.tile, eroded=eroded), images)
            notes += [sentence for sentences in judged for sentence in sentences]
    served = f", {format_bands(recipe)}" + (f" from {format_bands(product)} files" if recipe != product else "") if pictures else ""
    return LabelledSet(path, tuple(images), f"ISPRS {tree.dataset.capitalize()}{served}, {_kind(eroded)}", (*tree.notes, *notes))


def _kind(eroded: bool) -> str:
    return "labels with ignored boundaries" if eroded else "full labels"


def _labels(tree: IsprsTree, eroded: bool) -> tuple[Mapping[str, Path], bool, list[str]]:
    """Label of every tile, whether they are the eroded ones, and what to note; kinds are never mixed."""
    chosen, other = (tree.eroded, tree.labels) if eroded else (tree.labels, tree.eroded)
    if chosen:
        notes: list[str] = []
        if left_out := sorted(other.keys() - chosen.keys()):
            of = f"{len(left_out)} of {len(chosen) + len(left_out)} tiles"
            notes.append(f"{of} have only {_kind(not eroded)} and are left out, {left_out[0]} among them")
        return chosen, eroded, notes
    if other:
        return other, not eroded, [f"there are no {_kind(eroded)}; {_kind(not eroded)} are used instead"]
    hint = tree.packed_hint(lambda member: "label" in _no_labeling(member) or "ground_truth" in member.lower())
    same_name = "; the labels have the same names as the images and belong in a folder of their own" if tree.dataset == "vaihingen" else ""
    raise TaskError(
        f"{tree.root} holds images of ISPRS {tree.dataset.capitalize()} and no labels; expected both{same_name}; "
        + (hint or "unpack the labels there")
    )


def _pictures(
    tree: IsprsTree, bands: tuple[str, ...] | None, wanted: Sequence[str], *, asked: bool
) -> tuple[tuple[str, ...], Mapping[str, Path]]:
    """(product, file by tile) for the bands; ((), {}) where no image is there and no bands were asked for. asked: every tile is needed."""
    if bands is not None and not any(set(bands) <= set(product) for product in _PRODUCTS[tree.dataset]):
        known = " or ".join(format_bands(product) for product in _PRODUCTS[tree.dataset])
        raise TaskError(
            f"ISPRS {tree.dataset.capitalize()} has no bands {format_bands(bands)}; expected bands of {known}; choose among these"
        )
    if not tree.images and bands is None:
        return (), {}

    def worth(product: tuple[str, ...]) -> tuple[int, bool, int]:
        covered = sum(tile in tree.images[product] for tile in wanted)
        return covered, product == bands, len(product) if bands is None else -len(product)

    fitting = [product for product in tree.images if bands is None or set(bands) <= set(product)]
    best = max(fitting, key=worth) if fitting else ()
    without = [tile for tile in wanted if not best or tile not in tree.images[best]]
    if len(without) == len(wanted) or (asked and without):
        letters = format_bands(bands or best)
        serving = [format_bands(product) for product in _PRODUCTS[tree.dataset] if bands is None or set(bands) <= set(product)]
        hint = tree.packed_hint(lambda member: _is_product(member, serving, tree.dataset))
        raise TaskError(
            f"{tree.root} has no image with the bands {letters} for {len(without)} of {len(wanted)} labelled tiles, "
            f"{tree.dataset}_{without[0]} among them; expected files of the product {' or '.join(serving)}; "
            + (hint or "unpack them there")
        )
    return best, tree.images[best]


def _is_product(member: str, products: Sequence[str], dataset: str) -> bool:
    if dataset == "vaihingen":
        return "ground_truth" not in member.lower()
    return any(f"_{product}." in f"{member}." or f"_{product}/" in member for product in products)


def _no_labeling(member: str) -> str:
    """The path in lower case without the word that names the whole benchmark."""
    return member.lower().replace("labeling", "")


def _odd_sizes(images: Sequence[IsprsImage]) -> list[str]:
    """TaskError for an image and a label of two sizes; notes on tiles of another size or scale than published."""
    for image in images:
        if image.picture is not None and image.picture.size != image.size:
            raise TaskError(
                f"{image.label} is {image.size}, its image {image.picture.path.name} {image.picture.size}; expected the same size; "
                "unpack both again"
            )
    notes: list[str] = []
    side = Size(POTSDAM_SIDE, POTSDAM_SIDE)
    if odd := [image for image in images if image.dataset == "potsdam" and image.size != side]:
        notes.append(f"{len(odd)} of {len(images)} tiles are not {side} as published; {odd[0].name} is {odd[0].size}")
    if odd := [image for image in images if image.gsd and abs(image.gsd / GSD[image.dataset] - 1) > 0.01]:
        notes.append(
            f"{len(odd)} of {len(images)} tiles do not have {GSD[odd[0].dataset]:g} m per px as published; by its georeference, "
            f"{odd[0].name} has {odd[0].gsd:g} m"
        )
    return notes
