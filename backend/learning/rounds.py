"""A round of learning: from the weights that answer, on what was accepted and what is replayed, to a verdict, and to a version or not.

The share of the project's own images that is held out (training/validation_split.py) is never learned from. The weights before and after
click on its objects; the new ones are promoted only if they need fewer clicks beyond the 95 % interval. Every round leaves a record.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.errors import ModelError, UsageError
from backend.evaluation.bootstrap import FEWEST_CLUSTERS
from backend.learning.procedural import SCENES, procedural_set
from backend.learning.round_order import EXPORT, ORDER, RECORD, Replay, RoundOrder, read_order
from backend.learning.versions import SHIPPED, Versions
from backend.segmenters import catalogue
from backend.segmenters.weight_files import write_weights
from backend.training.bands import starting_weights, training_recipes
from backend.training.fine_tuning import compared
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.sources import Source
from backend.training.training_run import Order, trained
from backend.training.verdict import Verdict
from converters.whole_file import write_whole

_REGIONS = "regions.json"
FEWEST_IMAGES = 2
"""Held-out images of the project that must be there to judge by; with one, its light and season would decide."""

FEWEST_OBJECTS = FEWEST_CLUSTERS
"""Held-out objects likewise. Of fewer the interval comes out too narrow (evaluation/bootstrap.py): by five, a round of the simulated week
was promoted that the test part then did not confirm (docs/learning.md)."""

Judge = Callable[[Any, Any, Any, Pool, str], Verdict]


class InterruptedRound(Exception):  # noqa: N818 - no error: the same round goes on later
    """Somebody asked the training to stop; its checkpoint is kept."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a project's learning lives. roots, document_root: where its rasters may be read from, as for `rsiseg train`."""

    data_dir: Path
    project: int
    roots: tuple[Path, ...] = ()
    document_root: Path | None = None

    @property
    def folder(self) -> Path:
        """Of the export that was collected last, and of the rounds."""
        return self.data_dir / "learning" / str(self.project)

    @property
    def rounds(self) -> Path:
        """A folder a round."""
        return self.folder / "rounds"

    @property
    def versions(self) -> Versions:
        """Of all projects."""
        return Versions(self.data_dir)

    def records(self) -> list[dict[str, Any]]:
        """What the finished rounds came to, in their order."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.rounds.glob(f"*/{RECORD}"))]

    def seen(self) -> frozenset[str]:
        """Identities of the objects that the last round that was begun had. Empty before the first."""
        for path in sorted(self.rounds.glob(f"*/{_REGIONS}"), reverse=True):
            try:
                return frozenset(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                continue
        return frozenset()

    def next_number(self) -> int:
        """Of the next round."""
        return max((int(path.name) for path in self.rounds.glob("[0-9]*")), default=0) + 1

    def unfinished(self) -> Path | None:
        """The folder of a round that was begun and has no record."""
        begun = (path.parent for path in sorted(self.rounds.glob(f"*/{ORDER}")))
        return next((folder for folder in begun if not (folder / RECORD).exists()), None)


def begin(home: Home, order: RoundOrder, export: Path, regions: Iterable[str] = ()) -> Path:
    """Writes down a round, with its own copy of the export; returns its folder. Nothing is trained yet.

    regions: identities of the objects in the export, by which a later check tells new ones.
    """
    folder = home.rounds / f"{order.number:04d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(export, folder / EXPORT)
        write_whole(folder / _REGIONS, json.dumps(sorted(regions)))
        order.write(folder)  # last: it makes the round one that was begun
    except OSError as error:
        raise UsageError(f"round {order.number} cannot be begun in {folder} ({error}); make room there") from error
    return folder


def carry_on(home: Home, folder: Path, judge: Judge = compared) -> dict[str, Any]:
    """Carries a round out from wherever it stands, and returns its record, which is then in its folder.

    Raises InterruptedRound when it was asked to stop, and RSISegError for what makes it impossible: then it goes on when that is mended.
    """
    order, started = read_order(folder), time.monotonic()
    own = _own_source(home, folder)
    weights = _start(home, order)
    held_out = _held_out(home, order, own, weights)
    missing = _missing(held_out)
    verdict, promoted, why = None, None, missing or ""
    if missing is None:
        verdict, promoted, why = _learned(home, order, folder, own, weights, held_out, judge)
    pool = {"objects": len(held_out.objects), "images": _images(held_out)}
    return _recorded(folder, order, started, {"held out": pool, "verdict": verdict, "promoted": promoted, "why": why})


def give_up(folder: Path, why: str) -> dict[str, Any]:
    """Ends a round that cannot be carried out, with a record that says why; the next one begins anew."""
    return _recorded(folder, read_order(folder), time.monotonic(), {"verdict": None, "promoted": None, "why": why})


def _recorded(folder: Path, order: RoundOrder, started: float, found: Mapping[str, Any]) -> dict[str, Any]:
    verdict = found["verdict"]
    record = {
        "project": order.project,
        "round": order.number,
        "model": order.model,
        "parent": order.parent,
        "objects": order.objects,
        "images": order.images,
        "asked": order.asked,
        **found,
        "verdict": None if verdict is None else verdict.as_json(),
        "learning": json.loads((folder / ORDER).read_text(encoding="utf-8"))["learning"],
        "seconds": round(time.monotonic() - started, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_whole(folder / RECORD, json.dumps(record, indent=1) + "\n")
    shutil.rmtree(folder / "run", ignore_errors=True)  # its checkpoint is eight times as large as the weights
    return record


def _learned(
    home: Home, order: RoundOrder, folder: Path, own: Source, weights: Path, held_out: Pool, judge: Judge
) -> tuple[Verdict, int | None, str]:
    """Trains and judges: the verdict, the number of the version that was promoted, and why or why not."""
    settings = order.learning
    training = trained(
        Order(
            sources=[own, *(_replayed(home, one) for one in settings.replay)],
            model=order.model,
            recipe=settings.settled(),
            out=folder / "candidate.safetensors",
            folder=folder / "run",
            cache=home.folder / "cache",
            start_from=weights,
            seed=settings.seed + order.number - 1,
            device=settings.device,
            precision=settings.precision,
        ),
        validated=False,
    )
    if not training.finished:
        raise InterruptedRound
    entry = training.entry
    verdict = judge(entry, starting_weights(weights, entry, entry.recipes), training.outcome.last, held_out, settings.device)
    if not verdict.better:
        return verdict, None, f"not promoted: no better beyond the interval; {verdict}"
    candidate = folder / "candidate.safetensors"
    about = {"family": entry.family, "architecture": entry.architecture, "recipes": entry.recipes, "licence": entry.licence}
    write_weights(candidate, training.outcome.last, **about)
    version = _kept(home, order, candidate, verdict)
    candidate.unlink()
    now = home.versions.current(order.project)
    if (SHIPPED if now is None else now.number) not in (order.parent, version):
        return verdict, None, f"kept as version {version}, not promoted: another version was made current meanwhile; {verdict}"
    home.versions.promote(order.project, version)
    return verdict, version, f"promoted: better beyond the interval; {verdict}"


def _kept(home: Home, order: RoundOrder, candidate: Path, verdict: Verdict) -> int:
    """The number of the version of these weights; of the one that is there already where this round was killed after it had made it."""
    for version in home.versions.of(order.project):
        if version.about.get("round") == order.number:
            return version.number
    about = {
        "round": order.number,
        "objects": order.objects,
        "images": order.images,
        "held out": verdict.as_json(),
        "recipe": order.learning.recipe,
        "replay": [[one.path, one.weight] for one in order.learning.replay],
    }
    return home.versions.add(order.project, candidate, model=order.model, parent=order.parent, about=about).number


def _start(home: Home, order: RoundOrder) -> Path:
    """The weight file that training starts from."""
    if order.parent != SHIPPED:
        return home.versions.get(order.project, order.parent).weights
    entry = catalogue.entry(order.model)
    if entry.file is None or not entry.file.is_file():
        raise ModelError(f"the model {order.model} has no weight file to learn on from; serve one that has, see `rsiseg weights list`")
    return entry.file


def _own_source(home: Home, folder: Path) -> Source:
    return Source(folder / EXPORT, roots=home.roots, document_root=home.document_root)


def _replayed(home: Home, replay: Replay) -> Source:
    path = procedural_set(home.data_dir / "learning" / SCENES) if replay.path == SCENES else Path(replay.path)
    return Source(path, replay.weight, roots=home.roots, document_root=home.document_root)


def _held_out(home: Home, order: RoundOrder, own: Source, weights: Path) -> Pool:
    """The project's own objects that judge. Empty where nothing can be learned from yet, which the record then says."""
    recipes = training_recipes(catalogue.entry(order.model), (), weights)
    cache = PixelCache(home.folder / "cache")
    return load_pools([own], min_area=order.learning.settled().min_area, recipes=recipes, cache=cache)[1]


def _missing(held_out: Pool) -> str | None:
    """What a project lacks to be learned from, None where it lacks nothing."""
    images, objects = _images(held_out), len(held_out.objects)
    if images >= FEWEST_IMAGES and objects >= FEWEST_OBJECTS:
        return None
    return (
        f"nothing was trained: {objects} held-out objects on {images} held-out images of the project cannot judge; expected at least "
        f"{FEWEST_OBJECTS} on {FEWEST_IMAGES}; one image in eight is held out, so annotate more images"
    )


def _images(pool: Pool) -> int:
    return len({item.image for item in pool.objects})
