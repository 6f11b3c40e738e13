"""The robot annotator of a simulated week: what it clicks on, what it accepts, and a ledger of everything it ever did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from backend.evaluation import data_source
from backend.evaluation.bootstrap import Bootstrap, Units
from backend.evaluation.noc import ObjectResult, clicks_needed
from backend.evaluation.robot import annotate
from backend.inference.segmenter import Segmenter, State
from backend.training.validation_split import larger_picture
from converters import rle
from converters.frames import Size
from converters.label_studio import brush_region
from converters.labelled_objects import LabelledImage

ACCEPTS = 0.9
"""IoU at which the robot accepts a mask; where 20 clicks do not get there, it accepts the best of them."""


@dataclass(frozen=True)
class Thing:
    """An object that may be annotated. image: of the set. index: of the object in its image. gt: int8 HxW, 1 object, 0 not, -1 ignored."""

    image: LabelledImage
    index: int
    class_name: str
    area: int
    gt: NDArray[np.int8]

    @property
    def key(self) -> str:
        return f"{self.image.name}#{self.index}"


@dataclass(frozen=True)
class Done:
    """What the robot did with a thing under one version. ious: after each click. mask: that it accepted."""

    thing: Thing
    version: str
    ious: tuple[float, ...]
    mask: NDArray[np.bool_]

    def clicks(self, target: float) -> int:
        return clicks_needed(self.ious, target)

    def result(self) -> ObjectResult:
        """For the bootstrap, which draws whole images."""
        return ObjectResult(
            self.version, self.version, self.thing.image.name, (0, 0, 0, 0), self.thing.index, "", self.thing.area, (), self.ious, ()
        )


def order_by_hash(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {text}".encode()).digest()


def things_of(data: Path, *, min_area: int, each: int, seed: int) -> list[list[Thing]]:
    """The objects of every image that has some, at most `each` of an image; images in an order that the seed decides."""
    found = data_source.Source(data).open()
    images = sorted(found.images, key=lambda image: order_by_hash(image.name, seed))
    things: list[list[Thing]] = []
    for image in tqdm(images, desc="labels", leave=False, disable=None):
        objects = list(enumerate(image.objects(min_area)))
        chosen = sorted(objects, key=lambda one: order_by_hash(f"{image.name} {one[0]}", seed))[:each]
        if chosen:
            things.append([Thing(image, number, item.class_name, item.area, item.mask) for number, item in sorted(chosen)])
    return things


def parted(images: Sequence[list[Thing]], test: int, seed: int) -> tuple[list[Thing], list[list[Thing]]]:
    """(things of the fixed test part, the images of the project): whole larger pictures go to the test until it has `test` things."""
    pictures = sorted({larger_picture(one[0].image) for one in images}, key=lambda name: order_by_hash(name, seed + 1))
    chosen: list[Thing] = []
    taken = set[str]()
    for picture in pictures:
        if len(chosen) < test:
            taken.add(picture)
            chosen += [thing for one in images if larger_picture(one[0].image) == picture for thing in one]
    return chosen[:test], [one for one in images if larger_picture(one[0].image) not in taken]


class Robot:
    """Clicks on things under a version, and remembers it: a line of the ledger each, so that a killed week goes on where it stopped."""

    def __init__(self, folder: Path, recipes: Sequence[Sequence[str]]) -> None:
        self._path = folder / "ledger.jsonl"
        self._recipes = recipes
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:  # cut off by a kill
                    continue
                self._known[row["version"], row["thing"]] = row

    def pixels(self, image: LabelledImage) -> NDArray[np.uint8]:
        """HxWxbands as the model reads them."""
        wanted = data_source.channels(image, self._recipes, chosen=False)
        pixels = image.read()
        return np.ascontiguousarray(pixels if wanted is None else pixels[..., list(wanted)])

    def annotated(self, segmenter: Segmenter, things: Sequence[Thing], what: str) -> list[Done]:
        """What it does with each of the things."""
        done: list[Done] = []
        with self._path.open("a", encoding="utf-8") as ledger:
            for thing in tqdm(things, desc=f"{what}: {segmenter.name}", unit="object", mininterval=5):
                row = self._known.get((segmenter.version, thing.key))
                if row is None:
                    row = self._row(segmenter, thing)
                    self._known[segmenter.version, thing.key] = row
                    ledger.write(json.dumps(row) + "\n")
                    ledger.flush()
                height, width = thing.gt.shape
                done.append(Done(thing, segmenter.version, tuple(row["ious"]), rle.decode(row["mask"], Size(width, height))))
        return done

    def _row(self, segmenter: Segmenter, thing: Thing) -> dict[str, Any]:
        watched = _Watched(segmenter)
        path = annotate(watched, segmenter.encode(self.pixels(thing.image)), thing.gt, stop_at=ACCEPTS)  # type: ignore[arg-type]
        accepted = watched.masks[int(np.argmax(path.ious))]
        return {"version": segmenter.version, "thing": thing.key, "ious": list(path.ious), "mask": rle.encode(accepted)}


class _Watched:
    """A segmenter whose masks are kept. The robot stops at the first mask that is good enough, which is then the best one."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.masks: list[NDArray[np.bool_]] = []
        self.threshold = segmenter.threshold

    def start(self, encoding: Any, *words: Any) -> State:
        return self._segmenter.start(encoding, *words)

    def step(self, encoding: Any, clicks: Any, state: State) -> State:
        found = self._segmenter.step(encoding, clicks, state)
        self.masks.append(found.probability > self._segmenter.threshold)
        return found


def mean_clicks(done: Sequence[Done], target: float) -> dict[str, Any]:
    """Mean clicks to an IoU, with its 95 % interval over images."""
    return _mean(done, np.array([one.clicks(target) for one in done], np.float64))


def difference(after: Sequence[Done], before: Sequence[Done], target: float) -> dict[str, Any]:
    """Mean of the clicks more that each thing took under one version than under another, with its 95 % interval over images."""
    return _mean(after, np.array([one.clicks(target) - two.clicks(target) for one, two in zip(after, before, strict=True)], np.float64))


def _mean(done: Sequence[Done], clicks: NDArray[np.float64]) -> dict[str, Any]:
    interval = None
    units = Units.choose([one.result() for one in done])
    if units is not None:
        ends = Bootstrap().intervals(units.sums(np.stack([clicks, np.ones(len(done))], axis=1)), [0], [1])
        interval = [round(float(ends[0, 0]), 3), round(float(ends[1, 0]), 3)]
    return {"mean": round(float(clicks.mean()), 3), "interval": interval, "objects": len(done)}


def write_export(path: Path, images: Path, robot: Robot, done: Sequence[tuple[Done, int]]) -> None:
    """Label Studio's JSON export of what was accepted, and the pictures beside it. done: with the shift of its mask, px to the right."""
    by_image: dict[str, list[tuple[Done, int]]] = {}
    for one, shift in done:
        by_image.setdefault(one.thing.image.name, []).append((one, shift))
    images.mkdir(parents=True, exist_ok=True)
    tasks = []
    for number, (name, found) in enumerate(by_image.items(), start=1):
        picture = images / f"{Path(name).stem}.png"
        if not picture.exists():
            Image.fromarray(robot.pixels(found[0][0].thing.image)).save(picture)
        results = [_region(one, shift) for one, shift in found]
        annotation = {"id": number, "result": [region for region in results if region], "was_cancelled": False}
        tasks.append({"id": number, "data": {"image": picture.name}, "annotations": [annotation]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks), encoding="utf-8")


def _region(one: Done, shift: int) -> dict[str, Any] | None:
    mask = np.zeros_like(one.mask)
    mask[:, shift:] = one.mask[:, : one.mask.shape[1] - shift]
    if not mask.any():
        return None
    return brush_region(mask, id=f"r{one.thing.index}", label=one.thing.class_name, from_name="brush", to_name="img")
