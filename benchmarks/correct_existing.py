"""What a correction makes of a mask that is there and wrong in one place, given to the network as it is and through `Correction`.

    python benchmarks/correct_existing.py --data ../shared/data/isprs_crops --data ../shared/data/fair_oam --objects 24

True masks are damaged in three ways: 30 % cut off on one side; a disk of 40 % of the area added on the edge; eroded all round. The click is
the robot's, in the middle of the largest error; where that is a missing piece, a click in the middle of the mask comes before it, since in
the editor the first click has to fall on the region. Columns: mean IoU before; after it with the mask as the network's previous
prediction; after it through `Correction`; objects that are worse than before, of each. Last, the time that finding the region among N
others in a draft takes, as a share of a click's forward pass.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from backend.existing import ExistingRegions, Place
from backend.inference.correction import Correction
from backend.inference.next_click import next_click
from backend.inference.segmenter import Segmenter
from backend.segmenters import registry
from converters.chips import Chip, PixelWindow
from converters.frames import Click, Size
from converters.label_studio import brush_region
from converters.labelled import open_labelled

Mask = NDArray[np.bool_]
MIN_AREA = 100
WORSE = 0.01


def cut_off(mask: Mask, angle: float) -> Mask:
    """Without the 30 % that lie farthest in one direction."""
    along = _along(mask, angle)
    return mask & (along <= np.quantile(along[mask], 0.7))


def grown_over(mask: Mask, angle: float) -> Mask:
    """With a disk of 40 % of the area about the pixel that lies farthest in one direction."""
    row, col = np.unravel_index(int(np.where(mask, _along(mask, angle), -np.inf).argmax()), mask.shape)
    radius = max(2, round(float(np.sqrt(0.4 * mask.sum() / np.pi))))
    return cv2.circle(mask.astype(np.uint8), (int(col), int(row)), radius, 1, -1) > 0


def eroded(mask: Mask, angle: float) -> Mask:
    """8 % of its extent narrower all round."""
    del angle
    radius = max(1, round(float(np.sqrt(mask.sum())) * 0.08))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.erode(mask.astype(np.uint8), kernel) > 0


DAMAGES: dict[str, Callable[[Mask, float], Mask]] = {"cut off": cut_off, "grown over": grown_over, "eroded": eroded}


def _along(mask: Mask, angle: float) -> NDArray[np.float64]:
    rows, cols = np.indices(mask.shape)
    return rows * np.sin(angle) + cols * np.cos(angle)


def rows_of(segmenter: Segmenter, data: Path, objects: int, seed: int) -> Iterator[tuple[str, float, float, float]]:
    """(damage, IoU before, plain, corrected) of each object and damage. Objects are drawn with `seed`."""
    rng = np.random.default_rng(seed)
    found = [(image, item) for image in open_labelled(data).images for item in image.objects(MIN_AREA)]
    chosen = sorted(rng.permutation(len(found))[:objects].tolist())
    encoded: tuple[object, object] = (None, None)
    for number in tqdm(chosen, desc=data.name, dynamic_ncols=True):
        image, item = found[number]
        if encoded[0] is not image:
            encoded = (image, segmenter.encode(image.read()))
        wanted = item.mask == 1
        for name, damage in DAMAGES.items():
            before = damage(wanted, float(rng.uniform(0, 2 * np.pi)))
            if not before.any() or np.array_equal(before, wanted):
                continue
            positive, row, col = next_click(item.mask, before, np.ones(before.shape, bool))
            clicks = [Click(row=row + 0.5, col=col + 0.5, positive=positive)]
            if not before[row, col]:
                clicks.insert(0, _middle(before))
            after = [_iou(_mask(one, encoded[1], before, clicks), item.mask) for one in (segmenter, Correction(segmenter))]
            yield name, _iou(before, item.mask), *after


def _middle(mask: Mask) -> Click:
    """A positive click on the pixel that is farthest from the mask's edge."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), mask.shape)
    return Click(row=float(row) + 0.5, col=float(col) + 0.5, positive=True)


def _mask(segmenter: Segmenter, encoding: object, before: Mask, clicks: Sequence[Click]) -> Mask:
    state = segmenter.start(encoding, before)
    for count in range(1, len(clicks) + 1):
        state = segmenter.step(encoding, clicks[:count], state)
    return state.probability > segmenter.threshold


def _iou(found: Mask, gt: NDArray[np.int8]) -> float:
    """gt: 1 object, 0 not, -1 ignored."""
    inside = gt == 1
    return float((found & inside).sum() / max(((found & (gt == 0)) | inside).sum(), 1))


def search_shares(segmenter: Segmenter, counts: tuple[int, ...] = (10, 100, 300)) -> list[tuple[int, float, float]]:
    """(regions in the draft, first search, later search), as shares of a later click's step on the same 600 px chip."""
    rng = np.random.default_rng(1)
    size = Size(600, 600)
    chip = Chip("a.png", "a.tif", PixelWindow(0, 0, 600, 600), None, None, ("R", "G", "B"), 1.0, None, size, None, None)
    clicks = [Click(row=300.5, col=300.5, positive=True), Click(row=330.5, col=330.5, positive=True)]
    encoding = segmenter.encode(rng.integers(0, 255, (600, 600, 3), dtype=np.uint8))
    state = segmenter.step(encoding, clicks[:1], segmenter.start(encoding))
    shares: list[tuple[int, float, float]] = []
    for count in counts:
        items = [brush_region(_ellipse(rng), id=str(n), label="a", from_name="b", to_name="i") for n in range(count)]
        task = {"drafts": [{"updated_at": "1", "result": items}]}
        regions, place = ExistingRegions(), Place("1", "1", "i", "a")
        searched = [_seconds(partial(regions.under, clicks[0], place, task, chip)) for _ in range(5)]
        step = min(_seconds(lambda: segmenter.step(encoding, clicks, state)) for _ in range(3))
        shares.append((count, searched[0] / step, min(searched[1:]) / step))
    return shares


def _ellipse(rng: np.random.Generator) -> Mask:
    centre = (int(rng.integers(40, 560)), int(rng.integers(40, 560)))
    axes = (int(rng.integers(10, 40)), int(rng.integers(8, 30)))
    return cv2.ellipse(np.zeros((600, 600), np.uint8), centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1) > 0


def _seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled set, as for rsiseg bench; may be repeated")
    parser.add_argument("--model", default="default")
    parser.add_argument("--objects", type=int, default=24, help="of each set")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    segmenter = registry.load(arguments.model)
    lines = []
    for data in arguments.data:
        rows = list(rows_of(segmenter, data, arguments.objects, arguments.seed))
        for name in DAMAGES:
            values = np.array([row[1:] for row in rows if row[0] == name])
            before, plain, corrected = values.mean(0)
            worse = [int((values[:, column] < values[:, 0] - WORSE).sum()) for column in (1, 2)]
            lines.append(
                f"| {data.name} | {name} | {len(values)} | {before:.3f} | {plain:.3f} | {corrected:.3f} | {worse[0]} | {worse[1]} |"
            )
    print("| data | damage | objects | IoU before | plain | corrected | worse, plain | worse, corrected |")
    print("|---|---|--:|--:|--:|--:|--:|--:|", *lines, sep="\n")
    print("\n| regions in the draft | first search / step | later search / step |\n|--:|--:|--:|")
    for count, first, later in search_shares(segmenter):
        print(f"| {count} | {first:.2f} | {later:.3f} |")


if __name__ == "__main__":
    main()
