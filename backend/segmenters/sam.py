"""The networks of the SAM family: those of the package `segment-anything`, and SAM with a TinyViT. How they answer: `sam_segmenter`."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from backend.inference.segmenter import Segmenter
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.normalisation import for_bands
from backend.segmenters.registry import register
from backend.segmenters.sam_segmenter import SamSegmenter
from backend.segmenters.sam_tiles import TiledSamSegmenter, TileGrid
from backend.segmenters.tiny_vit_sam import miniature, tiny_vit_sam

# Of red, green and blue in 0..255, as the package has them.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
TINY_VIT = {"tiny_vit_256": tiny_vit_sam, "tiny_vit_128": partial(tiny_vit_sam, side=128), "tiny_vit_64": miniature}


def assemble(net: nn.Module, entry: Entry, version: str, device: torch.device) -> Segmenter:
    """The segmenter of a network on its device: on tiles, where the network sees too little to be shown a whole chip."""
    assert isinstance(net, Sam)  # built below
    whole = SamSegmenter(net=net, name=entry.name, version=version, recipes=entry.recipes, threshold=entry.threshold)
    if entry.architecture in TINY_VIT:
        return TiledSamSegmenter(inner=whole, grid=TileGrid(net.image_encoder.img_size))
    return whole


@register("sam", architectures=("vit_b", "vit_l", "vit_h", "tiny_vit_256", "tiny_vit_128", "tiny", "tiny_vit_64"), assemble=assemble)
def build(architecture: str, bands: int = 3) -> nn.Module:
    """The network of a published checkpoint; `tiny` and `tiny_vit_64` are the same in miniature, for tests. bands: of the image."""
    if architecture in TINY_VIT:
        return TINY_VIT[architecture](bands)
    net = _tiny() if architecture == "tiny" else sam_model_registry[architecture]()
    return net if bands == 3 else _with_bands(net, bands)


def _with_bands(net: Sam, bands: int) -> Sam:
    """`net` with a first layer for so many bands, and their normalisation; the package builds neither for its whole networks."""
    embed = net.image_encoder.patch_embed
    patch = embed.proj.kernel_size[0]
    embed.proj = nn.Conv2d(bands, embed.proj.out_channels, patch, patch)
    net.pixel_mean = torch.tensor(for_bands(PIXEL_MEAN, bands)).view(-1, 1, 1)
    net.pixel_std = torch.tensor(for_bands(PIXEL_STD, bands)).view(-1, 1, 1)
    return net


def _tiny(side: int = 128, width: int = 32) -> Sam:
    grid = side // 16
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=side,
            patch_size=16,
            embed_dim=width,
            depth=2,
            num_heads=2,
            out_chans=width,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),  # type: ignore[arg-type] - only called, as the package itself gives it
            use_rel_pos=True,
            window_size=5,
            global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(embed_dim=width, image_embedding_size=(grid, grid), input_image_size=(side, side), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, num_heads=2, mlp_dim=64),
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=width,
        ),
    )
