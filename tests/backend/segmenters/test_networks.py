"""The networks: exact rewrites are exact, sizes are free where they should be, nothing is changed in place."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from backend.errors import ModelError
from backend.inference.click_maps import points_tensor
from backend.segmenters import registry
from backend.segmenters.generated import WeightFormula
from backend.segmenters.plain_vit import PlainVit

POINTS = points_tensor([[(30.0, 40.0, True), (10.5, 80.0, False)]])


def network(family: str) -> torch.nn.Module:
    net = registry.build(family, "tiny").eval().requires_grad_(False)
    WeightFormula(seed=2).fill(net)
    return net


def test_ritm_takes_any_size():
    net = network("ritm")
    for height, width in [(64, 96), (61, 93), (40, 33)]:
        assert net(torch.rand(1, 4, height, width), POINTS).shape == (1, 1, -(-height // 4), -(-width // 4))


def test_the_parts_of_the_context_head_that_are_skipped_cannot_influence_the_answer():
    """Checked against the full attention: one region, so a softmax over one value."""
    net = network("ritm")
    head = net.feature_extractor.ocr_distri_head
    block = head.object_context_block
    features, proxy = torch.rand(2, 16, 6, 5), torch.rand(2, 16, 1, 1)
    query = block.f_pixel(features).flatten(2).transpose(1, 2)  # (B, N, key)
    key = block.f_object(proxy).flatten(2)  # (B, key, 1)
    value = block.f_down(proxy).flatten(2).transpose(1, 2)  # (B, 1, key)
    attention = (query @ key * 8**-0.5).softmax(dim=-1)
    context = block.f_up((attention @ value).transpose(1, 2).reshape(2, 8, 6, 5))
    expected = head.conv_bn_dropout(torch.cat([context, features], dim=1))
    torch.testing.assert_close(head(features, proxy), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["tiny", "vit_base448_upsample_x2"])
def test_the_head_that_fuses_before_resizing_is_the_published_one(architecture):
    from backend.segmenters.simpleclick import ARCHITECTURES, SegmentationHead

    options = ARCHITECTURES[architecture]
    head = SegmentationHead(options["out_dims"], options["head_channels"], options.get("upsample", "x1")).eval()
    levels = [torch.randn(1, c, 16 >> i, 24 >> i) for i, c in enumerate(options["out_dims"])]
    joined = torch.cat(
        [F.interpolate(conv(x), (16, 24), mode="bilinear", align_corners=False) for conv, x in zip(head.convs, levels, strict=True)], dim=1
    )
    x = head.fusion_conv(joined)
    if head.upsample_steps:
        x = head.up_conv1(x)
    torch.testing.assert_close(head(levels), head.conv_seg(x), atol=1e-5, rtol=1e-5)


def test_another_input_size_leaves_the_position_embeddings_as_they_were():
    net = network("simpleclick")
    x, other = torch.rand(1, 4, 112, 112), torch.rand(1, 4, 224, 112)
    before, stored = net(x, POINTS), net.backbone.pos_embed.clone()
    first = net(other, POINTS)
    assert first.shape == (1, 1, 56, 28)
    assert torch.equal(net(other, POINTS), first)
    assert torch.equal(net(x, POINTS), before)
    assert torch.equal(net.backbone.pos_embed, stored)


def test_windows_keep_tokens_apart_and_in_place():
    """Blocks that change nothing give every token back where it was; a real block in windows sees its window only."""
    vit = PlainVit(patch=16, width=8, depth=8, heads=2, grid=28).eval().requires_grad_(False)
    x = torch.randn(2, 28, 28, 8)
    real = vit.blocks
    vit.blocks = torch.nn.ModuleList([torch.nn.Identity()])
    assert torch.equal(vit._run(x, 0, 1, (2, 2)), x)
    vit.blocks = real
    changed = x.clone()
    changed[:, :14, 14:] += 1.0  # the upper right window
    moved = (vit._run(changed, 0, 1, (2, 2)) - vit._run(x, 0, 1, (2, 2))).abs().amax(dim=(0, 3)) > 1e-6
    assert moved[:14, 14:].all()
    assert moved.sum() == 14 * 14


@pytest.mark.parametrize(("side", "windows"), [(112, 1), (224, 1), (336, 1), (448, 2), (672, 3)])
def test_an_input_side_is_cut_into_as_many_windows_as_224_px_fit_in(side, windows):
    assert PlainVit(patch=16, width=8, depth=1, heads=1, grid=28).windows(side) == windows


@pytest.mark.parametrize("side", [450, 464])
def test_a_side_that_cannot_be_cut_is_refused(side):
    with pytest.raises(ModelError, match=f"an input side of {side} px cannot be cut"):
        PlainVit(patch=16, width=8, depth=1, heads=1, grid=28).windows(side)


@pytest.mark.parametrize("family", ["ritm", "simpleclick"])
def test_a_sample_is_answered_the_same_alone_and_in_a_batch(family):
    net = network(family)
    x = torch.rand(2, 4, 112, 112)
    points = points_tensor([[(30.0, 40.0, True)], [(80.0, 20.0, False)]])
    torch.testing.assert_close(net(x, points)[1:], net(x[1:], points[1:]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["ritm", "simpleclick"])
def test_clicks_and_previous_mask_matter_and_padding_does_not(family):
    net = network(family)
    x = torch.rand(1, 4, 112, 112)
    answer = net(x, POINTS)
    without_mask = x.clone()
    without_mask[:, 3] = 0
    assert (net(without_mask, POINTS) - answer).abs().max() > 1e-4
    assert (net(x, points_tensor([[(30.0, 40.0, False), (10.5, 80.0, True)]])) - answer).abs().max() > 1e-5
    padded = torch.cat([POINTS[:, :1], torch.full((1, 2, 3), -1.0), POINTS[:, 1:], torch.full((1, 2, 3), -1.0)], dim=1)
    assert torch.equal(net(x, padded), answer)
