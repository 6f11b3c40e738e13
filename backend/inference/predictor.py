"""The predictor of the RITM family: a network that reads (image, previous map, clicks), and the strategies round it. MODELS.md 6.1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.inference import flip as flipping
from backend.inference.batching import Request
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

    def step_many(self, encoding: Encoding, requests: Sequence[Request]) -> list[State]:
        """What `step` gives for each request, in their order; forward passes whose inputs have one shape are one."""
        states = [request.state for request in requests]
        pending = list(range(len(requests)))
        while pending:
            looked = self._look_many(encoding, [Request(requests[number].clicks, states[number]) for number in pending])
            for number, (state, _) in zip(pending, looked, strict=True):
                states[number] = state
            pending = [number for number, (_, done) in zip(pending, looked, strict=True) if not done]
        return states

    def look(self, encoding: Encoding, clicks: Sequence[Click], state: State) -> tuple[State, bool]:
        """One forward pass, and whether the click is predicted with it; otherwise the state is to be looked at once more.

        Another look zooms on what the last one found, but the network still reads the map of the click before (MODELS.md 6.1, 5).
        """
        return self._look_many(encoding, [Request(clicks, state)])[0]

    @torch.inference_mode()
    def _look_many(self, encoding: Encoding, requests: Sequence[Request]) -> list[tuple[State, bool]]:
        """`look` for each request."""
        seen = [self._seen(encoding, encoding.placed(request.clicks), request.state) for request in requests]
        looked: list[tuple[State, bool]] = []
        for request, one, probability in zip(requests, seen, self._probabilities(seen), strict=True):
            after = _answer(one, probability, encoding.size)
            looks = one.memory.looks + 1
            again = self.zoom_in is not None and self.zoom_in.wants_another_look(one.placed, after.memory, after.probability, looks)
            unfinished = State(request.state.probability, replace(after.memory, found=after.probability, looks=looks)) if again else after
            looked.append((unfinished, not again))
        return looked

    def _seen(self, encoding: Encoding, placed: list[IndexClick], state: State) -> _Seen:
        """What the network is shown for the last click. The map it reads may differ from the one that ZoomIn takes its RoI from."""
        memory: ZoomMemory = state.memory or ZoomMemory()
        found = state.probability if memory.found is None else memory.found
        view = View(None, None) if self.zoom_in is None else self.zoom_in.view(placed, found, memory)
        roi = Roi.whole(encoding.size) if view.crop is None else view.crop.roi
        previous = roi.cut(torch.tensor(state.probability))[None, None].to(self.device)
        x = torch.cat([roi.cut(encoding.pixels).float().div(255), previous], dim=1)
        clicks = placed
        if view.crop is not None:
            x, clicks = view.crop.resize(x), view.crop.clicks(clicks)
        size = (x.shape[2], x.shape[3])
        limited = limit_longest_side(size, self.longest_side)
        if limited is not None:
            x, clicks = limited.resize(x), limited.clicks(clicks)
        return _Seen(x, clicks, size, placed, memory, view, roi)

    def _probabilities(self, seen: Sequence[_Seen]) -> list[Tensor]:
        """Of each, [1, 1, H, W] at the size it had before LimitLongestSide."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, one in enumerate(seen):
            by_shape.setdefault(tuple(one.x.shape), []).append(number)
        found: dict[int, Tensor] = {}
        for numbers in by_shape.values():
            logits = self._logits([seen[number] for number in numbers])
            for place, number in enumerate(numbers):
                found[number] = resize(logits[place : place + 1].sigmoid(), seen[number].size)
        return [found[number] for number in range(len(seen))]

    def _logits(self, seen: Sequence[_Seen]) -> Tensor:
        """One call of the network for inputs of one shape, flip averaging included: [len(seen), 1, H, W] at their size."""
        x = seen[0].x if len(seen) == 1 else torch.cat([one.x for one in seen])
        batch = [one.clicks for one in seen]
        if self.flip:
            batch += [flipping.mirrored_clicks(clicks, x.shape[3]) for clicks in batch]
            x = flipping.with_mirror(x)
        logits = self.net(x, points_tensor(batch, limit=self.clicks_limit).to(self.device)).float()
        logits = resize(logits, (x.shape[2], x.shape[3]))
        return flipping.average(logits) if self.flip else logits


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one forward pass is about.

    x: float32 [1, C + 1, h, w], what the network reads. clicks: in its pixels. size: its (height, width) before LimitLongestSide.
    placed: clicks in pixels of the image. memory: of ZoomIn, before it. view, roi: where the network looks.
    """

    x: Tensor
    clicks: list[IndexClick]
    size: tuple[int, int]
    placed: list[IndexClick]
    memory: ZoomMemory
    view: View
    roi: Roi


def _answer(seen: _Seen, probability: Tensor, size: tuple[int, int]) -> State:
    """The state of an image of (height, width) `size` after a forward pass. probability: [1, 1, *seen.size]."""
    paste = seen.view.paste
    if paste is not None:
        probability = Crop(paste, seen.roi.size).paste(probability, size)
    array = np.ascontiguousarray(probability[0, 0].cpu().numpy())
    return State(read_only(array), ZoomMemory(roi=paste, predicted=True))
