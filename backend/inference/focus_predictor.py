"""FocalClick's way of predicting: a coarse pass over the object, a refined one over the part just clicked. MODELS.md 6.4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.inference.click_maps import points_tensor
from backend.inference.crop import Crop, IndexClick, Roi
from backend.inference.encoding import Encoding, encode_pixels, initial_map, read_only
from backend.inference.focus_crop import FocusCrop
from backend.inference.focus_merge import progressive_merge
from backend.inference.segmenter import State
from backend.inference.zoom_in import ZoomIn, ZoomMemory
from converters.frames import Box, Click

# Above it, the coarse answer is object to the focus crop. The authors' code compares logits with it, and probabilities in the map of the
# click before (MODELS.md, gotcha 13).
OBJECT = 0.49
# From the eleventh click on, an answer differs from the one before inside the focus crop only.
SETTLED_AFTER = 10
SIZE = (256, 256)

FOCAL_ZOOM = ZoomIn(target_size=SIZE, skip_clicks=1, min_crop_size=10, recompute_thresh_iou=2.0, prob_thresh=OBJECT)
"""ZoomIn as FocalClick has it: another RoI at every click (no overlap reaches 2), and no aspect kept."""


class FocalNetwork(Protocol):
    """Both passes. Normalisation and disks are inside the network; see backend/segmenters/focalclick.py."""

    def coarse(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """x [1, C + 1, H, W] (image 0..1, previous probability), points [1, 2n, 3] -> (logits [1, 1, H, W], features)."""
        ...

    def refine(self, image: Tensor, points: Tensor, features: Tensor, logits: Tensor, box: Tensor) -> Tensor:
        """image [1, C, h, w] in 0..1, points in its pixels, what `coarse` gave, box [1, 5] (0, x1, y1, x2, y2: where the image lies in
        what `coarse` saw, edge-based px of `logits`) -> logits [1, 1, h, w]."""
        ...


@dataclass(frozen=True, slots=True)
class FocalMemory:
    """What a click leaves for the next, beside its probability map.

    zoom: of ZoomIn. focus: where the last click was refined; None before the first.
    merging: whether a given mask is being corrected, with Progressive Merge. unmerged: the network's own last answer then, which it reads
        at the next click, float32 HxW; None where that is the state's probability map.
    """

    zoom: ZoomMemory = field(default_factory=ZoomMemory)
    focus: Roi | None = None
    merging: bool = False
    unmerged: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping this costs."""
        return 0 if self.unmerged is None else int(self.unmerged.nbytes)


@dataclass(kw_only=True, eq=False)
class FocalPredictor:
    """A `Segmenter` (see segmenter.py) over a network of two passes. Keeps nothing between calls; one click costs one call of each.

    net: in eval mode, on `device`. name, version, recipes, threshold: as in `Segmenter`.
    zoom_in: where the coarse network looks; its target_size is an exact (height, width), and the refiner's too.
    focus: where the refiner looks. merge_unchanged: see `progressive_merge`; True for parity only.
    """

    net: FocalNetwork
    name: str
    version: str
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),)
    threshold: float = 0.5
    zoom_in: ZoomIn = FOCAL_ZOOM
    focus: FocusCrop = field(default_factory=FocusCrop)
    merge_unchanged: bool = False
    device: torch.device | str = "cpu"
    takes_boxes: bool = field(default=False, init=False)

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """image: HxWxC uint8, C = bands of each recipe. Raises ContractError for anything else."""
        return encode_pixels(image, name=self.name, bands=len(self.recipes[0]), device=self.device)

    def start(self, encoding: Encoding, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """Zeros, or the HxW mask as 0 and 1, which clicks then correct part by part. A box is where the first click is looked at."""
        zoom = ZoomMemory() if box is None else self.zoom_in.of_box(box, encoding.size)
        return State(initial_map(encoding.size, initial_mask), FocalMemory(zoom, merging=initial_mask is not None))

    @torch.inference_mode()
    def step(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click; `state` is the one after all but the last."""
        placed = encoding.placed(clicks)
        memory: FocalMemory = state.memory or FocalMemory()
        before = state.probability > self.threshold
        previous = state.probability if memory.unmerged is None else memory.unmerged
        known = before.astype(np.float32) if memory.merging else state.probability  # what ZoomIn goes by
        view = self.zoom_in.view(placed, known, memory.zoom)
        whole = Roi.whole(encoding.size)
        seen = view.crop or Crop(whole, self._size)
        zone = Crop(view.paste or whole, self._size)  # what the coarse answer is taken for; differs from `seen` for a stale RoI only
        logits, features = self._coarse_pass(encoding, placed, previous, seen)
        coarse = zone.paste(logits.sigmoid(), encoding.size)
        pixel = _pixel(placed[-1])
        focus = self.focus.roi((coarse[0, 0].logit() > OBJECT).cpu().numpy(), previous > OBJECT, pixel, zone.roi)
        refined = self._refining_pass(encoding, placed, features, logits, Crop(focus, self._size), zone)
        base = coarse if len(clicks) <= SETTLED_AFTER else torch.tensor(previous)[None, None].to(self.device)
        found = base.clone()
        focus.cut(found).copy_(refined)
        probability = np.ascontiguousarray(found[0, 0].cpu().numpy())
        after = FocalMemory(ZoomMemory(view.paste, predicted=True), focus, memory.merging)
        return self._merged(before, probability, pixel, after) if memory.merging else State(read_only(probability), after)

    @property
    def _size(self) -> tuple[int, int]:
        size = self.zoom_in.target_size
        return (size, size) if isinstance(size, int) else size

    def _coarse_pass(
        self, encoding: Encoding, clicks: list[IndexClick], previous: NDArray[np.float32], seen: Crop
    ) -> tuple[Tensor, Tensor]:
        """(logits, features) of what is seen, squashed to the network's size."""
        image = seen.roi.cut(encoding.pixels).float().div(255)
        x = torch.cat([image, seen.roi.cut(torch.tensor(previous))[None, None].to(self.device)], dim=1)
        return self.net.coarse(seen.resize(x), points_tensor([seen.clicks(clicks)]).to(self.device))

    def _refining_pass(
        self, encoding: Encoding, clicks: list[IndexClick], features: Tensor, logits: Tensor, part: Crop, zone: Crop
    ) -> Tensor:
        """Probabilities [1, 1, *part.roi.size] of the part in focus, given what the coarse pass found in the zone."""
        image = part.resize(part.roi.cut(encoding.pixels).float().div(255))
        points = points_tensor([part.clicks(clicks)]).to(self.device)
        refined = self.net.refine(image, points, features, logits, _box(part.roi, zone).to(self.device)).float()
        return part.paste(refined, part.roi.size).sigmoid()

    def _merged(self, before: NDArray[np.bool_], probability: NDArray[np.float32], pixel: tuple[int, int], memory: FocalMemory) -> State:
        """The state whose mask is the merged one, and whose network reads its own answer at the next click."""
        found = probability > self.threshold
        mask = progressive_merge(before, found, pixel, merge_unchanged=self.merge_unchanged)
        answer = np.where(mask == found, probability, mask.astype(np.float32))
        unmerged = read_only(probability)
        return State(read_only(answer), FocalMemory(memory.zoom, memory.focus, merging=True, unmerged=unmerged))


def _pixel(click: IndexClick) -> tuple[int, int]:
    """The pixel that holds a click: indices count centres."""
    return math.floor(click[0] + 0.5), math.floor(click[1] + 0.5)


def _box(part: Roi, zone: Crop) -> Tensor:
    """(0, x1, y1, x2, y2) [1, 5]: the outer edges of a part in px of the zone as the network saw it, inside its size."""
    (height, width), (rows, cols) = zone.size, zone.roi.size
    y1, y2 = ((row - zone.roi.row_min) * height / rows for row in (part.row_min, part.row_max + 1))
    x1, x2 = ((col - zone.roi.col_min) * width / cols for col in (part.col_min, part.col_max + 1))
    clamped = [min(max(x, 0.0), width) if axis == 0 else min(max(x, 0.0), height) for axis, x in ((0, x1), (1, y1), (0, x2), (1, y2))]
    return torch.tensor([[0.0, *clamped]], dtype=torch.float32)
