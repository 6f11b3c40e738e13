"""The rewritten network is the same function; lower precision is near it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from backend.errors import ModelError
from backend.inference.click_maps import points_tensor
from backend.segmenters import registry
from backend.segmenters.catalogue import Catalogue, entries, entry, shipped
from backend.segmenters.generated import WeightFormula
from backend.segmenters.inference_form import inference_form
from backend.segmenters.packed_linear import PackedLinear
from backend.segmenters.precision import chosen_precision, native_bf16

CLICK_FAMILIES = ("vitclick", "simpleclick", "ritm", "focalclick")
SIDE = 112


def network(family: str) -> nn.Module:
    net = registry.build(family, "tiny").eval().requires_grad_(False)
    WeightFormula(seed=5).fill(net)
    return net


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(2, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return x, points_tensor([[(30.2, 40.0, True), (80.0, 9.5, False)], [(55.0, 55.0, True)]])


def relative_difference(family: str, precision: str) -> float:
    """Largest difference of logits over their standard deviation."""
    net = network(family)
    with torch.inference_mode():
        expected = net(*inputs())
        found = inference_form(copy.deepcopy(net), precision)(*inputs())  # type: ignore[arg-type]
    assert found.dtype == torch.float32
    return float((found - expected).abs().max() / expected.std())


@pytest.mark.parametrize("family", CLICK_FAMILIES)
def test_rewriting_changes_rounding_only(family: str) -> None:
    assert relative_difference(family, "fp32") < 1e-4


@pytest.mark.parametrize("family", CLICK_FAMILIES)
@pytest.mark.parametrize(("precision", "most"), [("mixed", 0.06), ("bf16", 0.3)])
def test_lower_precision_stays_near(family: str, precision: str, most: float) -> None:
    assert relative_difference(family, precision) < most


def test_mixed_is_nearer_than_bf16_and_differs_from_fp32() -> None:
    assert 1e-4 < relative_difference("simpleclick", "mixed") < relative_difference("simpleclick", "bf16")


def test_no_batch_norm_is_left_where_one_follows_a_convolution() -> None:
    net = inference_form(network("ritm"))
    pairs = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert all("ocr" in name for name, _ in pairs), "only the object context keeps its norms, whose convolution is taken in halves"


def test_sam_gives_the_same_embedding_and_masks() -> None:
    net = registry.build("sam", "tiny").eval().requires_grad_(False)
    WeightFormula(seed=5).fill(net)
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = net.image_encoder(image)  # type: ignore[operator]
        same = inference_form(copy.deepcopy(net)).image_encoder(image)  # type: ignore[operator]
        low = inference_form(copy.deepcopy(net), "bf16").image_encoder(image)  # type: ignore[operator]
    assert (same - expected).abs().max() < 1e-4
    assert 1e-4 < (low - expected).abs().max() < 0.2 * expected.abs().max()


@pytest.mark.parametrize("gelu", [False, True])
def test_a_packed_layer_has_the_gradients_of_the_layer(gelu: bool) -> None:
    layer = nn.Linear(24, 40).requires_grad_(False)
    packed = PackedLinear(layer, torch.float32, gelu=gelu)
    x = torch.rand(7, 24, generator=torch.Generator().manual_seed(3), requires_grad=True)
    expected = torch.nn.functional.gelu(layer(x)) if gelu else layer(x)
    found = packed(x)
    torch.testing.assert_close(found, expected)
    weights = torch.rand(7, 40, generator=torch.Generator().manual_seed(4))
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0])
    with torch.no_grad():
        torch.testing.assert_close(packed(x), expected)


def test_auto_is_mixed_only_where_processor_and_model_allow(tmp_path: Path) -> None:
    able, unable = tmp_path / "able", tmp_path / "unable"
    able.write_text("processor: 0\nflags : fpu avx512f avx512_bf16\n")
    unable.write_text("processor: 0\nflags : fpu avx512f avx512bw\n")
    assert native_bf16(able)
    assert not native_bf16(unable)
    assert not native_bf16(tmp_path / "absent")
    assert chosen_precision("auto", same_masks=False) == "fp32"
    assert chosen_precision("auto", same_masks=True) == ("mixed" if native_bf16() else "fp32")
    assert chosen_precision("bf16", same_masks=False) == "bf16"
    with pytest.raises(ModelError, match="no precision 'fp8'"):
        chosen_precision("fp8", same_masks=True)


def test_the_version_says_what_was_computed_in() -> None:
    versions = {precision: shipped(precision).version("simpleclick_tiny") for precision in ("fp32", "mixed", "bf16")}
    assert len(set(versions.values())) == 3
    assert registry.load("simpleclick_tiny", precision="mixed").version == versions["mixed"]


def test_every_entry_of_a_catalogue_is_told_its_precision() -> None:
    folder = next(one.file.parent for one in entries() if one.file is not None)
    assert {one.precision for one in Catalogue(folder, "bf16").entries} == {"bf16"}
    assert entry("ritm_tiny").precision == "fp32", "no mask of it was ever compared"
