"""Weight files: safetensors that name their own architecture, written whole or not at all, loaded strictly.

What their headers say is in `weight_headers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.errors import ModelError
from backend.segmenters.weight_headers import METADATA_KEY, open_weights
from converters.whole_file import replacing


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, family: str, architecture: str, half: bool = True, **about: Any) -> None:
    """Write a state dict to `path` through a temporary file beside it. Raises ModelError where that cannot be written.

    half: floating tensors as float16 (a network computes in float32 all the same); whole numbers stay what they are.
    about: further entries of the metadata object, JSON values.
    """
    stored = {
        name: tensor.detach().cpu().to(torch.float16 if half and tensor.is_floating_point() else tensor.dtype).contiguous().clone()
        for name, tensor in tensors.items()
    }
    metadata = {METADATA_KEY: json.dumps({"family": family, "architecture": architecture, **about}, sort_keys=True)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            save_file(stored, aside, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be written ({error}); name a place with room for it that may be written to") from error


def load_weights(net: nn.Module, path: Path) -> None:
    """Fill `net` from a weight file, every tensor of either side exactly once. Raises ModelError and names the first difference."""
    with open_weights(path, framework="pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
    difference = first_difference(
        {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()},
        {name: tuple(tensor.shape) for name, tensor in stored.items()},
    )
    if difference is not None:
        raise ModelError(f"{path} holds the weights of another network: {difference}; name the architecture it was trained with")
    broken = next((name for name, tensor in stored.items() if not torch.isfinite(tensor).all()), None)
    if broken is not None:
        raise ModelError(f"{path} holds numbers that are not finite in {broken}; expected real weights; take an earlier checkpoint")
    net.load_state_dict(stored)


def first_difference(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str | None:
    """One phrase on the first tensor that is missing, superfluous or of another shape; None when names and shapes agree."""
    for name, shape in expected.items():
        if name not in found:
            return f"it lacks {name} (and {sum(other not in found for other in expected) - 1} more)"
        if found[name] != shape:
            return f"its {name} has the shape {found[name]}, expected {shape}"
    extra = [name for name in found if name not in expected]
    return f"it also has {extra[0]} (and {len(extra) - 1} more), which the network does not know" if extra else None
