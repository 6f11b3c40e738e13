"""FocalClick's training: RITM's iterations for the coarse network, and a step that teaches it together with its refiner. MODELS.md 8.

Where the specification is silent: the refiner's part is cut out of the image itself, at the detail that it will have when it serves; the
*focus click* is one more simulated click, inside that part, because the last click lies there when it serves; the pieces of an object that
are too small to count are ignored rather than called background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.inference.crop import Roi
from backend.segmenters.focalclick import FocalLogits, Part
from backend.training.augment_published import PublishedAugmentation
from backend.training.click_sample import ClickBatch, ClickSample, evaluating, mean_iou
from backend.training.focal_crops import AlignedCrop, Box, RefinerCrop, small_components
from backend.training.losses import cross_entropy_over_all, normalized_focal_loss, weighted_focal_loss
from backend.training.method import StepLoss
from backend.training.objects import Pool
from backend.training.points_sampler import PointsSampler
from backend.training.scene import IGNORED, Scene, wanted
from backend.training.scene_source import Neighbours, pixel_of
from backend.training.trimap import trimap

OBJECT = 0.5  # probability above which FocalClick calls a pixel object


@dataclass(frozen=True, slots=True)
class FocalSettings:
    """crop, part: what the coarse network and the refiner see. light: whose brightness, contrast and colour shift apply.

    fewest: px of a component in the crop that counts. largest: share of the crop above which an object is left out. most_clicks: simulated
    ones before a step, none to so many. auxiliary_weight: of the cross entropy of the auxiliary logits. doubt_share: w of
    `weighted_focal_loss`.
    """

    crop: AlignedCrop = field(default_factory=AlignedCrop)
    part: RefinerCrop = field(default_factory=RefinerCrop)
    light: PublishedAugmentation = field(default_factory=PublishedAugmentation)
    sampler: PointsSampler = field(default_factory=lambda: PointsSampler(centred=True))
    fewest: int = 900
    largest: float = 0.85
    most_clicks: int = 3
    auxiliary_weight: float = 0.0
    doubt_share: float = 0.5


@dataclass(frozen=True, slots=True)
class FocalSample:
    """coarse: what the coarse network sees. image, target: the refiner's part at the same size, as in `ClickSample`. box: where it lies in
    the coarse crop, px, edges as integers."""

    coarse: ClickSample
    image: NDArray[np.uint8]
    target: NDArray[np.int8]
    box: Box


class FocalTraining:
    """A `Method` (see method.py) over scenes that are seen once, for networks of the family FocalClick."""

    def __init__(self, settings: FocalSettings) -> None:
        self.settings = settings
        self._neighbours = Neighbours()

    def draw(self, pool: Pool, rng: np.random.Generator) -> FocalSample | None:
        """As in `Method`."""
        settings = self.settings
        image, item = pool.draw(rng)
        size = (int(image.shape[0]), int(image.shape[1]))
        view = settings.crop.view(size, pixel_of(item, rng), rng)
        row0, col0, row1, col1 = window = view.window(size)
        pixels, corner = np.asarray(image[row0:row1, col0:col1]), (row0, col0)
        whole = self._neighbours.labels(pool, item, window, settings.sampler, rng)
        labels = view.labels(whole, corner)
        labels[small_components(wanted(labels), settings.fewest)] = IGNORED
        mask = wanted(labels)
        if not settings.fewest <= np.count_nonzero(mask) < settings.largest * mask.size:
            return None
        box = settings.part.box(mask, rng)
        detail = view.seen_from(*box, view.size)
        seed = int(rng.integers(2**32))  # one light for both
        seen, close = (settings.light.light(one.image(pixels, corner), item.bands, np.random.default_rng(seed)) for one in (view, detail))
        coarse = ClickSample(seen, Scene(seen, labels).target, settings.sampler.sample(labels, rng))
        return FocalSample(coarse, close, Scene(close, detail.labels(whole, corner)).target, box)

    def loss(self, net: nn.Module, samples: Sequence[FocalSample], rng: np.random.Generator, device: str) -> StepLoss:
        """As in `Method`: the coarse network's loss, the refiner's and its trimap's, all of weight 1, and the auxiliary one."""
        settings = self.settings
        batch = ClickBatch.of([sample.coarse for sample in samples], device)
        clicks = int(rng.integers(0, settings.most_clicks + 1))
        for number in range(1, clicks + 1):
            with evaluating(net):
                answer = net(batch.x, batch.points)
            batch.answered(batch.full(answer))
            batch.click(rng, number=number, filling="from the end")
        boxes = [sample.box for sample in samples]
        batch.click(rng, number=clicks + 1, filling="from the end", within=[_roi(box) for box in boxes])
        closer = ClickBatch.of([ClickSample(sample.image, sample.target, sample.coarse.points) for sample in samples], device)
        size = (closer.target.shape[2], closer.target.shape[3])
        logits: FocalLogits = net(batch.x, batch.points, Part(closer.image, in_parts(batch.points, boxes, size), _boxes(boxes, device)))
        doubtful = torch.from_numpy(np.stack([trimap(sample.target == 1) for sample in samples]))[:, None].to(device).float()
        parts = {
            "focal": normalized_focal_loss(logits.coarse, batch.target).mean(),
            "refined": weighted_focal_loss(logits.refined, closer.target, doubtful, share=settings.doubt_share),
            "doubt": cross_entropy_over_all(logits.doubt, torch.where(closer.target < 0, closer.target, doubtful)).mean(),
        }
        loss = parts["focal"] + parts["refined"] + parts["doubt"]
        if settings.auxiliary_weight:
            loss = loss + settings.auxiliary_weight * cross_entropy_over_all(logits.auxiliary, batch.target).mean()
        scalars = {name: float(part.detach()) for name, part in parts.items()}
        scalars |= {"iou": mean_iou(logits.coarse, batch.target, OBJECT), "iou_refined": mean_iou(logits.refined, closer.target, OBJECT)}
        return StepLoss(loss, scalars)

    def going_on(self, samples: Sequence[FocalSample], rng: np.random.Generator) -> list[FocalSample]:
        """None: every sample is seen once."""
        return []

    def packed(self, sample: FocalSample) -> dict[str, Tensor]:
        """As in `Method`."""
        part = {"part": torch.from_numpy(sample.image.copy()), "part_target": torch.from_numpy(sample.target.copy())}
        return {**sample.coarse.packed(), **part, "box": torch.tensor(sample.box, dtype=torch.float64)}

    def unpacked(self, tensors: Mapping[str, Tensor]) -> FocalSample:
        """As in `Method`."""
        row0, col0, row1, col1 = tensors["box"].tolist()
        part, target = tensors["part"].numpy(), tensors["part_target"].numpy()
        return FocalSample(ClickSample.unpacked(tensors), part, target, (row0, col0, row1, col1))


def in_parts(points: Tensor, boxes: Sequence[Box], size: tuple[int, int]) -> Tensor:
    """Clicks [B, 2n, 3] of the coarse crops in px of the parts, which are `size` (height, width) large; padding stays padding.

    Scaled from the part's corner as in serving (`Crop.clicks`); a click outside its part gets coordinates outside.
    """
    edges = points.new_tensor(boxes)[:, None]  # (B, 1, 4)
    scale = points.new_tensor(size) / (edges[..., 2:] - edges[..., :2])
    placed = torch.cat([(points[..., :2] - edges[..., :2]) * scale, points[..., 2:]], dim=2)
    return torch.where((points[..., :2] < 0).all(dim=2, keepdim=True), points, placed)


def _boxes(boxes: Sequence[Box], device: str) -> Tensor:
    """[B, 5] as the refiner takes them: (sample, x1, y1, x2, y2)."""
    rows = [[float(sample), col0, row0, col1, row1] for sample, (row0, col0, row1, col1) in enumerate(boxes)]
    return torch.tensor(rows, dtype=torch.float32, device=device)


def _roi(box: Box) -> Roi:
    """The pixels of the coarse crop with their middle in a box, at least one."""
    row0, col0 = (int(np.ceil(edge - 0.5)) for edge in box[:2])
    row1, col1 = (int(np.ceil(edge - 0.5)) - 1 for edge in box[2:])
    return Roi(row0, max(row0, row1), col0, max(col0, col1))
