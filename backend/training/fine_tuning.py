"""Fine-tuning improves or refuses: the model before and after clicks on the same held-out images, and better weights alone are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import click
from torch import Tensor
from tqdm import tqdm

from backend.errors import ModelError, UsageError
from backend.segmenters import catalogue
from backend.segmenters.catalogue_entry import Entry
from backend.training.objects import Pool
from backend.training.validation import chosen_objects, noc, segmenter_of
from backend.training.verdict import Verdict, judge

MOST_OBJECTS = 200
"""Held-out objects that judge, at most: twice some minutes on a CPU."""
_SEED = 21


def weights_to_start_from(text: str) -> tuple[Path, str | None]:
    """(weight file, registry name) of what --from says: a registry name such as `default`, or a file, which has no name (None).

    Raises UsageError where there is neither, and ModelError for an entry without weights.
    """
    path = Path(text)
    if path.is_file():
        return path, None
    if text != catalogue.DEFAULT and text not in {entry.name for entry in catalogue.entries()}:
        raise UsageError(f"--from {text}: found no such weight file and no model of that name; see `rsiseg weights list`")
    entry = catalogue.entry(text)
    if entry.file is None or not entry.file.is_file():
        raise ModelError(f"--from {text}: the weights of {entry.name} are not here; get them first, see `rsiseg weights list`")
    return entry.file, entry.name


def compared(entry: Entry, before: Mapping[str, Tensor], after: Mapping[str, Tensor], pool: Pool, device: str = "cpu") -> Verdict:
    """Clicks on the held-out objects of `pool` with the weights before and after, as they would serve. Prints the verdict.

    Raises ModelError where nothing is held out.
    """
    if not len(pool.objects):
        raise ModelError("nothing is held out that could judge the new weights; expected labels on two images at least; label another one")
    objects = chosen_objects(pool, MOST_OBJECTS, _SEED)
    results = []
    with tqdm(total=2 * len(objects), desc="before and after", unit="object", dynamic_ncols=True) as bar:
        for name, weights in (("before", before), ("after", after)):
            results.append(noc(segmenter_of(entry, weights, device), pool, objects, name=name, on_object=lambda: _advance(bar)))
    verdict = judge(*results)
    click.echo(str(verdict), err=True)
    return verdict


def _advance(bar: tqdm[NoReturn]) -> None:
    bar.update()


def expect_better(verdict: Verdict, *, force: bool, out: Path) -> None:
    """Raises ModelError for weights that are no better, unless `force`."""
    if not verdict.better and not force:
        raise ModelError(
            f"{out} is not written, the new weights are no better beyond chance: {verdict}; label more images, train longer with a new "
            "--run, or add --force to the same command to write them all the same"
        )
