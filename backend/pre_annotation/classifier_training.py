"""A classifier from labelled chips: features of regions, the network, and the calibration on chips that it has not seen.

What a chip costs is kept in a folder as it is computed, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from backend.inference.segmenter import Segmenter
from backend.pre_annotation.calibration import FOUND_IOU, SIGNS, fit
from backend.pre_annotation.class_names import meaning
from backend.pre_annotation.class_samples import LabelledRegion, samples_of
from backend.pre_annotation.classifier import NOTHING, Classifier
from backend.pre_annotation.features import APPEARANCE, Described
from backend.pre_annotation.fitting import Samples, train
from backend.pre_annotation.proposal import ProposeSettings
from backend.pre_annotation.proposing import Judged, clicked, describe, judged_as, seeds_of
from backend.pre_annotation.training_chips import TrainingChip, class_map
from converters.whole_file import write_whole

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Work:
    """Where results of chips are kept. Which they are depends on `sign`: of the weights and the recipe of features."""

    folder: Path
    sign: str

    def done(self, kind: str, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a chip: read, or made and kept."""
        path = self.folder / f"{kind}-{hashlib.sha256(f'{self.sign}|{name}'.encode()).hexdigest()[:24]}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                return {key: kept[key] for key in kept.files}
        except (OSError, ValueError):
            pass
        made = make()
        content = io.BytesIO()
        np.savez_compressed(content, **made)  # pyright: ignore[reportArgumentType] - its stub takes the keywords for its own
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
        return made


def collect(chips: Sequence[TrainingChip], segmenter: Segmenter, work: Work, *, min_area: int, seed: int, own_words: bool) -> Samples:
    """Regions of all chips. own_words: keep the sets' class names; else the meaning that is common to all of them."""
    features: list[NDArray[np.float32]] = []
    labels: list[str] = []
    images: list[str] = []
    for chip in _shown(chips, "regions"):
        made = work.done("regions", f"{chip.name}|{min_area}|{seed}", lambda chip=chip: _regions(chip, segmenter, min_area, seed))
        if not len(made["labels"]):
            continue
        features.append(made["features"].astype(np.float32))
        labels += [_word(label, own_words) for label in made["labels"].tolist()]
        images += [chip.name] * len(made["labels"])
    return Samples(np.concatenate(features), tuple(labels), tuple(images))


def _regions(chip: TrainingChip, segmenter: Segmenter, min_area: int, seed: int) -> Arrays:
    pixels = chip.pixels(segmenter)
    regions = chip.regions(min_area)
    described = describe(segmenter, segmenter.encode(pixels), pixels)
    features, labels = samples_of(described, regions, class_map(chip, regions), chip.name, seed=seed)
    return {"features": features.astype(np.float16), "labels": np.array(labels, dtype=str)}


def _word(label: str, own_words: bool) -> str:
    return label if own_words or label == NOTHING else meaning(label) or label


def classifiers(samples: Samples, segmenter: Segmenter, *, seed: int, shipped: bool) -> list[Classifier]:
    """One that reads the model's features, where it has any, and one that reads colour and shape of objects alone."""
    made: list[Classifier] = []
    if samples.features.shape[1] > APPEARANCE:
        made.append(train(samples, kind="body", weights_of=segmenter.version, appearance=APPEARANCE, seed=seed, shipped=shipped))
    seen = ~np.isnan(samples.features[:, -1])  # single cells have no form
    chosen = np.flatnonzero(seen).tolist()
    looks = Samples(
        samples.features[seen][:, -APPEARANCE:],
        tuple(samples.labels[number] for number in chosen),
        tuple(samples.images[number] for number in chosen),
    )
    made.append(train(looks, kind="appearance", weights_of=segmenter.version, appearance=0, seed=seed, shipped=shipped))
    return made


def calibrated(
    made: Sequence[Classifier],
    chips: Sequence[TrainingChip],
    segmenter: Segmenter,
    work: Work,
    settings: ProposeSettings,
    classes: Callable[[TrainingChip], Sequence[str]],
) -> list[Classifier]:
    """The classifiers with calibrations fitted on candidates for `chips`: the same for all, found with the seeds of the first.

    classes: of a chip's set, as a project would have them.
    """
    signs: list[list[NDArray[np.float32]]] = [[] for _ in made]
    found: list[list[bool]] = [[] for _ in made]
    for chip in _shown(chips, "proposals"):
        key = f"{chip.name}|{'|'.join(each.version for each in made)}|{settings.sign}"
        arrays = work.done("judged", key, lambda chip=chip: _judged(chip, made, segmenter, settings, classes(chip)))
        for number in range(len(made)):
            signs[number] += list(arrays[f"signs{number}"].astype(np.float32))
            found[number] += arrays[f"found{number}"].tolist()
    return [
        replace(each, calibration=fit(np.stack(own), right, f"{len(right)} candidates of {len(chips)} chips, {sum(right)} of them right"))
        if right
        else each
        for each, own, right in zip(made, signs, found, strict=True)
    ]


def _judged(
    chip: TrainingChip, made: Sequence[Classifier], segmenter: Segmenter, settings: ProposeSettings, classes: Sequence[str]
) -> Arrays:
    pixels = chip.pixels(segmenter)
    encoding = segmenter.encode(pixels)
    described = describe(segmenter, encoding, pixels, kind=made[0].kind)
    seeds = seeds_of(described, made[0], classes, settings)
    found = clicked(segmenter, encoding, described, seeds, settings)
    truth = chip.regions(settings.min_area)
    arrays: Arrays = {}
    for number, classifier in enumerate(made):
        judged = judged_as(found, described if classifier.kind == "body" else Described(pixels, None), classifier, classes)
        arrays[f"signs{number}"] = np.stack([one.signs for one in judged]) if judged else np.zeros((0, len(SIGNS)), np.float32)
        arrays[f"found{number}"] = np.array([is_found(one, truth) for one in judged], bool)
    return arrays


def is_found(one: Judged, truth: Iterable[LabelledRegion]) -> bool:
    """Whether a candidate overlaps an object of its class by an IoU of at least 0.5."""
    return any(each.name == one.label and each.place.iou(one.candidate.place) >= FOUND_IOU for each in truth)


def _shown(chips: Sequence[TrainingChip], what: str) -> Iterable[TrainingChip]:
    return tqdm(chips, desc=what, unit="chip", disable=None, leave=False)
