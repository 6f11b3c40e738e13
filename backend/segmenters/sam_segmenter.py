"""SAM: one image embedding for each window, then a light decoder for each click or box. MODELS.md 5.

The networks are those of the package `segment-anything`; what is here is how clicks are answered with them. SAM needs no ZoomIn and no
disks: it sees the whole window at its own size, 1024 px as published, and reads clicks, a box and its own last mask as prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from PIL import Image
from segment_anything.modeling import Sam
from torch import Tensor

from backend.inference.crop import IndexClick
from backend.inference.encoding import encode_pixels, initial_map, placed, read_only
from backend.inference.giving_way import opportunity
from backend.inference.segmenter import State
from converters.frames import Box, Click, Size, network_index

# How sure a mask to be corrected is given to the decoder, which reads logits: 0.001 and 0.999, about -7 and 7.
CERTAINTY = 1e-3


@dataclass(frozen=True, slots=True)
class SamEncoding:
    """What no click changes.

    embedding: float32 [1, C, h, w] on the network's device, [1, 256, 64, 64] as published. size: (height, width) of the window. seen: of
    what the network saw of it, before padding to a square.
    """

    embedding: Tensor
    size: tuple[int, int]
    seen: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping this encoding costs."""
        return self.embedding.numel() * self.embedding.element_size()


@dataclass(frozen=True, slots=True)
class SamMemory:
    """What a prompt leaves for the next.

    logits: the decoder's mask, float32 of a quarter of what the network sees (of all of it with a TinyViT), None before the first. box:
    drawn at the start.
    """

    logits: NDArray[np.float32] | None = None
    box: Box | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping it costs."""
        return 0 if self.logits is None else int(self.logits.nbytes)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The decoder's answer. logits: float32 [1, n, 256, 256]. quality: the IoU it expects of each, [1, n]."""

    logits: Tensor
    quality: Tensor


@dataclass(kw_only=True, eq=False)
class SamSegmenter:
    """A `Segmenter` (see inference/segmenter.py) over SAM.

    A first click alone is ambiguous: of the decoder's three masks the one it expects most of is taken. Every later prompt gives all
    clicks and the last mask's logits, and takes the single mask; so does a box, and a mask to be corrected.

    net: in eval mode. name, version, recipes, threshold: as in `Segmenter`; SAM's threshold is logit 0, probability 0.5.
    """

    net: Sam
    name: str
    version: str
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),)
    threshold: float = 0.5
    takes_boxes: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        # A chip that is encoded ahead of any click makes way for one that somebody clicked on, between two blocks.
        for block in getattr(self.net.image_encoder, "blocks", ()):
            block.register_forward_pre_hook(opportunity)

    @torch.inference_mode()
    def encode(self, image: NDArray[np.uint8]) -> SamEncoding:
        """The image embedding, nearly all of SAM's work. image: HxWxbands uint8. Raises ContractError for anything else."""
        pixels = encode_pixels(image, name=self.name, bands=len(self.recipes[0]), device="cpu")
        seen = self._seen(pixels.size)
        embedding = self.net.image_encoder(self.preprocessed(image))
        return SamEncoding(embedding, pixels.size, seen)

    def preprocessed(self, image: NDArray[np.uint8]) -> Tensor:
        """HxWxbands uint8 to float32 [1, bands, S, S]: the longer side resized to the network's S, normalised, then padded with zeros."""
        height, width = self._seen((image.shape[0], image.shape[1]))
        # Pillow's resizing filters when it shrinks, torch's does not unless told to, and not to the same bits. Band by band, since Pillow
        # takes four for RGBA, and weighs colours with what it believes to be their opacity.
        bands = (Image.fromarray(image[:, :, band]) for band in range(image.shape[2]))
        resized = np.stack([np.asarray(band.resize((width, height), Image.Resampling.BILINEAR)) for band in bands], axis=2)
        pixels = torch.tensor(resized).permute(2, 0, 1)[None].to(self.net.device)
        return self.net.preprocess(pixels)

    def start(self, encoding: SamEncoding, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """Zeros; the HxW mask as 0 and 1, which the decoder reads with the first click; or what a box holds, by one pass of the decoder."""
        probability = initial_map(encoding.size, initial_mask)
        memory = SamMemory(None if initial_mask is None else self._as_logits(probability, encoding), box)
        return State(probability, memory) if box is None else self._answer(encoding, [], memory)

    def step(self, encoding: SamEncoding, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click, by one pass of the decoder. Asked again for the same clicks (CFR), it corrects its own mask."""
        return self._answer(encoding, placed(clicks, encoding.size), state.memory or SamMemory())

    def _answer(self, encoding: SamEncoding, clicks: list[IndexClick], memory: SamMemory) -> State:
        ambiguous = len(clicks) == 1 and memory.logits is None and memory.box is None
        decoded = self.decode(encoding, clicks, memory, multimask=ambiguous)
        best = int(decoded.quality[0].argmax())
        logits = decoded.logits[:, best : best + 1]
        probability = self.full_size(logits, encoding).sigmoid()
        return State(_kept(probability), SamMemory(_kept(logits), memory.box))

    @torch.inference_mode()
    def decode(self, encoding: SamEncoding, clicks: Sequence[IndexClick], memory: SamMemory, *, multimask: bool) -> Decoded:
        """One pass of the decoder. clicks: pixel indices of the window. multimask: three masks for an ambiguous prompt, else one."""
        device = self.net.device
        scale_row, scale_col = (seen / full for seen, full in zip(encoding.seen, encoding.size, strict=True))
        points = boxes = masks = None
        if clicks:
            places = [[col * scale_col, row * scale_row] for row, col, _ in clicks]  # SAM's points are (x, y)
            labels = [[int(positive) for _, _, positive in clicks]]
            points = (torch.tensor([places], device=device), torch.tensor(labels, device=device))
        if memory.box is not None:
            left, top, right, bottom = _corners(memory.box, encoding.size)
            boxes = torch.tensor([[left * scale_col, top * scale_row, right * scale_col, bottom * scale_row]], device=device)
        if memory.logits is not None:
            masks = torch.tensor(memory.logits, device=device)[None, None]
        sparse, dense = self.net.prompt_encoder(points=points, boxes=boxes, masks=masks)
        logits, quality = self.net.mask_decoder(
            image_embeddings=encoding.embedding,
            image_pe=self.net.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        return Decoded(logits, quality)

    @torch.inference_mode()
    def full_size(self, logits: Tensor, encoding: SamEncoding) -> Tensor:
        """The decoder's logits [1, n, 256, 256] without the padding at the window's size, [1, n, H, W]."""
        return self.net.postprocess_masks(logits, encoding.seen, encoding.size)

    def _seen(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) whose longer side is the network's; a sliver keeps one pixel."""
        scale = self.net.image_encoder.img_size / max(size)
        return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))

    def _as_logits(self, mask: NDArray[np.float32], encoding: SamEncoding) -> NDArray[np.float32]:
        """A mask of the window as the decoder would have drawn it: resized, padded with background, in logits."""
        side = self.net.image_encoder.img_size
        resized = F.interpolate(torch.tensor(mask)[None, None], encoding.seen, mode="bilinear", align_corners=False, antialias=True)
        padded = F.pad(resized, (0, side - encoding.seen[1], 0, side - encoding.seen[0]))
        small = F.interpolate(padded, self.net.prompt_encoder.mask_input_size, mode="area")
        return _kept(small.clamp(CERTAINTY, 1 - CERTAINTY).logit())


def _kept(x: Tensor) -> NDArray[np.float32]:
    """[1, 1, h, w] as a read-only array of its own."""
    return read_only(x[0, 0].float().cpu().numpy().copy())


def _corners(box: Box, size: tuple[int, int]) -> list[float]:
    """x and y of the upper-left, then of the lower-right corner, in pixel indices as clicks are."""
    window = Size(width=size[1], height=size[0])
    (top, left), (bottom, right) = (
        network_index(Click(row, col, positive=True), window) for row, col in ((box.row_min, box.col_min), (box.row_max, box.col_max))
    )
    return [left, top, right, bottom]
