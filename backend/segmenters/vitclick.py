"""VitClick: SimpleClick's idea on a pretrained ViT-S/14, with a light convolutional decoder that sees the pixels.

The body is a plain vision transformer (DINOv2-small in shape: 12 blocks, 384 channels, 6 heads, layer scale). As in SimpleClick, clicks and
previous mask enter through a patch embedding of their own that is added to the image's tokens. Unlike SimpleClick, the decoder joins
four depths of the body with a two-level stem at full detail, because 14 px patches alone cannot draw the edge of a roof.
"""

from __future__ import annotations

import torch
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from backend.inference.click_maps import disk_maps
from backend.segmenters.normalisation import normalised
from backend.segmenters.registry import register

PATCH = 14
WIDTH = 384
DEPTH = 12
HEADS = 6
TAPS = (3, 6, 9, 12)  # blocks whose outputs the decoder reads
DISK_RADIUS = 3.0  # pixels of the network input


class ConvBlock(nn.Sequential):
    """Convolution, GroupNorm of 8 groups, GELU: [B, C, H, W] -> [B, D, H/stride, W/stride]."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.GroupNorm(8, outputs),
            nn.GELU(),
        )


class VitClick(nn.Module):
    """`net(x, points)`: x [B, bands + 1, H, W] (image and previous probability, 0..1), points [B, 2n, 3] -> logits [B, 1, H/2, W/2].

    H and W are multiples of 14. Position embeddings are stored for `grid` x `grid` tokens and resized for other inputs.
    """

    def __init__(
        self,
        *,
        width: int = WIDTH,
        depth: int = DEPTH,
        heads: int = HEADS,
        taps: tuple[int, ...] = TAPS,
        grid: int = 16,
        bands: int = 3,
    ) -> None:
        super().__init__()
        self.taps = taps
        self.grid = grid
        self.patch_embed = nn.Conv2d(bands, width, PATCH, PATCH)
        self.click_embed = nn.Conv2d(3, width, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=4.0, qkv_bias=True, init_values=1e-5, norm_layer=LayerNorm) for _ in range(depth)
        )
        self.tap_norms = nn.ModuleList(LayerNorm(width) for _ in taps)  # eps 1e-6, as the blocks'
        self.tap_projections = nn.ModuleList(nn.Linear(width, 128) for _ in taps)
        self.token_conv = ConvBlock(128, 128)
        self.stem_2 = nn.Sequential(ConvBlock(bands + 3, 32, stride=2), ConvBlock(32, 32))
        self.stem_4 = nn.Sequential(ConvBlock(32, 64, stride=2), ConvBlock(64, 64))
        self.join_4 = nn.Sequential(ConvBlock(128 + 64, 64, kernel=1), ConvBlock(64, 64), ConvBlock(64, 64))
        self.join_2 = nn.Sequential(ConvBlock(64 + 32, 32, kernel=1), ConvBlock(32, 32))
        self.predict = nn.Conv2d(32, 1, 1)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.constant_(self.predict.bias, -2.0)  # type: ignore[arg-type] - the layer has a bias; most pixels are not the object

    def forward(self, x: Tensor, points: Tensor) -> Tensor:
        """Logits at half the input size."""
        return self.decode(*self.body(x, points))

    def body(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder reads: (tokens [B, 128, H/14, W/14], detail [B, 32, H/2, W/2], detail [B, 64, H/4, W/4])."""
        height, width = x.shape[-2:]
        image = normalised(x[:, :-1])
        clicks = torch.cat([x[:, -1:], disk_maps(points, (height, width), DISK_RADIUS).to(x.dtype)], dim=1)
        detail_2 = self.stem_2(torch.cat([image, clicks], dim=1))
        return self.tokens(image, clicks), detail_2, self.stem_4(detail_2)

    def decode(self, tokens: Tensor, detail_2: Tensor, detail_4: Tensor) -> Tensor:
        """What `body` gives to logits [B, 1, H/2, W/2]."""
        up_4 = F.interpolate(self.token_conv(tokens), detail_4.shape[-2:], mode="bilinear", align_corners=False)
        joined_4 = self.join_4(torch.cat([up_4, detail_4], dim=1))
        up_2 = F.interpolate(joined_4, detail_2.shape[-2:], mode="bilinear", align_corners=False)
        return self.predict(self.join_2(torch.cat([up_2, detail_2], dim=1)))

    def tokens(self, image: Tensor, clicks: Tensor) -> Tensor:
        """The vision transformer: normalised image [B, bands, H, W] and click maps [B, 3, H, W] -> [B, 128, H/14, W/14]."""
        embedded = self.patch_embed(image) + self.click_embed(clicks)  # (B, E, h, w)
        h, w = embedded.shape[-2:]
        sequence = torch.cat([self.cls_token.expand(len(image), -1, -1), embedded.flatten(2).transpose(1, 2)], dim=1)
        sequence = sequence + self.positions(h, w)
        total = None
        for number, block in enumerate(self.blocks, start=1):
            sequence = block(sequence)
            if number in self.taps:
                tap = self.taps.index(number)
                part = self.tap_projections[tap](self.tap_norms[tap](sequence[:, 1:]))
                total = part if total is None else total + part
        assert total is not None  # taps name blocks that exist
        return total.transpose(1, 2).unflatten(2, (h, w))

    def describe(self, image: Tensor) -> Tensor:
        """What the transformer makes of an image nobody has clicked on: [B, bands, H, W] in 0..1 -> [B, 2E, H/14, W/14].

        The last two taps, normalised as the decoder reads them: what pre-annotation tells classes by.
        """
        embedded = self.patch_embed(normalised(image))
        h, w = embedded.shape[-2:]
        sequence = torch.cat([self.cls_token.expand(len(image), -1, -1), embedded.flatten(2).transpose(1, 2)], dim=1)
        sequence = sequence + self.positions(h, w)
        found: list[Tensor] = []
        for number, block in enumerate(self.blocks, start=1):
            sequence = block(sequence)
            if number in self.taps[-2:]:
                found.append(self.tap_norms[self.taps.index(number)](sequence[:, 1:]))
        return torch.cat(found, dim=2).transpose(1, 2).unflatten(2, (h, w))

    def positions(self, h: int, w: int) -> Tensor:
        """Position embeddings [1, 1 + h*w, E]: the stored ones, resized bicubically when the grid differs."""
        if (h, w) == (self.grid, self.grid):
            return self.pos_embed
        cells = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        resized = F.interpolate(cells, (h, w), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


@register("vitclick", architectures=("s14", "tiny"))
def build(architecture: str, bands: int = 3) -> nn.Module:
    """`s14`: the ViT-S/14. `tiny`: the same structure in miniature, for tests. bands: of the image."""
    if architecture == "tiny":
        return VitClick(width=48, depth=2, heads=2, taps=(1, 2), grid=8, bands=bands)
    return VitClick(bands=bands)
