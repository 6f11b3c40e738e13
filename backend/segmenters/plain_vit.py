"""A plain vision transformer with windowed attention, and the pyramid built on its last map. MODELS.md 3.

Module and attribute names are those of the published checkpoints. B batch, E width, gh x gw the grid of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from backend.errors import ModelError


class PatchEmbed(nn.Module):
    """Image or click maps [B, inputs, H, W] to tokens [B, gh, gw, E], gh = H / patch."""

    def __init__(self, patch: int, width: int, inputs: int = 3) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens as a grid."""
        return self.proj(x).permute(0, 2, 3, 1)


class PlainVit(nn.Module):
    """Blocks in windows, with a global one every few, no final norm.

    cls_token, fc_norm and head are in the published state dicts and unused (MODELS.md, gotcha 9).
    grid: tokens along a side that `pos_embed` is stored for; other grids resize it at forward time, from the stored values each time.
    bands: channels of the image.
    """

    def __init__(self, *, patch: int, width: int, depth: int, heads: int, grid: int, bands: int = 3) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.global_every = 6 if depth == 12 else max(1, depth // 4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        self.patch_embed = PatchEmbed(patch, width, bands)
        # timm's block is this one exactly: pre-norm, fused q|k|v, exact GELU, no layer scale, scaled_dot_product_attention.
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=norm)  # type: ignore[arg-type] - a partial makes a norm too
            for _ in range(depth)
        )
        self.fc_norm = norm(width)
        self.head = nn.Linear(width, 1000)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image: Tensor, click_tokens: Tensor) -> Tensor:
        """image [B, bands, H, W] normalised, click_tokens [B, gh, gw, E] -> [B, E, gh, gw]. H and W are multiples of the patch."""
        windows = (self.windows(image.shape[2]), self.windows(image.shape[3]))
        x = self.patch_embed(image) + click_tokens
        x = x + self.positions(x.shape[1], x.shape[2])
        start = 0
        for end in range(self.global_every, len(self.blocks) + 1, self.global_every):
            x = self._run(x, start, end - 1, windows)
            x = self._run(x, end - 1, end, (1, 1))
            start = end
        x = self._run(x, start, len(self.blocks), windows)  # nothing is left for the published depths
        return x.permute(0, 3, 1, 2)

    def _run(self, x: Tensor, first: int, last: int, windows: tuple[int, int]) -> Tensor:
        """Blocks first..last-1 on the grid [B, gh, gw, E] cut into windows (rows, columns of windows)."""
        if first == last:
            return x
        batch, gh, gw, width = x.shape
        rows, cols = windows
        cells = x.view(batch, rows, gh // rows, cols, gw // cols, width).transpose(2, 3)
        tokens = cells.reshape(batch * rows * cols, -1, width)
        for block in list(self.blocks)[first:last]:
            tokens = block(tokens)
        return tokens.view(batch, rows, cols, gh // rows, gw // cols, width).transpose(2, 3).reshape(batch, gh, gw, width)

    def windows(self, pixels: int) -> int:
        """How many windows an input side is cut into: as many as 224 px fit in (MODELS.md, gotcha 10), one at least.

        Raises ModelError for a side that cannot be cut into whole patches and equal windows.
        """
        tokens, rest = divmod(pixels, self.patch)
        count = max(1, tokens // (224 // self.patch))
        if rest or tokens % count:
            raise ModelError(
                f"an input side of {pixels} px cannot be cut into patches of {self.patch} px and {count} equal windows; "
                f"expected a multiple of 224 px such as 448; correct the target size of its ZoomIn"
            )
        return count

    def positions(self, gh: int, gw: int) -> Tensor:
        """Position embeddings [1, gh, gw, E]: the stored ones, resized bicubically where the grid differs."""
        stored = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid))
        if (gh, gw) == (self.grid, self.grid):
            return stored
        resized = F.interpolate(stored.permute(0, 3, 1, 2), (gh, gw), mode="bicubic", align_corners=False)
        return resized.permute(0, 2, 3, 1)


def group_norm(channels: int) -> nn.GroupNorm:
    """One group over all channels."""
    return nn.GroupNorm(1, channels)


class SimpleFpn(nn.Module):
    """The ViT's map [B, E, gh, gw] as four maps at 4, 2, 1 and 1/2 times its resolution, `outputs` channels each."""

    def __init__(self, width: int, outputs: Sequence[int]) -> None:
        super().__init__()
        o4, o8, o16, o32 = outputs
        d4, d8, d32 = max(2 * o4, width // 2), max(o8, width // 2), max(o32, 2 * width)
        self.down_4 = nn.Sequential(
            *(nn.ConvTranspose2d(width, d4, 2, 2), group_norm(d4), nn.GELU()),
            *(nn.ConvTranspose2d(d4, d4 // 2, 2, 2), group_norm(d4 // 2)),
            *(nn.Conv2d(d4 // 2, o4, 1), group_norm(o4), nn.GELU()),
        )
        self.down_8 = nn.Sequential(nn.ConvTranspose2d(width, d8, 2, 2), group_norm(d8), nn.Conv2d(d8, o8, 1), group_norm(o8), nn.GELU())
        self.down_16 = nn.Sequential(nn.Conv2d(width, o16, 1), group_norm(o16), nn.GELU())
        self.down_32 = nn.Sequential(nn.Conv2d(width, d32, 2, 2), group_norm(d32), nn.Conv2d(d32, o32, 1), group_norm(o32), nn.GELU())

    def forward(self, x: Tensor) -> list[Tensor]:
        """Finest first."""
        return [self.down_4(x), self.down_8(x), self.down_16(x), self.down_32(x)]
