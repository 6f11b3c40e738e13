"""The predictor of the RITM family: a network that reads (image, previous map, clicks), and the strategies round it. MODELS.md 6.1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.inference import flip as flipping
from backend.inference.click_maps import points_tensor
from backend.inference.crop import Crop, IndexClick, Roi, limit_longest_side, resize
from backend.inference.encoding import Encoding, encode_pixels, initial_map, read_only
from backend.inference.segmenter import State
from backend.inference.zoom_in import View, ZoomIn, ZoomMemory
from converters.frames import Box, Click

Network = Callable[[Tensor, Tensor], Tensor]
"""`net(x, points)`: x float32 [B, C + 1, H, W] (image 0..1 un-normalised, then the previous probability), points [B, 2n, 3] (see
`click_maps.points_tensor`) -> logits [B, 1, h, w]. Normalisation and disks are inside the network."""


@dataclass(kw_only=True, eq=False)
class ClickPredictor:
    """A `Segmenter` (see segmenter.py) over any network that obeys `net(x, points)`. Keeps nothing between calls.

    net: in eval mode, on `device`.
    name, version, recipes, threshold: as in `Segmenter`.
    zoom_in: None shows the network the whole image at its own size. A network of fixed input size, say 224, takes
        ZoomIn(skip_clicks=-1, target_size=(224, 224)); expansion_ratio and min_crop_size say how much context a crop has.
    flip: average with the mirror image: two samples in the forward pass instead of one.
    longest_side: shrink what the network sees to this longer side (LimitLongestSide), applied after ZoomIn; None for no limit.
    clicks_limit: only the first so many clicks reach the network; ZoomIn sees them all. None for no limit.
    """

    net: Network
    name: str
    version: str
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),)
    threshold: float = 0.49
    zoom_in: ZoomIn | None = None
    flip: bool = False
    longest_side: int | None = None
    clicks_limit: int | None = None
    device: torch.device | str = "cpu"
    takes_boxes: bool = field(default=False, init=False)

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """image: HxWxC uint8, C = bands of each recipe. Raises ContractError for anything else."""
        return encode_pixels(image, name=self.name, bands=len(self.recipes[0]), device=self.device)

    def start(self, encoding: Encoding, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """Zeros, or the HxW mask as 0 and 1; the first click then corrects it, and ZoomIn looks at it as it would at a prediction.

        With a box, ZoomIn shows the first click inside it; without ZoomIn the network sees the whole image all the same.
        """
        drawn = None if box is None or self.zoom_in is None else self.zoom_in.of_box(box, encoding.size)
        return State(initial_map(encoding.size, initial_mask), drawn or ZoomMemory(predicted=initial_mask is not None))

    def step(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click; `state` is the one after all but the last. One forward pass, more where ZoomIn looks again."""
        done = False
        while not done:
            state, done = self.look(encoding, clicks, state)
        return state

    def look(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> tuple[State, bool]:
        """One forward pass, and whether the click is predicted with it; otherwise the state is to be looked at once more.

        Another look zooms on what the last one found, but the network still reads the map of the click before (MODELS.md 6.1, 5).
        """
        placed = encoding.placed(clicks)
        memory = state.memory or ZoomMemory()
        found = state.probability if memory.found is None else memory.found
        after = self._forward_pass(encoding, placed, state.probability, found, memory)
        looks = memory.looks + 1
        if self.zoom_in is None or not self.zoom_in.wants_another_look(placed, after.memory, after.probability, looks):
            return after, True
        return State(state.probability, replace(after.memory, found=after.probability, looks=looks)), False

    @torch.inference_mode()
    def _forward_pass(
        self,
        encoding: Encoding,
        clicks: list[IndexClick],
        previous: NDArray[np.float32],
        found: NDArray[np.float32],
        memory: ZoomMemory,
    ) -> State:
        """One call of the network. previous: the map it reads. found: the map ZoomIn takes its RoI from."""
        view = View(None, None) if self.zoom_in is None else self.zoom_in.view(clicks, found, memory)
        roi = Roi.whole(encoding.size) if view.crop is None else view.crop.roi
        x = torch.cat([roi.cut(encoding.pixels).float().div(255), roi.cut(torch.tensor(previous))[None, None].to(self.device)], dim=1)
        if view.crop is not None:
            x, clicks = view.crop.resize(x), view.crop.clicks(clicks)
        probability = self._probability(x, clicks)
        if view.paste is not None:
            probability = Crop(view.paste, roi.size).paste(probability, encoding.size)
        array = np.ascontiguousarray(probability[0, 0].cpu().numpy())
        return State(read_only(array), ZoomMemory(roi=view.paste, predicted=True))

    def _probability(self, x: Tensor, clicks: list[IndexClick]) -> Tensor:
        """[1, C + 1, H, W] to probabilities [1, 1, H, W] through LimitLongestSide, flip averaging and the network."""
        size = (x.shape[2], x.shape[3])
        limited = limit_longest_side(size, self.longest_side)
        if limited is not None:
            x, clicks = limited.resize(x), limited.clicks(clicks)
        batch = [clicks]
        if self.flip:
            x, batch = flipping.with_mirror(x), [clicks, flipping.mirrored_clicks(clicks, x.shape[3])]
        logits = self.net(x, points_tensor(batch, limit=self.clicks_limit).to(self.device)).float()
        logits = resize(logits, (x.shape[2], x.shape[3]))
        if self.flip:
            logits = flipping.average(logits)
        return resize(logits.sigmoid(), size)
