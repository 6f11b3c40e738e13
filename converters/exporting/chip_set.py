"""Training sets: every annotated chip once, with its picture and its regions' masks, in the part (train or val) of its raster.

A chip with an annotation and no region belongs to the set: it says that there is nothing. Chips of one raster never fall apart into both
parts, since neighbours look alike; neither do the products of one ISPRS tile.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters import isprs
from converters.chips import Chip
from converters.errors import ExportError, RSISegError
from converters.exporting.account import Account
from converters.exporting.chosen import ChosenRegion, ChosenTask, chosen_tasks, too_small
from converters.exporting.class_codes import UNLABELLED, ClassCodes
from converters.exporting.place import place_of
from converters.exporting.set_pictures import SetPictures
from converters.frames import Size
from converters.map_place import MapPlace

if TYPE_CHECKING:
    from converters.exporting.formats import Request

TRAIN, VAL = "train", "val"
VAL_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class MaskedRegion:
    """A region with its pixels. code: of its class. size: of the chip's window.

    inside: bool, the mask cut to the smallest box, whose upper-left pixel is at (row, col): whole masks of a large chip's many regions
    would not fit into memory.
    """

    region: ChosenRegion
    code: int
    size: Size
    row: int
    col: int
    inside: NDArray[np.bool_] = field(repr=False)

    @classmethod
    def of(cls, region: ChosenRegion, mask: NDArray[np.bool_], code: int) -> MaskedRegion:
        """Of a mask with at least one true pixel."""
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        inside = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
        return cls(region, code, region.chip.window.size, int(rows[0]), int(cols[0]), inside)

    @property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.inside))

    @property
    def box(self) -> list[int]:
        """COCO's [column, row, width, height]."""
        return [self.col, self.row, self.inside.shape[1], self.inside.shape[0]]


@dataclass(frozen=True, slots=True, eq=False)
class SetChip:
    """An annotated chip of a set.

    name: of its files, without ending, unlike any other's in the set. part: TRAIN or VAL. png: its picture, 8-bit PNG of the window's size.
    """

    name: str
    part: str
    task: ChosenTask
    regions: tuple[MaskedRegion, ...]
    png: bytes = field(repr=False)
    priority: tuple[str, ...] = ()

    @property
    def chip(self) -> Chip:
        """Its window and place."""
        return self.task.chip

    def codes(self) -> NDArray[np.uint8]:
        """Class codes HxW, UNLABELLED where no region is.

        Where regions overlap, the class named first in `priority` is on top, then any other; within a class the later region.
        """
        rank = {name: len(self.priority) - place for place, name in enumerate(self.priority)}
        codes = np.full((self.chip.window.height, self.chip.window.width), UNLABELLED, np.uint8)
        for one in sorted(self.regions, key=lambda one: rank.get(one.region.class_name, 0)):
            height, width = one.inside.shape
            codes[one.row : one.row + height, one.col : one.col + width][one.inside] = one.code
        return codes


@dataclass(frozen=True, slots=True)
class ChipSet:
    """The set of an export. classes: all classes, coded. parts: by a raster's key. counted: chips by part, filled by a pass."""

    request: Request
    classes: ClassCodes
    parts: Mapping[str, str]
    pictures: SetPictures
    counted: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, request: Request) -> ChipSet:
        """Reads the export once, without decoding anything. ExportError for more classes than codes."""
        names: set[str] = set()
        keys: set[str] = set()
        for task in chosen_tasks(request.tasks(), request.choice, Account(), colours=request.colours):
            names |= {region.class_name for region in task.regions}
            keys.add(raster_key(task.chip.raster))
        share = float(request.options.get("val_share", VAL_SHARE))
        return cls(request, ClassCodes.of(names, request.colours), split(keys, share), SetPictures.of(request.options))

    def chips(self) -> Iterator[SetChip]:
        """The chips in the order of the export, decoded one by one; the account hears what became of every region.

        Raises ExportError when there are annotated chips and not one of them has a picture.
        """
        request, names, lost = self.request, Counter[str](), ""
        for task in chosen_tasks(request.tasks(), request.choice, request.account, colours=request.colours):
            try:
                png = self.pictures.png(task.chip)
            except RSISegError as error:
                lost = lost or str(error)
                request.account.unplaced(task.position, str(error))
                for region in task.regions:
                    request.account.left_out(region.name, str(error))
                continue
            name = chip_name(task.chip)
            names[name] += 1
            if names[name] > 1:
                name = f"{name}-{names[name]}"
            part = self.parts[raster_key(task.chip.raster)]
            self.counted[part] += 1
            yield SetChip(name, part, task, tuple(self._masked(task)), png, request.shaping.priority)
        if lost and not self.counted:
            raise ExportError(f"no annotated chip has a picture: {lost}")
        self._tell()

    def _masked(self, task: ChosenTask) -> Iterator[MaskedRegion]:
        account, choice = self.request.account, self.request.choice
        for region in task.regions:
            try:
                mask = region.mask()
                if not mask.any():
                    raise ExportError("it covers the centre of no pixel; expected at least one pixel; delete the region or draw it again")
                area = area_m2(region, mask)
            except RSISegError as error:
                account.left_out(region.name, str(error))
                continue
            if area is not None and area < choice.min_area_m2:
                account.left_out(region.name, too_small(area, choice))
                continue
            account.exported(region.name, region.class_name, area)
            yield MaskedRegion.of(region, mask, self.classes.code(region.class_name))

    def _tell(self) -> None:
        account = self.request.account
        account.fact("chips", {part: self.counted[part] for part in (TRAIN, VAL)})
        account.fact("rasters", {part: sum(of == part for of in self.parts.values()) for part in (TRAIN, VAL)})
        account.fact("pictures", self.pictures.told)
        account.fact("classes", {name: code for code, name in enumerate(self.classes.names)})


def area_m2(region: ChosenRegion, mask: NDArray[np.bool_]) -> float | None:
    """Square metres of a region's pixels; None without a georeference or ground sampling distance that can be used."""
    try:
        place = place_of(region.chip, pixels=region.chip.crs is None or region.chip.transform is None)
        per_pixel = place.planar_m2 if isinstance(place, MapPlace) else place.m2
        if per_pixel is None:
            return region.area_m2()
    except RSISegError:  # a training set needs pixels, no place on earth
        return None
    return round(int(np.count_nonzero(mask)) * per_pixel, 6)


def chip_name(chip: Chip) -> str:
    """Raster and window in a file name, as the import names chips: the same in every export, other rasters of the name told apart."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(chip.raster).stem)[:80]
    digest = hashlib.sha256(chip.raster.encode()).hexdigest()[:8]
    window = chip.window
    return f"{stem}-{digest}_r{window.row_off:06d}_c{window.col_off:06d}_{window.width}x{window.height}"


def raster_key(raster: str) -> str:
    """What decides about a raster's part: its file name, or data set and tile of an ISPRS product."""
    name = isprs.parse_name(raster)
    return PurePosixPath(raster).name if name is None else f"{name.dataset} {name.tile}"


def split(keys: set[str], val_share: float) -> dict[str, str]:
    """The part of each raster by the hash of its key: about `val_share` of many rasters is VAL, and no raster changes its part when others
    are added. Where none would be left to train on, the one of the highest hash is TRAIN."""
    shares = {key: int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64 for key in sorted(keys)}
    parts = {key: VAL if share < val_share else TRAIN for key, share in shares.items()}
    if parts and TRAIN not in parts.values() and val_share < 1:
        parts[max(shares, key=lambda key: (shares[key], key))] = TRAIN
    return parts
