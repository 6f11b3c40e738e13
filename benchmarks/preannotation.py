"""How good proposals are: objects found, precision, what scores are worth, and the clicks that starting from them saves.

    python benchmarks/preannotation.py --data D/isprs_crops --json runs/preannotation.json
    python benchmarks/preannotation.py --data D/dronedeploy_chips --held-out --limit 8 --json runs/preannotation.json --resume
    python benchmarks/preannotation.py --json runs/preannotation.json --table

A chip is a window of at most 600 px (larger images are cut). --held-out: only images that neither the click model nor the classifier was
trained on, chosen as for `rsiseg train`. Every chip is written to the JSON as it is measured; --resume passes over those that are there.
The robot clicks on --objects objects of each chip, drawn with --seed, twice: from nothing, and from the best overlapping proposal where one
overlaps by an IoU of at least 0.5, which its first click must fall on. It stops at an IoU of 0.9 or after 20 clicks.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from preannotation_tables import tables

from backend.evaluation.robot import MAX_CLICKS, annotate_many
from backend.inference.continuation import Continuation
from backend.inference.segmenter import Segmenter
from backend.pre_annotation.classifier import Classifier
from backend.pre_annotation.classifiers import Classifiers
from backend.pre_annotation.proposal import ProposeSettings
from backend.pre_annotation.proposing import chosen, describe, judge
from backend.pre_annotation.training_chips import TrainingChip, chips_of, place_of
from backend.segmenters import registry
from backend.segmenters.catalogue import WEIGHTS_FOLDER
from converters.whole_file import write_whole

STOP = 0.9
SCORES = (0.05, 0.15, 0.25, 0.4, 0.5, 0.6)


def measure(
    chip: TrainingChip,
    classes: list[str],
    segmenter: Segmenter,
    classifier: Classifier,
    objects: int,
    seed: int,
    renamed: dict[str, str],
) -> dict[str, Any]:
    """One chip's record."""
    settings = ProposeSettings()
    pixels = chip.pixels(segmenter)
    truth = [
        replace(each, class_name=renamed.get(each.class_name, each.class_name))
        for each in chip.image.objects(settings.min_area, chip.window)
    ]
    places = [place_of(each) for each in truth]
    started = time.perf_counter()
    encoding = segmenter.encode(pixels)
    described = describe(segmenter, encoding, pixels, kind=classifier.kind)
    described_at = time.perf_counter()
    judged = judge(segmenter, encoding, described, classifier, classes, settings)
    seconds = time.perf_counter() - started
    scores = [float(classifier.calibration.scores(one.signs[None])[0]) for one in judged]
    by_score: dict[str, Any] = {}
    kept: list[Any] = []
    for least in SCORES:
        proposals = chosen(judged, scores, ProposeSettings(min_score=least))
        overlaps = [[place.iou(one.place) for place in places] for one in proposals]
        by_score[str(least)] = {
            "proposals": [
                {
                    "class": one.label,
                    "score": round(one.score, 4),
                    "iou": round(max((iou for iou, each in zip(own, truth, strict=True) if each.class_name == one.label), default=0.0), 4),
                    "iou_any": round(max(own, default=0.0), 4),
                }
                for one, own in zip(proposals, overlaps, strict=True)
            ],
            "objects": [
                {
                    "class": each.class_name,
                    "area": each.area,
                    "iou": round(
                        max((own[at] for one, own in zip(proposals, overlaps, strict=True) if one.label == each.class_name), default=0.0), 4
                    ),
                    "iou_any": round(max((own[at] for own in overlaps), default=0.0), 4),
                }
                for at, each in enumerate(truth)
            ],
        }
        if least == settings.min_score:
            kept = [(one, own) for one, own in zip(proposals, overlaps, strict=True)]
    drawn = sorted(random.Random(f"{seed}/{chip.name}").sample(range(len(truth)), min(objects, len(truth))))
    clicked: list[dict[str, Any]] = []
    for at in drawn:
        best = max(kept, key=lambda one: one[1][at], default=None)
        start = best[0].place.mask if best is not None and best[1][at] >= 0.5 else None
        plain = annotate_many(segmenter, encoding, [truth[at].mask], stop_at=STOP)[0]
        clicked.append(
            {
                "class": truth[at].class_name,
                "found": start is not None,
                "right_class": best is not None and start is not None and best[0].label == truth[at].class_name,
                "from_nothing": [round(iou, 4) for iou in plain.ious],
                "from_proposal": None if start is None else _from_proposal(segmenter, encoding, truth[at].mask, start),
            }
        )
    return {
        "set": chip.source,
        "chip": chip.name,
        "size": [chip.window.width, chip.window.height],
        "seconds": round(seconds, 2),
        "seconds_features": round(described_at - started, 2),
        "candidates": len(judged),
        "by_score": by_score,
        "clicks": clicked,
    }


def _from_proposal(segmenter: Segmenter, encoding: Any, gt: NDArray[np.int8], proposal: NDArray[np.bool_]) -> list[float]:
    """IoU before a click and after each, as the server goes on with a proposal.

    In the editor the first click has to fall on the region. Where the robot would add a piece outside it, a click that changes nothing
    is counted before.
    """
    path = annotate_many(Continuation(segmenter), encoding, [gt], stop_at=STOP, initial_masks=[proposal])[0]
    ious = [path.started_at, *path.ious]
    if path.clicks and not proposal[path.clicks[0][1:]]:
        ious.insert(0, path.started_at)
    return [round(iou, 4) for iou in ious[: MAX_CLICKS + 1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--exclude", type=Path)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--call", action="append", default=[], metavar="CLASS=NAME", help="what a project would call a class of the set")
    parser.add_argument("--limit", type=int, help="chips of each set")
    parser.add_argument("--objects", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="default")
    parser.add_argument("--weights", type=Path, help="folder of the object classifiers instead of the shipped ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--table", action="store_true", help="print the tables of --json")
    args = parser.parse_args()
    done: list[dict[str, Any]] = json.loads(args.json.read_text())["chips"] if args.json.exists() and (args.resume or args.table) else []
    if args.table:
        print(tables(done))
        return
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    segmenter = registry.load(args.model)
    name = segmenter.version.split("@")[0]
    classifier = Classifiers(Path("runs/none"), args.weights or WEIGHTS_FOLDER).of(name, "")
    assert classifier is not None, "no object classifier in weights/"
    exclude = frozenset(args.exclude.read_text().split()) if args.exclude else frozenset[str]()
    for path in args.data:
        # The training limit is of no meaning here: what is held out does not depend on it.
        found = chips_of([path], exclude, limit=None, seed=args.seed)
        chips = list(found.held_out) if args.held_out else [*found.training, *found.held_out]
        renamed = dict(each.split("=", 1) for each in args.call)
        classes = sorted({renamed.get(each.class_name, each.class_name) for chip in chips for each in chip.image.objects(1, chip.window)})
        if args.limit is not None and len(chips) > args.limit:
            chips = [chips[number] for number in sorted(random.Random(args.seed).sample(range(len(chips)), args.limit))]
        known = {record["chip"] for record in done}
        for chip in chips:
            if chip.name in known:
                continue
            done.append(measure(chip, classes, segmenter, classifier, args.objects, args.seed, renamed))
            document = {
                "model": segmenter.version,
                "classifier": classifier.version,
                "objects": args.objects,
                "seed": args.seed,
                "chips": done,
            }
            args.json.parent.mkdir(parents=True, exist_ok=True)
            write_whole(args.json, json.dumps(document) + "\n")
            print(f"{chip.name}: {len(done[-1]['clicks'])} objects clicked, {done[-1]['seconds']} s", flush=True)
    print(tables(done))


if __name__ == "__main__":
    main()
