"""The data sets a run learns from: what `rsiseg bench` reads, cut as bench cuts it, with a share of the samples each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from backend.errors import UsageError
from backend.evaluation import data_source
from backend.evaluation.patches import Patch, patches
from converters.labelled import LabelledImage, LabelledSet

LARGEST_WHOLE = 4096
LARGE_PATCH = 1024
"""Images with a side of more than LARGEST_WHOLE px are cut into patches of LARGE_PATCH, unless the set has patches of its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """One data set of a run, opened as bench opens it.

    path: of the set. weight: its share of the samples, above 0. exclude: names of images to leave out, with or without their ending.
    patch: side in px of the patches that images are cut into, each an image of its own with the objects it has by itself; 0: whole
    images; None: as the study cuts the set, else whole up to LARGEST_WHOLE. bands: letters of the channels to read, or what they mean
    where the files do not say. split, labels, attribute, roots, document_root: as in `data_source.Source`.
    """

    path: Path
    weight: float = 1.0
    exclude: frozenset[str] = frozenset()
    patch: int | None = None
    bands: tuple[str, ...] | None = None
    split: str | None = None
    labels: Path | None = None
    attribute: str | None = None
    roots: tuple[Path, ...] = ()
    document_root: Path | None = None

    @property
    def name(self) -> str:
        """What a card calls the set: its folder's name."""
        return self.path.parent.name if self.path.suffix else self.path.name

    def open(self) -> LabelledSet:
        """The set, without reading pixels. UsageError for an unknown split, TaskError and RasterError for data that cannot be read."""
        asked = data_source.Source(self.path, self.split, self.labels, self.attribute, self.roots, self.document_root)
        return asked.open(self.bands)


def labelled_patches(source: Source, found: LabelledSet, min_area: int) -> Iterator[tuple[LabelledImage, Patch]]:
    """The patches of a set that hold objects, image by image; a whole image is one patch.

    found: `source.open()`. Raises TaskError and RasterError for damaged labels, UsageError for a set in which nothing was found.
    """
    side = data_source.default_patch(found) if source.patch is None else source.patch or None
    nothing = True
    for image in tqdm(found.images, desc=f"labels of {source.name}", leave=False, disable=None):
        if {image.name, Path(image.name).stem} & source.exclude:
            continue
        large = source.patch is None and max(image.size.width, image.size.height) > LARGEST_WHOLE
        for patch in patches(image, side or (LARGE_PATCH if large else None), min_area):
            nothing = False
            yield image, patch
    if nothing:
        left_out = f" outside the {len(source.exclude)} excluded names" if source.exclude else ""
        raise UsageError(
            f"found no object of at least {min_area} px in the {len(found.images)} images of {source.path}{left_out}; "
            "give sets with labels, or lower --min-area"
        )
