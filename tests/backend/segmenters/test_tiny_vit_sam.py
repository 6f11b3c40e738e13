"""SAM with a TinyViT: a quarter of the image's resolution comes out, as published weights need it."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import Sam

from backend.segmenters import registry
from backend.segmenters.inference_form import inference_form
from backend.segmenters.tiny_vit_sam import TinyViTEncoder


def built(architecture: str, bands: int = 3) -> Sam:
    net = registry.build("sam", architecture, bands)
    assert isinstance(net, Sam)
    return net


def test_the_embedding_is_a_quarter_of_the_image_and_the_masks_all_of_it() -> None:
    with torch.device("meta"):
        net = built("tiny_vit_256")
        embedding = net.image_encoder(torch.empty(1, 3, 256, 256))
    assert embedding.shape == (1, 256, 64, 64)
    assert net.prompt_encoder.mask_input_size == (256, 256)


def test_the_network_that_sees_half_has_the_same_weights() -> None:
    with torch.device("meta"):
        whole, half = (built(name) for name in ("tiny_vit_256", "tiny_vit_128"))
        assert half.image_encoder(torch.empty(1, 3, 128, 128)).shape == (1, 256, 32, 32)
    assert {name: tensor.shape for name, tensor in whole.state_dict().items()} == {n: t.shape for n, t in half.state_dict().items()}


def test_images_are_brought_to_0_to_1_and_no_further() -> None:
    net = built("tiny_vit_64", 4)
    seen = net.preprocess(torch.full((1, 4, 64, 48), 255.0))
    assert torch.equal(seen[..., :48], torch.ones(1, 4, 64, 48))
    assert not seen[..., 48:].any()


def test_the_parts_of_the_encoder_are_the_encoder() -> None:
    encoder = built("tiny_vit_64").eval().image_encoder
    assert isinstance(encoder, TinyViTEncoder)
    image = torch.rand(2, 3, 64, 64)
    assert torch.equal(encoder.finish(encoder.begin(image)), encoder(image))
    later = [name for name, _ in encoder.named_parameters() if name.startswith(encoder.finishing)]
    encoder.finish(encoder.begin(image).detach()).sum().backward()
    assert {name for name, one in encoder.named_parameters() if one.grad is not None} == set(later)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("mixed", 0.1), ("bf16", 0.3)])
def test_the_inference_form_computes_the_same(precision, tolerance) -> None:
    torch.manual_seed(0)
    net = built("tiny_vit_64").eval().requires_grad_(False)
    image = torch.rand(1, 3, 64, 64)
    expected = net.image_encoder(image)
    with torch.inference_mode():
        found = inference_form(net, precision).image_encoder(image)
    assert (found - expected).abs().max() < tolerance * expected.abs().max()
