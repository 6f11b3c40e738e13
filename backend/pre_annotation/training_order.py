"""What `rsiseg train-classifier` does, from its options to the files it writes."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import UsageError
from backend.pre_annotation.classifier import NOTHING, Classifier
from backend.pre_annotation.classifier_training import Work, calibrated, classifiers, collect
from backend.pre_annotation.classifiers import SHIPPED_APPEARANCE, SHIPPED_BODY, Classifiers
from backend.pre_annotation.fitting import Samples, balanced_accuracy
from backend.pre_annotation.proposal import ProposeSettings
from backend.pre_annotation.training_chips import TrainingChip, chips_of
from backend.segmenters import registry
from converters.whole_file import write_whole

FEWEST_OBJECTS = 10
"""Regions with a class that a project's classifier is trained from at least."""
_FILES = {"body": SHIPPED_BODY, "appearance": SHIPPED_APPEARANCE}


@dataclass(frozen=True, slots=True)
class Order:
    """The options of the command, see there. Either `project` or `out`."""

    data: tuple[Path, ...]
    project: int | None
    data_dir: Path
    out: Path | None
    model: str
    exclude: frozenset[str]
    limit: int | None
    calibrate: int
    min_area: int
    work: Path
    seed: int
    device: str
    roots: tuple[Path, ...] = ()
    document_root: Path | None = None


def carry_out(order: Order) -> dict[str, Any]:
    """Trains and writes; returns the card. Raises UsageError for too little data."""
    segmenter = registry.load(order.model, device=order.device)
    work = Work(order.work, f"{segmenter.version}|features 2")
    chips = chips_of(order.data, order.exclude, limit=order.limit, seed=order.seed, roots=order.roots, document_root=order.document_root)
    own = order.project is not None
    learned = [chip for chip in chips.training if own or not chip.for_calibration]
    samples = collect(learned, segmenter, work, min_area=order.min_area, seed=order.seed, own_words=own)
    held_out = collect(chips.held_out, segmenter, work, min_area=order.min_area, seed=order.seed, own_words=own) if chips.held_out else None
    counts = Counter(label for label in samples.labels if label != NOTHING)
    if sum(counts.values()) < FEWEST_OBJECTS:
        raise UsageError(f"{sum(counts.values())} regions with a class were found; expected at least {FEWEST_OBJECTS}; annotate more tasks")
    made = classifiers(samples, segmenter, seed=order.seed, shipped=not own)
    if own:
        made = made[:1]
    asked = _for_calibration(chips.training, order, own)
    settings = ProposeSettings(min_area=order.min_area)
    classes = _classes(chips.training)
    made = calibrated(made, asked, segmenter, work, settings, lambda chip: classes[chip.source])
    files = [_write(order, each) for each in made]
    card: dict[str, Any] = {
        "files": files,
        "classes": list(made[0].classes),
        "weights_of": segmenter.version,
        "data": [path.name for path in order.data],
        "seed": order.seed,
        "limit": order.limit,
        "chips": {"classifier": len(learned), "calibration": len(asked), "held out": len(chips.held_out)},
        "regions": dict(sorted(counts.items())),
        "classifiers": [_said(each, samples, held_out) for each in made],
        "notes": list(chips.notes),
    }
    if order.out is not None:
        write_whole(order.out / "objects_classifier.json", json.dumps(card, indent=1) + "\n")
        write_whole(order.out / "objects_classifier.exclude.txt", "".join(f"{name}\n" for name in _names(chips.held_out, order.exclude)))
    return card


def _classes(chips: Sequence[TrainingChip]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for chip in chips:
        found.setdefault(chip.source, set()).update(each.class_name for each in chip.image.objects(1, chip.window))
    return {source: sorted(names) for source, names in found.items()}


def _for_calibration(chips: Sequence[TrainingChip], order: Order, own: bool) -> list[TrainingChip]:
    """Chips of all sets in turn, drawn with the seed. A project has too few to keep any from its classifier."""
    by_source: dict[str, list[TrainingChip]] = {}
    for chip in chips:
        if own or chip.for_calibration:
            by_source.setdefault(chip.source, []).append(chip)
    for waiting in by_source.values():
        random.Random(order.seed).shuffle(waiting)
    chosen: list[TrainingChip] = []
    while len(chosen) < order.calibrate and any(by_source.values()):
        for waiting in by_source.values():
            if waiting and len(chosen) < order.calibrate:
                chosen.append(waiting.pop())
    return chosen


def _write(order: Order, classifier: Classifier) -> str:
    if order.project is not None:
        path = Classifiers(order.data_dir).path(str(order.project))
    else:
        assert order.out is not None  # one of the two is given
        path = order.out / _FILES[classifier.kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    classifier.write(path)
    return str(path)


def _said(classifier: Classifier, samples: Samples, held_out: Samples | None) -> dict[str, Any]:
    return {
        "kind": classifier.kind,
        "version": classifier.version,
        "calibration": classifier.calibration.note,
        "balanced accuracy, training": round(_accuracy(classifier, samples), 3),
        "balanced accuracy, held out": None if held_out is None else round(_accuracy(classifier, held_out), 3),
    }


def _accuracy(classifier: Classifier, samples: Samples) -> float:
    features = samples.features[:, -len(classifier.mean) :]
    return balanced_accuracy(classifier, Samples(features, samples.labels, samples.images), classifier.classes)


def _names(held_out: Sequence[TrainingChip], excluded: frozenset[str]) -> list[str]:
    return sorted({chip.image.name for chip in held_out} | excluded)
