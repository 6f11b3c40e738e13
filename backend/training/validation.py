"""What weights in training are worth: the evaluation robot clicks on held-out objects, as it does in `rsiseg bench`, and counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.evaluation.noc import ObjectResult, clicks_needed
from backend.evaluation.robot import MAX_CLICKS, annotate
from backend.inference.segmenter import Segmenter
from backend.segmenters import registry
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.inference_form import inference_form
from backend.segmenters.weight_files import write_weights
from backend.training.example_page import write_page
from backend.training.objects import Pool, PooledObject
from backend.training.run import Validated

STOP_AT = 0.9
"""IoU at which the robot is content: NoC90 needs no more."""
SIDE = 1024
"""Largest side in px of what a segmenter is given, as large as the chips that it serves; more only for an object that is larger itself."""
_EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A held-out object with its surroundings. index: its place in the pool. pixels: uint8 HxWxbands. gt: int8 HxW, 1 object, 0 not, -1
    ignored. window: (col_off, row_off, width, height) in the pool's image number `item.image`."""

    index: int
    item: PooledObject
    pixels: NDArray[np.uint8]
    gt: NDArray[np.int8]
    window: tuple[int, int, int, int]


def chosen_objects(pool: Pool, number: int, seed: int) -> list[int]:
    """Places in the pool of a fixed sample: drawn by the shares that training has, none twice; in the pool's order."""
    possible = int(np.count_nonzero(pool.probabilities))
    drawn = np.random.default_rng(seed).choice(len(pool.objects), min(number, possible), replace=False, p=pool.probabilities)
    return sorted(int(index) for index in drawn)


def held_out(pool: Pool, index: int) -> HeldOut:
    """An object of a pool, about the middle of its window where the image allows it."""
    item = pool.objects[index]
    image = pool.images[item.image]
    row0, col0, row1, col1 = item.box
    top, height = _about(row0, row1, image.shape[0])
    left, width = _about(col0, col1, image.shape[1])
    gt = np.zeros((height, width), np.int8)
    gt[row0 - top : row1 - top, col0 - left : col1 - left] = item.mask
    pixels = np.ascontiguousarray(image[top : top + height, left : left + width])
    return HeldOut(index, item, pixels, gt, (left, top, width, height))


def _about(first: int, end: int, limit: int) -> tuple[int, int]:
    """(start, length) of a window about [first, end) inside [0, limit)."""
    length = min(max(SIDE, (end - first) * 3 // 2), limit)
    return int(np.clip((first + end - length) // 2, 0, limit - length)), length


def noc(
    segmenter: Segmenter,
    pool: Pool,
    objects: Sequence[int],
    *,
    name: str,
    max_clicks: int = MAX_CLICKS,
    stop_at: float | None = STOP_AT,
    on_object: Callable[[], None] = lambda: None,
) -> list[ObjectResult]:
    """The robot's clicks on the objects at these places of a pool, in their order: the same objects give results that can be paired.

    name: of the model, in the results. on_object: called after each. An image's name in the results is its number in the pool.
    """
    results: list[ObjectResult] = []
    for index in objects:
        one = held_out(pool, index)
        path = annotate(segmenter, segmenter.encode(one.pixels), one.gt, max_clicks=max_clicks, stop_at=stop_at)
        results.append(
            ObjectResult(
                model=name,
                version=segmenter.version,
                image=str(one.item.image),
                window=one.window,
                index=index,
                class_name=one.item.class_name,
                area=int(np.count_nonzero(one.item.mask == 1)),
                clicks=path.clicks,
                ious=path.ious,
                met=path.met,
                seconds={"step": path.step_seconds, "robot": path.robot_seconds},
            )
        )
        on_object()
    return results


def scores(results: Sequence[ObjectResult]) -> dict[str, float]:
    """Means over objects: noc80 and noc90 (20 where the robot was never content), and the IoU after one click and after five.

    An object that was good enough earlier keeps its last IoU.
    """
    return {
        "noc80": float(np.mean([clicks_needed(result.ious, 0.8) for result in results])),
        "noc90": float(np.mean([clicks_needed(result.ious, 0.9) for result in results])),
        "miou@1": float(np.mean([result.ious[0] for result in results])),
        "miou@5": float(np.mean([result.ious[:5][-1] for result in results])),
    }


def segmenter_of(entry: Entry, weights: Mapping[str, Tensor], device: str = "cpu") -> Segmenter:
    """Weights as they would serve: rounded to the float16 of weight files, in the entry's inference form, with its way of predicting."""
    net = registry.build(entry.family, entry.architecture, entry.bands)
    stored = {name: value.half().to(value.dtype) if value.is_floating_point() else value for name, value in weights.items()}
    net.load_state_dict(stored)
    net = inference_form(net.to(device).eval().requires_grad_(False), entry.precision)
    return registry.family(entry.family).assemble(net, entry, f"{entry.name}@training", torch.device(device))


@dataclass(frozen=True, slots=True)
class RobotValidation:
    """A `Validation` (see run.py) on a fixed sample of held-out objects; its cost is NoC80 + NoC90.

    entry: how the network is built and predicts. folder: of the run, for the pages of examples. device: that the segmenter runs on.
    """

    entry: Entry
    pool: Pool
    objects: Sequence[int]
    folder: Path
    device: str = "cpu"

    def judge(self, weights: Mapping[str, Tensor], step: int) -> Validated:
        """As in `Validation`; writes a page of examples as well."""
        # Drawing random numbers for weights that are replaced at once must not move the run's own.
        with torch.random.fork_rng():
            segmenter = segmenter_of(self.entry, weights, self.device)
        found = {name: round(value, 4) for name, value in scores(noc(segmenter, self.pool, self.objects, name=self.entry.name)).items()}
        spread = self.objects[:: max(len(self.objects) // _EXAMPLES, 1)][:_EXAMPLES]
        write_page(self.folder / "examples", step, segmenter, [held_out(self.pool, index) for index in spread], found)
        return Validated(found, round(found["noc80"] + found["noc90"], 4))

    def write(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        """A weight file (float16), as `rsiseg bench --model` takes it."""
        entry = replace(self.entry, file=path)
        write_weights(path, weights, family=entry.family, architecture=entry.architecture, recipes=entry.recipes, licence=entry.licence)
