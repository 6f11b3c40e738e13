"""SimpleClick (and ICL, the same network): a plain ViT that adds the clicks' patch embedding to the image's. MODELS.md 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from backend.inference.click_maps import disk_maps
from backend.segmenters.normalisation import normalised
from backend.segmenters.plain_vit import PatchEmbed, PlainVit, SimpleFpn, group_norm
from backend.segmenters.registry import register

DISK_RADIUS = 5.0  # pixels of the network input

_BASE = {"patch": 16, "embed_dim": 768, "depth": 12, "heads": 12, "out_dims": (128, 256, 512, 1024), "head_channels": 256, "grid": 28}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "vit_xtiny448": {**_BASE, "embed_dim": 160, "depth": 8, "heads": 4, "out_dims": (96, 192, 288, 384), "head_channels": 128},
    "vit_base448": _BASE,
    "vit_base448_upsample_x2": {**_BASE, "upsample": "x2", "head_channels": 128},
    "vit_base448_upsample_x4": {**_BASE, "upsample": "x4", "head_channels": 64},
    "vit_large448": {**_BASE, "embed_dim": 1024, "depth": 24, "heads": 16, "out_dims": (192, 384, 768, 1536)},
    "vit_huge448": {**_BASE, "patch": 14, "embed_dim": 1280, "depth": 32, "heads": 16, "out_dims": (240, 480, 960, 1920), "grid": 32},
    # For tests; nobody published it. 112 px input.
    "tiny": {**_BASE, "embed_dim": 32, "depth": 4, "heads": 2, "out_dims": (8, 16, 24, 32), "head_channels": 16, "grid": 7},
}
UPSAMPLE_STEPS = {"x1": 0, "x2": 1, "x4": 2}


class ConvModule(nn.Module):
    """1x1 convolution with bias, then ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H, W]."""
        return F.relu(self.conv(x))


class SegmentationHead(nn.Module):
    """Four maps to one logit map [B, 1, H, W] at the finest one's resolution, twice or four times it with upsample x2, x4."""

    def __init__(self, inputs: Sequence[int], channels: int, upsample: str) -> None:
        super().__init__()
        self.upsample_steps = UPSAMPLE_STEPS[upsample]
        width = channels << self.upsample_steps
        self.convs = nn.ModuleList(ConvModule(one, width) for one in inputs)
        self.fusion_conv = ConvModule(width * len(inputs), width)
        # Present in every published state dict, used with upsample x2 (the first) and x4 (both).
        self.up_conv1 = self._doubling(width, width // 2)
        self.up_conv2 = self._doubling(width // 2, width // 4)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(channels, 1, 1)

    def read_directly(self) -> tuple[nn.Module, ...]:
        """Of `ReadsWeights`: the fusion convolution, whose weights are taken in slices."""
        return (self.fusion_conv.conv,)

    @staticmethod
    def _doubling(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 2, 2), group_norm(outputs), nn.Conv2d(outputs, outputs, 1), group_norm(outputs), nn.GELU()
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """levels: finest first.

        The fusion convolution is 1x1, so it commutes with the resizing: each level goes through its slice of the weights at its own
        resolution, and the results are resized and added instead of resized, joined and convolved.
        """
        size = levels[0].shape[2:]
        slices = self.fusion_conv.conv.weight.chunk(len(levels), dim=1)
        bias = self.fusion_conv.conv.bias
        fused = F.conv2d(self.convs[0](levels[0]), slices[0], bias)
        for conv, level, weight in zip(list(self.convs)[1:], levels[1:], slices[1:], strict=True):
            fused = fused + F.interpolate(F.conv2d(conv(level), weight), size, mode="bilinear", align_corners=False)
        x = F.relu(fused)
        for double in (self.up_conv1, self.up_conv2)[: self.upsample_steps]:
            x = double(x)
        return self.conv_seg(self.dropout(x))


class SimpleClickNet(nn.Module):
    """`net(x, points)`: x [B, bands + 1, H, W] (image and previous probability, 0..1), points [B, 2n, 3] -> logits at stride patch / 4.

    H and W are multiples of the patch that can be cut into windows: 448 and 672 for patch 16. Position embeddings are stored for
    `grid` x `grid` tokens and resized for other inputs.
    """

    def __init__(
        self,
        *,
        patch: int,
        embed_dim: int,
        depth: int,
        heads: int,
        out_dims: Sequence[int],
        head_channels: int,
        grid: int,
        upsample: str = "x1",
        bands: int = 3,
    ) -> None:
        super().__init__()
        self.patch_embed_coords = PatchEmbed(patch, embed_dim)
        self.backbone = PlainVit(patch=patch, width=embed_dim, depth=depth, heads=heads, grid=grid, bands=bands)
        self.neck = SimpleFpn(embed_dim, out_dims)
        self.head = SegmentationHead(out_dims, head_channels, upsample)

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        """Logits, not yet resized to the input."""
        return self.head(self.levels(x, points))

    def levels(self, x: Tensor, points: Tensor) -> list[Tensor]:
        """The neck's four maps, finest first."""
        return self.neck(self.features(x, points))

    def features(self, x: Tensor, points: Tensor) -> Tensor:
        """The backbone's map, [B, embed_dim, H / patch, W / patch]."""
        disks = disk_maps(points, (x.shape[2], x.shape[3]), DISK_RADIUS).to(x.dtype)
        click_tokens = self.patch_embed_coords(torch.cat([x[:, -1:], disks], dim=1))
        return self.backbone(normalised(x[:, :-1]), click_tokens)


@register("simpleclick", architectures=tuple(ARCHITECTURES))
def build(architecture: str, bands: int = 3) -> nn.Module:
    """The network of a published SimpleClick or ICL checkpoint, or `tiny`, for images of so many bands."""
    return SimpleClickNet(**ARCHITECTURES[architecture], bands=bands)
