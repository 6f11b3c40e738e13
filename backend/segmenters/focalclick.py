"""FocalClick: a coarse network that sees the object, and a small refiner that sees the part just clicked. MODELS.md 4.

Module and attribute names are those of the published checkpoints. S2 computes coarse logits at the input's 256 x 256; S1 halves the input
first. The licence of the published SegFormer files is non-commercial (MODELS.md 9); the code here is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.errors import ModelError
from backend.inference.click_maps import disk_maps
from backend.inference.crop import resize
from backend.inference.focus_predictor import FOCAL_ZOOM, FocalPredictor
from backend.inference.segmenter import Segmenter
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.focal_refiner import Refiner
from backend.segmenters.hrnet import HighResolutionNet
from backend.segmenters.normalisation import normalised
from backend.segmenters.registry import register
from backend.segmenters.ritm import ScaleLayer
from backend.segmenters.segformer import HEADS, SegFormer

SEGFORMERS: dict[str, dict[str, Any]] = {
    "b0": {"channels": (32, 64, 160, 256), "depths": (2, 2, 2, 2), "width": 256},
    "b3": {"channels": (64, 128, 320, 512), "depths": (3, 4, 18, 3), "width": 512},
    "b5": {"channels": (64, 128, 320, 512), "depths": (3, 6, 40, 3), "width": 512},
}
HRNETS: dict[str, dict[str, Any]] = {
    "hrnet18s": {"width": 18, "ocr_width": 48, "small": True},
    "hrnet32": {"width": 32, "ocr_width": 128, "small": False},
}


class Part(NamedTuple):
    """What the refiner looks at. image: [B, bands, h, w] in 0..1. points: [B, 2n, 3] in its pixels. box: [B, 5], see `Refiner`."""

    image: Tensor
    points: Tensor
    box: Tensor


class FocalLogits(NamedTuple):
    """Everything that training has an opinion on. coarse, auxiliary: [B, 1, H, W]. refined, doubt: [B, 1, h, w] of the part."""

    coarse: Tensor
    auxiliary: Tensor
    refined: Tensor
    doubt: Tensor


class FocalClickNet(nn.Module):
    """What both backbones share: the encoding of the input, and the refiner. H x W is 256 x 256 in every published model.

    pipeline: `s1` (coarse network at half the input's size) or `s2`. radius: of the coarse network's disks, input px, before halving.
    """

    refiner: Refiner

    def __init__(self, *, pipeline: str, radius: float) -> None:
        super().__init__()
        self.halved = pipeline == "s1"
        self.radius = radius

    def forward(self, x: Tensor, points: Tensor, part: Part | None = None) -> Tensor | FocalLogits:
        """The coarse logits alone, [B, 1, H, W]: the protocol of every click network. With a part, all that training asks for, in one call:
        wrappers for several devices see calls of the module only."""
        if part is None:
            return self.coarse(x, points)[0]
        size = (x.shape[2], x.shape[3])
        logits, features, auxiliary = self.backbone(*self.encoded(x, points))
        coarse = resize(logits, size)
        refined, _, doubt = self.refiner(part.image, part.points, features, coarse, part.box)
        return FocalLogits(coarse, resize(auxiliary, size), refined, doubt)

    def coarse(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, bands + 1, H, W] (image and previous probability, 0..1), points [B, 2n, 3] -> (logits [B, 1, H, W], features at
        stride 4 or 8)."""
        logits, features = self.backbone(*self.encoded(x, points))[:2]
        return resize(logits, (x.shape[2], x.shape[3])), features

    def encoded(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """(normalised image [B, bands, H, W], (previous map, positive disks, negative disks) [B, 3, H, W]), half the size for S1."""
        height, width = x.shape[2], x.shape[3]
        clicks = torch.cat([x[:, -1:], disk_maps(points, (height, width), self.radius).to(x.dtype)], dim=1)
        size = (height // 2, width // 2) if self.halved else (height, width)
        return resize(normalised(x[:, :-1]), size), resize(clicks, size)

    def backbone(self, image: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(logits, features, auxiliary logits), all at stride 4 of what it is given."""
        raise NotImplementedError

    def refine(self, image: Tensor, points: Tensor, features: Tensor, logits: Tensor, box: Tensor) -> Tensor:
        """The refiner's logits [B, 1, h, w] of a part of what `coarse` saw; see `Refiner`."""
        return self.refiner(image, points, features, logits, box)[0]


class SegFormerFocalClick(FocalClickNet):
    """The SegFormer models. `maps_transform` and the refiner's gate are in the published files and used nowhere."""

    def __init__(
        self, *, pipeline: str, channels: Sequence[int], depths: Sequence[int], width: int, heads: Sequence[int] = HEADS, bands: int = 3
    ) -> None:
        super().__init__(pipeline=pipeline, radius=3.0 if pipeline == "s1" else 5.0)
        self.maps_transform = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 3, 2, 1), ScaleLayer())
        self.feature_extractor = SegFormer(channels=channels, depths=depths, width=width, heads=heads, bands=bands)
        self.refiner = Refiner(width, gate=True, bands=bands)

    def backbone(self, image: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As in the base class; the originals give the same logits twice."""
        logits, features = self.feature_extractor(image, clicks)
        return logits, features, logits


class HrnetFocalClick(FocalClickNet):
    """The HRNet models: RITM's network, with the refiner beside it."""

    def __init__(self, *, pipeline: str, width: int, ocr_width: int, small: bool, bands: int = 3) -> None:
        super().__init__(pipeline=pipeline, radius=2.0 if pipeline == "s1" else 5.0)
        self.maps_transform = nn.Sequential(nn.Conv2d(3, 16, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 64, 3, 2, 1), ScaleLayer())
        self.feature_extractor = HighResolutionNet(width=width, ocr_width=ocr_width, small=small, bands=bands)
        self.refiner = Refiner(2 * ocr_width, gate=False, bands=bands)

    def backbone(self, image: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As in the base class."""
        net = self.feature_extractor
        features, auxiliary = net.object_features(net.features(image, self.maps_transform(clicks)))
        return net.cls_head(features), features, auxiliary


ARCHITECTURES: dict[str, tuple[type[FocalClickNet], dict[str, Any]]] = {
    **{
        f"segformer_{version}_{pipeline}": (SegFormerFocalClick, {"pipeline": pipeline, **options})
        for version, options in SEGFORMERS.items()
        for pipeline in ("s1", "s2")
    },
    **{
        f"{name}_{pipeline}": (HrnetFocalClick, {"pipeline": pipeline, **options})
        for name, options in HRNETS.items()
        for pipeline in ("s1", "s2")
    },
    # For tests; nobody published it.
    "tiny": (
        SegFormerFocalClick,
        {"pipeline": "s1", "channels": (8, 16, 20, 32), "depths": (1, 1, 1, 1), "heads": (1, 2, 2, 4), "width": 24},
    ),
}


def focal_predictor(net: nn.Module, entry: Entry, version: str, device: torch.device) -> Segmenter:
    """The segmenter of a loaded network with the entry's settings. Raises ModelError for one that FocalClick has no use for."""
    if entry.flip:
        raise ModelError(f"{entry.name} asks for flip averaging, which FocalClick does not have; remove `flip` from its settings")
    if not isinstance(net, FocalClickNet):
        raise ModelError(f"{entry.name} has a network without a refiner; FocalClick needs one; correct the entry's family")
    return FocalPredictor(
        net=net,
        name=entry.name,
        version=version,
        recipes=entry.recipes,
        threshold=entry.threshold,
        zoom_in=entry.zoom_in or FOCAL_ZOOM,
        device=device,
    )


@register("focalclick", architectures=tuple(ARCHITECTURES), assemble=focal_predictor)
def build(architecture: str, bands: int = 3) -> nn.Module:
    """The network of a published FocalClick checkpoint, `segformer_b5_*` (code only, no file was published), or `tiny`.

    bands: of the image.
    """
    network, options = ARCHITECTURES[architecture]
    return network(**{**options, "bands": bands})
