"""Where a benchmark's images come from: a labelled set, the part of it that a split names, and the bands that models are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.errors import UsageError
from converters.bands import format_bands, select
from converters.isprs_sets import STUDY_SETS
from converters.isprs_splits import SPLITS
from converters.labelled import LabelledImage, LabelledSet, open_labelled
from converters.labelled_isprs import is_isprs_tree, isprs_set

STUDY_PATCHES = {f"isprs {one.dataset}": one.patch for one in STUDY_SETS.values()}
"""Side in px of the patches that the study cuts its images into, by the beginning of `LabelledSet.kind`."""

Bands = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Source:
    """A labelled set as the benchmark asks for it; small enough to be sent to another process.

    data: the path of the set. split: a text file with one image a line, or for ISPRS data one of `isprs_splits.SPLITS`; None: all.
    labels, attribute, roots, document_root: as in `open_labelled`.
    """

    data: Path
    split: str | None = None
    labels: Path | None = None
    attribute: str | None = None
    roots: tuple[Path, ...] = ()
    document_root: Path | None = None

    def open(self, bands: Bands = None, *, check: bool = False) -> LabelledSet:
        """The images of the split, in the set's order.

        bands: letters of the channels to be read, or of what they mean where the files do not say; None: what there is.
        check: look for damage in all labels where the layout has a check; once a run is enough.
        UsageError for a split that names what the set lacks; TaskError for data that cannot be read.
        """
        if self._is_isprs:
            return isprs_set(self.data, bands=bands, split=self.split, check=check)
        found = open_labelled(
            self.data,
            bands=bands,
            labels=self.labels,
            attribute=self.attribute,
            roots=self.roots,
            document_root=self.document_root,
        )
        return found if self.split is None else replace(found, images=self._of_split(found, self.split))

    def chooses(self, bands: Bands) -> bool:
        """Whether `bands` picks some of the bands that the files name, rather than say what unnamed channels mean."""
        if bands is None:
            return False
        named = set[str]().union(*(image.bands or () for image in self.open().images))
        return self._is_isprs or set(bands) <= named

    @property
    def _is_isprs(self) -> bool:
        return self.labels is None and self.data.is_dir() and not (self.data / "classes.json").is_file() and is_isprs_tree(self.data)

    def _of_split(self, found: LabelledSet, split: str) -> tuple[LabelledImage, ...]:
        """By file name, with or without its ending."""
        path = Path(split)
        if not path.is_file():
            named = f"; {split} is a split of the ISPRS data sets alone" if split in SPLITS else ""
            raise UsageError(f"there is no split file {split}{named}; give a text file with the names of the images to use, one a line")
        names = {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
        if not names:
            raise UsageError(f"{split} is empty; expected the names of the images to use, one a line")
        chosen = tuple(image for image in found.images if names & _spellings(image))
        unknown = names - {spelling for image in chosen for spelling in _spellings(image)}
        if unknown:
            raise UsageError(
                f"the split names {min(unknown)}, which {self.data} has no labels for; expected names such as {found.images[0].name}"
            )
        return chosen


def default_patch(found: LabelledSet) -> int | None:
    """Side of the patches of that set in the study; None for sets that it did not use, whose images stay whole."""
    return next((side for start, side in STUDY_PATCHES.items() if found.kind.lower().startswith(start)), None)


def channels(image: LabelledImage, recipes: Sequence[Sequence[str]], *, chosen: bool) -> tuple[int, ...] | None:
    """Which of `image.read()`'s channels a model of these recipes is given, from 0, in its order; None: all as they are.

    chosen: the channels were picked for the model, so none is left out or moved. Raises RasterError where no recipe fits the bands, and
    UsageError for a choice that has more or fewer channels than the model takes.
    """
    letters = image.bands
    if letters is None:
        return None
    if not chosen:
        return tuple(band - 1 for band in select(letters, recipes))
    if len(letters) != len(recipes[0]):
        raise UsageError(
            f"the model takes {len(recipes[0])} bands, --bands {format_bands(letters)} has {len(letters)}; "
            f"name {len(recipes[0])} bands, or give a model of {len(letters)}"
        )
    return None


def _spellings(image: LabelledImage) -> set[str]:
    return {image.name, Path(image.name).stem}
