"""A simulated week: a robot annotates a project in rounds, the project's weights learn in between, and a poisoned round comes last.

    python benchmarks/simulated_week.py OUT --data SET [--start default] [--objects 32] [--steps 40] [--batch 4]

The images of SET are parted: some larger pictures are a test that is never annotated, the others come in `--rounds` rounds of `--objects`
objects. The robot clicks as in `rsiseg bench`, with the weights that are current, until a mask has an IoU of 90 % or 20 clicks are made;
what it accepts is the label, not the ground truth. After each round the real round of learning runs (backend/learning/rounds.py): on all
that was accepted so far, judged on the share of the project's own images that it holds out, promoted only if better beyond the interval.
NoC is counted on images that are not yet annotated: those of the coming round and the test, with the current weights ("with learning")
and with those of the start ("without"), on the same objects. In one more round all labels are shifted by --shift px.

`--weaken S` starts from weights to whose decoder Gaussian noise of S standard deviations was added: a model that has something to learn.
Interrupted or killed, the same command goes on: every object and every checkpoint is kept below OUT. OUT/week.json, OUT/week.png.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import load_file
from week_picture import draw
from week_robot import Done, Robot, Thing, difference, mean_clicks, parted, things_of, write_export

from backend.inference.segmenter import Segmenter
from backend.learning.round_order import Learning, Replay, RoundOrder
from backend.learning.rounds import Home, begin, carry_on
from backend.learning.versions import SHIPPED
from backend.segmenters import catalogue, registry
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.weight_files import write_weights
from converters.whole_file import write_whole

PROJECT = 1
TARGETS = (0.8, 0.85, 0.9)
_BODY = ("blocks.", "cls_token", "patch_embed", "pos_embed")


class Week:
    """Where it lives and what answers in it."""

    def __init__(self, words: argparse.Namespace, start: str) -> None:
        self.words, self.start = words, start
        self.folder: Path = words.out
        self.home = Home(self.folder / "data", PROJECT, roots=(self.folder / "images",))
        self.entry = catalogue.entry(start)
        self.robot = Robot(self.folder, self.entry.recipes)
        self._loaded: dict[int, Segmenter] = {}

    @property
    def current(self) -> int:
        """The version that answers; SHIPPED for the weights of the start."""
        found = self.home.versions.current(PROJECT)
        return SHIPPED if found is None else found.number

    def annotated(self, version: int, things: list[Thing], what: str) -> list[Done]:
        """What the robot does with a version; from the ledger where it did it before."""
        return self.robot.annotated(self._segmenter(version), things, what)

    def noc(self, done: list[Done]) -> dict[str, Any]:
        return {str(round(100 * target)): mean_clicks(done, target) for target in TARGETS}

    def learned(self, number: int, done: list[tuple[Done, int]], learning: Learning) -> dict[str, Any]:
        """The record of a round on everything that was accepted so far; a finished round is only read."""
        folder = self.home.rounds / f"{number:04d}"
        if (folder / "record.json").exists():
            return json.loads((folder / "record.json").read_text())
        if self.home.unfinished() is None:
            export = self.home.folder / "export.json"
            write_export(export, self.folder / "images", self.robot, done)
            images = len({one.thing.image.name for one, _ in done})
            begin(self.home, RoundOrder(PROJECT, number, self.start, self.current, len(done), images, True, learning), export)
        return carry_on(self.home, folder)

    def _segmenter(self, version: int) -> Segmenter:
        if version not in self._loaded:
            entry = self.entry if version == SHIPPED else self._entry(version)
            self._loaded[version] = registry.load_entry(entry)
        return self._loaded[version]

    def _entry(self, version: int) -> Entry:
        return self.home.versions.get(PROJECT, version).entry(catalogue.shipped())


def main() -> None:
    words = _words()
    torch.set_num_threads(words.threads)
    cv2.setNumThreads(words.threads)
    words.out.mkdir(parents=True, exist_ok=True)
    week = Week(words, _start(words))
    images = things_of(words.data, min_area=words.min_area, each=words.each, seed=words.seed)
    test, coming = parted(images, words.test, words.seed)
    rounds = _rounds(coming, words.rounds + 1, words.objects)
    replay = tuple(Replay(path, float(weight or 1)) for path, _, weight in (one.partition("=") for one in words.replay))
    learning = Learning(replay, words.recipe, words.steps, words.batch, words.lr, seed=words.seed)
    accepted: list[tuple[Done, int]] = []
    at_start = week.annotated(SHIPPED, test, "test, at the start")
    rows: list[dict[str, Any]] = []
    held = {"with": at_start, "without": at_start}
    every: dict[str, list[Done]] = {"with": [], "without": []}
    for number, things in enumerate(rounds[:-1], start=1):
        without = week.annotated(SHIPPED, things, f"round {number}, without learning")
        version = week.current if number > len(_finished(week)) else _answered(week, number)
        done = week.annotated(version, things, f"round {number}, as annotated")
        row: dict[str, Any] = {"round": number, "version": version, "coming": {"with": week.noc(done), "without": week.noc(without)}}
        every["with"] += done
        every["without"] += without
        row["test"] = {name: week.noc(found) for name, found in held.items()}
        accepted += [(one, 0) for one in done]
        record = week.learned(number, accepted, learning)
        after = record["promoted"] or record["parent"]
        held["with"] = week.annotated(after, test, f"test, after round {number}")
        rows.append(row | {"learning": record})
        print(f"round {number}: {record['why']}", flush=True)
        _write(week, learning, rows, held, every, None)
    poisoned = _poisoned(week, rounds[-1], accepted, learning)
    print(f"poisoned round: {poisoned['why']}", flush=True)
    _write(week, learning, rows, held, every, poisoned)
    if poisoned["promoted"] is not None:
        sys.exit("the poisoned round was promoted")


def _poisoned(week: Week, things: list[Thing], accepted: list[tuple[Done, int]], learning: Learning) -> dict[str, Any]:
    """The record of a round whose new labels are all shifted."""
    number = week.words.rounds + 1
    finished = (week.home.rounds / f"{number:04d}" / "record.json").exists()
    done = week.annotated(_answered(week, number) if finished else week.current, things, "the poisoned round")
    return week.learned(number, [*accepted, *((one, week.words.shift) for one in done)], learning)


def _finished(week: Week) -> list[dict[str, Any]]:
    return week.home.records()


def _answered(week: Week, number: int) -> int:
    """The version that a finished round was annotated with."""
    return _finished(week)[number - 1]["parent"]


def _rounds(images: list[list[Thing]], count: int, objects: int) -> list[list[Thing]]:
    """Whole images, until a round has its objects; the last round is the poisoned one."""
    rounds: list[list[Thing]] = [[]]
    for things in images:
        if len(rounds[-1]) >= objects:
            if len(rounds) == count:
                break
            rounds.append([])
        rounds[-1] += things
    if len(rounds) < count or len(rounds[-1]) < objects // 2:
        sys.exit(f"the set has images for {len(rounds)} rounds of {objects} objects; expected {count}; give --objects a smaller number")
    return rounds


def _start(words: argparse.Namespace) -> str:
    """The model that the week starts from: a name, or a weight file that was weakened for it."""
    if not words.weaken:
        return words.start
    entry, path = catalogue.entry(words.start), words.out / "weakened.safetensors"
    if not path.exists() and entry.file is not None:
        noise = torch.Generator().manual_seed(words.seed)
        tensors = load_file(entry.file)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and tensor.ndim > 1 and not name.startswith(_BODY):
                values = tensor.float()
                tensors[name] = values + words.weaken * values.std() * torch.randn(values.shape, generator=noise)
        write_weights(path, tensors, family=entry.family, architecture=entry.architecture, recipes=entry.recipes, licence=entry.licence)
    return str(path)


def _write(
    week: Week,
    learning: Learning,
    rows: list[dict[str, Any]],
    held: dict[str, list[Done]],
    every: dict[str, list[Done]],
    poisoned: dict[str, Any] | None,
) -> None:
    words = vars(week.words) | {"out": week.folder.name, "data": week.words.data.name, "picture": None}
    found = {
        "settings": {name: str(value) if isinstance(value, Path) else value for name, value in words.items()},
        "learning": asdict(learning),
        "start": week.entry.name,
        "rounds": rows,
        "test at the end": {name: week.noc(done) for name, done in held.items()},
        "clicks more with learning": {
            "coming rounds": {str(round(100 * target)): difference(every["with"], every["without"], target) for target in TARGETS},
            "test at the end": {str(round(100 * target)): difference(held["with"], held["without"], target) for target in TARGETS},
        },
        "poisoned": poisoned,
    }
    write_whole(week.folder / "week.json", json.dumps(found, indent=1) + "\n")
    draw([found], week.folder / "week.png")


def _words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--start", default="default", help="registry name or weight file")
    words.add_argument("--weaken", type=float, default=0.0)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--objects", type=int, default=32, help="of a round")
    words.add_argument("--test", type=int, default=40, help="objects that are never annotated")
    words.add_argument("--each", type=int, default=4, help="objects of an image, at most")
    words.add_argument("--min-area", type=int, default=100)
    words.add_argument("--shift", type=int, default=20, help="of the poisoned labels, px to the right")
    words.add_argument("--replay", action="append", default=[], metavar="SET[=WEIGHT]", help="scenes, or a labelled set")
    words.add_argument("--recipe", default="fine_tune")
    words.add_argument("--steps", type=int, default=40)
    words.add_argument("--batch", type=int, default=4)
    words.add_argument("--lr", type=float)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--threads", type=int, default=1)
    return words.parse_args()


if __name__ == "__main__":
    main()
