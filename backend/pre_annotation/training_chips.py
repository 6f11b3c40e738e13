"""The chips that a classifier and its calibration learn from, and those that neither may see: parts of labelled sets."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.errors import UsageError
from backend.evaluation.data_source import Source, channels
from backend.evaluation.patches import as_tuple, windows
from backend.inference.segmenter import Segmenter
from backend.pre_annotation.class_samples import ClassMap, LabelledRegion
from backend.pre_annotation.mask_place import MaskPlace
from backend.training.validation_split import Part, larger_picture, split
from converters.chips import PixelWindow
from converters.labelled_objects import LabelledImage, LabelledObject, whole

CHIP = 600
"""Native px of a chip's side at most: larger images are cut."""
CALIBRATION_SHARE = 5
"""One training chip in so many is for the calibration alone: what a classifier has seen it is too sure of."""


@dataclass(frozen=True, slots=True)
class TrainingChip:
    """A window of an image. source: of the set, for names. classes: of the set, as it spells them.

    complete: whether every object of these classes is labelled, so that the rest is none of them.
    """

    source: str
    image: LabelledImage
    window: PixelWindow
    complete: bool

    @property
    def name(self) -> str:
        """Unique over all sets."""
        return f"{self.source}/{self.image.name}/{'_'.join(map(str, as_tuple(self.window)))}"

    @property
    def for_calibration(self) -> bool:
        """By the image's name: chips of one image are on one side."""
        return hashlib.sha256(f"calibration/{self.image.name}".encode()).digest()[0] % CALIBRATION_SHARE == 0

    def pixels(self, segmenter: Segmenter) -> NDArray[np.uint8]:
        """HxWxC uint8, the bands that the segmenter reads."""
        read = self.image.read(self.window)
        order = channels(self.image, segmenter.recipes, chosen=False)
        return np.ascontiguousarray(read if order is None else read[:, :, list(order)])

    def regions(self, min_area: int) -> list[LabelledRegion]:
        """Objects of at least `min_area` px."""
        return [LabelledRegion(place_of(each), each.class_name) for each in self.image.objects(min_area, self.window)]


def place_of(each: LabelledObject) -> MaskPlace:
    """A labelled object as a mask in its window."""
    return MaskPlace(each.box, np.ascontiguousarray(each.inside), each.window)


def class_map(chip: TrainingChip, regions: Sequence[LabelledRegion]) -> ClassMap:
    """What every pixel of a chip is."""
    return ClassMap.painted(regions, chip.window.size, rest_is_nothing=chip.complete)


@dataclass(frozen=True, slots=True)
class Chips:
    """training: for classifier and calibration. held_out: for measurements. notes: of the sets and of the split."""

    training: tuple[TrainingChip, ...]
    held_out: tuple[TrainingChip, ...]
    notes: tuple[str, ...]


def chips_of(
    paths: Sequence[Path],
    exclude: frozenset[str],
    *,
    limit: int | None,
    seed: int,
    roots: tuple[Path, ...] = (),
    document_root: Path | None = None,
) -> Chips:
    """The chips of labelled sets. exclude: names of images to leave out, with or without their ending.

    limit: of training chips of each set, drawn with `seed`, and likewise of held-out ones. roots, document_root: as in
    `data_source.Source`, for Label Studio exports. Raises UsageError where nothing is left.
    """
    training: list[TrainingChip] = []
    held_out: list[TrainingChip] = []
    notes: list[str] = []
    for path in paths:
        found = Source(path, roots=roots, document_root=document_root).open()
        images = [image for image in found.images if not {image.name, Path(image.name).stem} & exclude]
        name = path.parent.name if path.suffix else path.name
        parted = split([Part(larger_picture(image), image.name, image.name) for image in images], name)
        notes += [*found.notes, *([parted.note] if parted.note else [])]
        complete = found.kind != "COCO instances"
        for wanted, into in ((False, training), (True, held_out)):
            own = [
                TrainingChip(name, image, window, complete)
                for image, held in zip(images, parted.held_out, strict=True)
                if held == wanted
                for window in _windows(image)
            ]
            if limit is not None and len(own) > limit:
                own = [own[number] for number in sorted(random.Random(seed).sample(range(len(own)), limit))]
            into.extend(own)
    if not training:
        raise UsageError("no image is left to learn from; expected labelled sets with at least one image; check --data and --exclude")
    return Chips(tuple(training), tuple(held_out), tuple(notes))


def _windows(image: LabelledImage) -> Iterator[PixelWindow]:
    if max(image.size.width, image.size.height) <= CHIP * 1.5:
        yield whole(image.size)
        return
    for window in windows(image.size, CHIP):
        if min(window.width, window.height) >= CHIP // 4:
            yield window
