"""RITM: HRNet that reads the clicks as disks and the previous map beside them. MODELS.md 1.5 and 2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.inference.click_maps import disk_maps
from backend.segmenters.hrnet import HighResolutionNet
from backend.segmenters.normalisation import normalised
from backend.segmenters.registry import register

DISK_RADIUS = 5.0  # pixels of the network input

ARCHITECTURES = {
    "hrnet18s": {"width": 18, "ocr_width": 48, "small": True},
    "hrnet18": {"width": 18, "ocr_width": 64, "small": False},
    "hrnet32": {"width": 32, "ocr_width": 128, "small": False},
    "tiny": {"width": 8, "ocr_width": 8, "small": True},  # for tests; nobody published it
}


class ScaleLayer(nn.Module):
    """One learned factor, used by its absolute value: any shape in, the same out."""

    def __init__(self, initial: float = 0.05) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return x * self.scale.abs()


class RitmNet(nn.Module):
    """`net(x, points)`: x [B, bands + 1, H, W] (image and previous probability, 0..1), points [B, 2n, 3] -> logits [B, 1, H/4, W/4].

    `net(x, points, auxiliary=True)` is `with_auxiliary`, for training: wrappers for several devices see calls of the module only.
    H and W are free. width, ocr_width, small, bands: see `HighResolutionNet`.
    """

    def __init__(self, *, width: int, ocr_width: int, small: bool = False, bands: int = 3) -> None:
        super().__init__()
        self.maps_transform = nn.Sequential(nn.Conv2d(3, 16, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 64, 3, 2, 1), ScaleLayer())
        self.feature_extractor = HighResolutionNet(width=width, ocr_width=ocr_width, small=small, bands=bands)

    def forward(self, x: Tensor, points: Tensor, *, auxiliary: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits at stride 4, and the auxiliary ones where asked for."""
        both = self.with_auxiliary(x, points)
        return both if auxiliary else both[0]

    def with_auxiliary(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """(logits, auxiliary logits), both [B, 1, H/4, W/4]; training uses both."""
        return self.feature_extractor.head(self.features(x, points))

    def features(self, x: Tensor, points: Tensor) -> Tensor:
        """The backbone's features, [B, 15 * width, H/4, W/4]."""
        disks = disk_maps(points, (x.shape[2], x.shape[3]), DISK_RADIUS).to(x.dtype)
        clicks = self.maps_transform(torch.cat([x[:, -1:], disks], dim=1))  # (B, 64, H/2, W/2)
        return self.feature_extractor.features(normalised(x[:, :-1]), clicks)


@register("ritm", architectures=tuple(ARCHITECTURES))
def build(architecture: str, bands: int = 3) -> nn.Module:
    """The network of a published RITM checkpoint, or `tiny`, for images of so many bands."""
    return RitmNet(**ARCHITECTURES[architecture], bands=bands)
