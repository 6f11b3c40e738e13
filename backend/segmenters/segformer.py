"""SegFormer with a second entrance for clicks, as FocalClick uses it. MODELS.md 4.1.

Module and attribute names are those of the published checkpoints. B batch, C channels; stage i works at stride 4, 8, 16, 32 of H x W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers.drop import DropPath
from timm.models.pvt_v2 import Attention, OverlapPatchEmbed
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

NORM_EPS = 1e-6  # of blocks and stages; the norms inside timm's two modules have PyTorch's 1e-5, as the originals do
HEADS = (1, 2, 5, 8)
MOST_SKIPPED = 0.1  # how often training skips the last block's residuals; the first block's never, linear between
REDUCTIONS = (8, 4, 2, 1)  # keys and values of stage i are taken from a map so many times smaller


class DepthwiseConv(nn.Module):
    """A 3x3 convolution of each channel by itself; a module of its own because the checkpoints call it `dwconv.dwconv`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return self.dwconv(x)


class MixMlp(nn.Module):
    """Linear, depthwise 3x3, exact GELU, linear: the convolution tells tokens where they are, so there is no position embedding."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, ratio * channels)
        self.dwconv = DepthwiseConv(ratio * channels)
        self.fc2 = nn.Linear(ratio * channels, channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens [B, h * w, C] of a grid of `size` (h, w) -> the same shape."""
        hidden = self.fc1(x).transpose(1, 2).unflatten(2, size)
        return self.fc2(F.gelu(self.dwconv(hidden)).flatten(2).transpose(1, 2))


class Block(nn.Module):
    """Pre-norm attention and MLP. timm's PVTv2 attention is this one exactly (q, fused k|v, reduced by a strided convolution)."""

    def __init__(self, channels: int, heads: int, reduction: int, skipped: float = 0.0) -> None:
        super().__init__()
        self.drop_path = DropPath(skipped)  # of a sample's residuals, in training only
        self.norm1 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.attn = Attention(channels, num_heads=heads, sr_ratio=reduction, qkv_bias=True)
        self.norm2 = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = MixMlp(channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens [B, h * w, C] of a grid of `size` (h, w) -> the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), list(size)))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class MixVisionTransformer(nn.Module):
    """`(image, clicks)` -> four maps [B, channels[i], H / 2**(i + 2), W / 2**(i + 2)], rounded up.

    The clicks join between stage 1 and stage 2; the first map is the image's alone. bands: channels of the image.
    """

    def __init__(self, *, channels: Sequence[int], depths: Sequence[int], heads: Sequence[int] = HEADS, bands: int = 3) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        # timm's embedding is the original: strided convolution, padding of half a kernel, layer norm.
        self.patch_embed1 = OverlapPatchEmbed(7, 4, bands, c1)
        self.patch_embed2 = OverlapPatchEmbed(3, 2, c1, c2)
        self.patch_embed3 = OverlapPatchEmbed(3, 2, c2, c3)
        self.patch_embed4 = OverlapPatchEmbed(3, 2, c3, c4)
        self.patch_embed_side1 = OverlapPatchEmbed(7, 4, 3, c1)
        skipped = (MOST_SKIPPED * number / (sum(depths) - 1) for number in range(sum(depths)))
        self.block1, self.block2, self.block3, self.block4 = (
            nn.ModuleList(Block(channels[i], heads[i], REDUCTIONS[i], next(skipped)) for _ in range(depths[i])) for i in range(4)
        )
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(c, eps=NORM_EPS) for c in channels)

    def forward(self, image: Tensor, clicks: Tensor) -> list[Tensor]:
        """image [B, bands, H, W], normalised; clicks [B, 3, H, W]: previous map, positive disks, negative disks. Finest first."""
        first = self._stage(image, self.patch_embed1, self.block1, self.norm1)
        joined = first + self.patch_embed_side1(clicks).permute(0, 3, 1, 2)
        second = self._stage(joined, self.patch_embed2, self.block2, self.norm2)
        third = self._stage(second, self.patch_embed3, self.block3, self.norm3)
        return [first, second, third, self._stage(third, self.patch_embed4, self.block4, self.norm4)]

    @staticmethod
    def _stage(x: Tensor, embed: nn.Module, blocks: nn.ModuleList, norm: nn.Module) -> Tensor:
        grid = embed(x)  # (B, h, w, C)
        size = (grid.shape[1], grid.shape[2])
        tokens = grid.flatten(1, 2)
        for block in blocks:
            tokens = block(tokens, size)
        return norm(tokens).transpose(1, 2).unflatten(2, size)


class LevelProjection(nn.Module):
    """One level's linear layer, under the name the checkpoints have."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)


class Fusion(nn.Module):
    """1x1 convolution without bias over the joined levels, and its batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)


class SegFormerHead(nn.Module):
    """Four levels joined at stride 4: `levels -> (logits [B, 1, H/4, W/4], fused features [B, width, H/4, W/4])`."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        self.linear_c4 = LevelProjection(c4, width)
        self.linear_c3 = LevelProjection(c3, width)
        self.linear_c2 = LevelProjection(c2, width)
        self.linear_c1 = LevelProjection(c1, width)
        self.linear_fuse = Fusion(4 * width, width)
        self.dropout = nn.Dropout2d(0.1)
        self.linear_pred = nn.Conv2d(width, 1, 1)

    def read_directly(self) -> tuple[nn.Module, ...]:
        """Of `ReadsWeights`: the matrices that `forward` multiplies with each other."""
        levels = (self.linear_c4, self.linear_c3, self.linear_c2, self.linear_c1)
        return (*(level.proj for level in levels), self.linear_fuse.conv)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Projection, resize, join and fusion of a level are all linear, and pixel-wise maps commute with a resize: so each level goes
        through the product of its two matrices at its own resolution, and the fused levels are resized and added. Exact, and an eighth
        of the work for B3."""
        size = levels[0].shape[2:]
        projections = (self.linear_c4, self.linear_c3, self.linear_c2, self.linear_c1)  # the order in which they are joined
        shares = self.linear_fuse.conv.weight[:, :, 0, 0].chunk(4, dim=1)
        fused = torch.zeros((), device=levels[0].device, dtype=levels[0].dtype)
        for level, projection, share in zip(reversed(levels), projections, shares, strict=True):
            weight, bias = share @ projection.proj.weight, share @ projection.proj.bias
            part = F.conv2d(level, weight[:, :, None, None], bias)
            fused = fused + (part if part.shape[2:] == size else F.interpolate(part, size, mode="bilinear", align_corners=False))
        features = F.relu(self.linear_fuse.bn(fused))
        return self.linear_pred(self.dropout(features)), features


class SegFormer(nn.Module):
    """Backbone and head: `(image, clicks) -> (logits, features)`, both at stride 4."""

    def __init__(self, *, channels: Sequence[int], depths: Sequence[int], width: int, heads: Sequence[int] = HEADS, bands: int = 3) -> None:
        super().__init__()
        self.backbone = MixVisionTransformer(channels=channels, depths=depths, heads=heads, bands=bands)
        self.decode_head = SegFormerHead(channels, width)

    def forward(self, image: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor]:
        """image, clicks: as for `MixVisionTransformer`."""
        return self.decode_head(self.backbone(image, clicks))
