"""Which images are for validation: chosen by name, whole, and together with what was cut out of the same larger picture.

Chips of one raster show neighbouring pixels of the same roofs in the same light, at times the same roof. Where a name or an export says
that images are parts of one picture, the picture is held out or none of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from converters.labelled_export import ExportLabelled
from converters.labelled_objects import LabelledImage
from converters.labelled_place import tile_number

HELD_OUT_SHARE = 8  # one in eight is for validation
FEWEST_PICTURES = 6
"""Larger pictures that a set must have to be split by them: of fewer, the smallest hold-out would be too much of it."""
FEWEST_IMAGES = 4

_TILE_BLOCK = 2
"""Tiles of a web map are grouped by the tile so many zoom levels up: blocks of 4 x 4."""

# "tile1_image_part_003", "berlin patch 7", "survey_r000512_c001024_512x512", "survey_x512_y1024", "area_1of2"
_PART = re.compile(
    r"""(?P<picture>.*?)[\s_-]*(?:
          (?:(?:image|img)[\s_-]*)?(?:part|patch|chip|crop|tile|window)[\s_-]*\d+(?:[\s_-]\d+)*
        | r(?:ow)?[\s_-]?\d+[\s_-]+c(?:ol)?[\s_-]?\d+(?:[\s_-]\d+x\d+)?(?:-\d+)?
        | [xy][\s_-]?\d+[\s_-]+[xy][\s_-]?\d+
        | \d+of\d+
    )""",
    re.VERBOSE | re.IGNORECASE,
)


def is_held_out(name: str) -> bool:
    """Whether what has this name is for validation: by the name alone, so a set may grow without leaking."""
    return _digest(name)[0] % HELD_OUT_SHARE == 0


def larger_picture(image: LabelledImage) -> str:
    """The name of the picture that an image is a part of; its own name where nothing says that it is one.

    A Label Studio export names the raster of each chip. Else a file's name tells, with words such as part, patch or tile and a number, by
    rows and columns, or as tile of a web map; a name that is nothing but such a part belongs to its folder, where it has one.
    """
    name = PurePosixPath(image.files[0].name if isinstance(image, ExportLabelled) else image.name)
    tile = tile_number(name.stem)
    if tile is not None:
        column, row, zoom = tile
        return str(name.with_name(f"{column >> _TILE_BLOCK}-{row >> _TILE_BLOCK}-{zoom - _TILE_BLOCK}"))
    found = _PART.fullmatch(name.stem)
    if found is None:
        return str(name)
    if found["picture"]:
        return str(name.with_name(found["picture"]))
    return str(name.parent) if name.parent.name else str(name)


@dataclass(frozen=True, slots=True)
class Part:
    """What a split moves as one: an image, or a patch of it. picture: see `larger_picture`. patch: unique in the set."""

    picture: str
    image: str
    patch: str


@dataclass(frozen=True, slots=True)
class Split:
    """held_out: for every part, whether it is for validation. note: a sentence for the report where neighbours were parted, else None."""

    held_out: tuple[bool, ...]
    note: str | None


def split(parts: Sequence[Part], where: str) -> Split:
    """One set's parts split by larger picture; where it has too few of those, by image; by patch where it has too few images.

    Where no name happens to be held out, the one with the smallest hash is, so that every set of at least two images or patches is
    validated on. where: the set, for the note.
    """
    pictures, images, patches = ([getattr(part, level) for part in parts] for level in ("picture", "image", "patch"))
    several = len(set(pictures)) < len(set(images))
    if len(set(pictures)) >= FEWEST_PICTURES:
        return Split(_chosen(pictures), None)
    if len(set(images)) >= FEWEST_IMAGES or (len(set(images)) > 1 and len(set(patches)) == len(set(images))):
        note = f"{where} has parts of only {len(set(pictures))} larger pictures: its validation images are neighbours of training images"
        return Split(_chosen(images), note if several else None)
    if len(set(patches)) > 1:
        note = f"{where} has only {len(set(images))} images: validation is on patches of those that training sees other patches of"
        return Split(_chosen(patches), note)
    return Split((False,) * len(parts), f"{where} is one single image: nothing of it is held out for validation" if parts else None)


def _chosen(names: Sequence[str]) -> tuple[bool, ...]:
    """For at least two different names: some are held out, some are not."""
    first = min(names, key=_digest)
    held = {name for name in names if is_held_out(name)}
    if not held or len(held) == len(set(names)):
        held = {first}
    return tuple(name in held for name in names)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
