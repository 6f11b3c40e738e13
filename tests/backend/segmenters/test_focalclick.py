"""FocalClick's networks: exact rewrites are exact, S1 halves, the refiner reads what it should, unused weights are unused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from backend.errors import ModelError
from backend.inference.click_maps import points_tensor
from backend.segmenters import catalogue, registry
from backend.segmenters.focalclick import HrnetFocalClick, SegFormerFocalClick
from backend.segmenters.generated import WeightFormula
from backend.segmenters.segformer import SegFormerHead

POINTS = points_tensor([[(30.0, 40.0, True), (10.5, 80.0, False)]])
SMALL = {"channels": (8, 16, 20, 32), "depths": (1, 1, 1, 1), "heads": (1, 2, 2, 4), "width": 24}


def network(kind: str = "segformer", pipeline: str = "s2") -> torch.nn.Module:
    if kind == "segformer":
        net = SegFormerFocalClick(pipeline=pipeline, **SMALL)
    else:
        net = HrnetFocalClick(pipeline=pipeline, width=6, ocr_width=8, small=True)
    WeightFormula(seed=2).fill(net)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("architecture", "millions"), [("segformer_b0_s1", 3.74), ("segformer_b3_s2", 45.69), ("hrnet18s_s1", 4.23)], ids=str
)
def test_the_published_networks_have_the_published_number_of_weights(architecture, millions):
    with torch.device("meta"):
        net = registry.build("focalclick", architecture)
    assert sum(one.numel() for one in net.parameters()) == pytest.approx(millions * 1e6, abs=0.006e6)


def test_the_head_that_multiplies_matrices_first_is_the_published_one():
    head = SegFormerHead((8, 16, 20, 32), 24).eval()
    WeightFormula(seed=3).fill(head)
    levels = [torch.randn(2, channels, 16 >> i, 24 >> i) for i, channels in enumerate((8, 16, 20, 32))]
    layers = (head.linear_c1, head.linear_c2, head.linear_c3, head.linear_c4)
    projected = [
        layer.proj(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:]) for layer, x in zip(layers, levels, strict=True)
    ]
    resized = [F.interpolate(x, (16, 24), mode="bilinear", align_corners=False) for x in projected]
    expected = F.relu(head.linear_fuse.bn(head.linear_fuse.conv(torch.cat(resized[::-1], dim=1))))
    logits, features = head(levels)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits, head.linear_pred(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["segformer", "hrnet"])
@pytest.mark.parametrize(("pipeline", "stride"), [("s1", 8), ("s2", 4)])
def test_s1_computes_at_half_the_size_and_answers_at_the_whole(kind, pipeline, stride):
    logits, features = network(kind, pipeline).coarse(torch.rand(1, 4, 128, 96), POINTS)
    assert logits.shape == (1, 1, 128, 96)
    assert features.shape[2:] == (128 // stride, 96 // stride)


@pytest.mark.parametrize("kind", ["segformer", "hrnet"])
def test_a_sample_is_answered_the_same_alone_and_in_a_batch(kind):
    net = network(kind)
    x = torch.rand(2, 4, 64, 64)
    points = points_tensor([[(30.0, 40.0, True)], [(50.0, 20.0, False)]])
    torch.testing.assert_close(net(x, points)[1:], net(x[1:], points[1:]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["segformer", "hrnet"])
def test_clicks_and_previous_mask_matter_to_the_coarse_pass(kind):
    net = network(kind)
    x = torch.rand(1, 4, 128, 128)
    answer = net(x, POINTS)
    without_mask = x.clone()
    without_mask[:, 3] = 0
    assert (net(without_mask, POINTS) - answer).abs().max() > 1e-4
    assert (net(x, points_tensor([[(30.0, 40.0, False), (10.5, 80.0, True)]])) - answer).abs().max() > 1e-4


def test_what_the_published_segformer_files_hold_in_vain_changes_nothing():
    net = network()
    x, points, box = torch.rand(1, 4, 64, 64), points_tensor([[(30.0, 40.0, True)]]), torch.tensor([[0.0, 8, 8, 40, 56]])

    def answer():
        logits, features = net.coarse(x, points)
        return net.refine(x[:, :3], points, features, logits, box)

    before = answer()
    unused = [tensor for name, tensor in net.state_dict().items() if name.startswith(("maps_transform.", "refiner.feature_gate."))]
    assert len(unused) == 7
    for tensor in unused:
        tensor.fill_(9.0)
    assert torch.equal(answer(), before)


class TestRefiner:
    def test_of_the_whole_the_coarse_answer_is_itself(self):
        net = network()
        image, features, logits = torch.rand(1, 3, 64, 64), torch.randn(1, 24, 16, 16), torch.randn(1, 1, 64, 64)
        _, coarse, _ = net.refiner(image, POINTS, features, logits, torch.tensor([[0.0, 0, 0, 64, 64]]))
        torch.testing.assert_close(coarse, logits, atol=1e-5, rtol=1e-5)

    def test_a_part_is_read_separably_at_its_pixel_centres(self):
        """Bilinear samples at the centres of the part's pixels: the product of a matrix for rows and one for columns (MODELS.md 4.3)."""
        net = network()
        logits = torch.randn(1, 1, 64, 64)
        x1, y1, x2, y2 = box = (10.25, 3.0, 50.75, 61.5)
        _, coarse, _ = net.refiner(torch.rand(1, 3, 64, 64), POINTS, torch.randn(1, 24, 16, 16), logits, torch.tensor([[0.0, *box]]))

        def weights(low, high):
            centres = (low + (torch.arange(64) + 0.5) * (high - low) / 64 - 0.5).clamp(0, 63)
            return (1 - (centres[:, None] - torch.arange(64)).abs()).clamp(min=0)

        expected = weights(y1, y2) @ logits[0, 0] @ weights(x1, x2).T
        torch.testing.assert_close(coarse[0, 0], expected, atol=1e-4, rtol=1e-4)

    def test_where_there_is_no_doubt_the_coarse_answer_stays(self):
        net = network()
        net.refiner.refine_trimap.weight.zero_()
        net.refiner.refine_trimap.bias.fill_(-50.0)
        image, features, logits = torch.rand(1, 3, 64, 64), torch.randn(1, 24, 16, 16), torch.randn(1, 1, 64, 64)
        refined, coarse, _ = net.refiner(image, POINTS, features, logits, torch.tensor([[0.0, 5, 5, 40, 40]]))
        torch.testing.assert_close(refined, coarse)


def test_flip_averaging_is_refused():
    with pytest.raises(ModelError, match="asks for flip averaging, which FocalClick does not have"):
        registry.load_entry(replace(catalogue.entry("focalclick_tiny"), flip=True))
