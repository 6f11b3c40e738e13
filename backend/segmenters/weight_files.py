"""Weight files: safetensors that name their own architecture, written whole or not at all, loaded strictly.

The header's metadata has one key, `rsiseg`, a JSON object: `family` and `architecture` always; `recipes`, `input_size`, `threshold`,
`zoom_in`, `flip`, `licence`, `source` where they differ from the registry's entry of that architecture. Anything else in it (data, seed,
recipe of the training) is kept and not read here.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.errors import ModelError

METADATA_KEY = "rsiseg"


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, family: str, architecture: str, half: bool = True, **about: Any) -> None:
    """Write a state dict to `path` through a temporary file beside it.

    half: floating tensors as float16 (a network computes in float32 all the same); whole numbers stay what they are.
    about: further entries of the metadata object, JSON values.
    """
    stored = {
        name: tensor.detach().cpu().to(torch.float16 if half and tensor.is_floating_point() else tensor.dtype).contiguous().clone()
        for name, tensor in tensors.items()
    }
    metadata = {METADATA_KEY: json.dumps({"family": family, "architecture": architecture, **about}, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file(stored, temporary, metadata=metadata)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata object of a weight file; raises ModelError where the file is missing, damaged, or does not say what it is."""
    with _open(path) as file:
        text = (file.metadata() or {}).get(METADATA_KEY)
    try:
        about = json.loads(text or "null")
    except json.JSONDecodeError:
        about = None
    if not isinstance(about, dict) or not isinstance(about.get("family"), str) or not isinstance(about.get("architecture"), str):
        raise ModelError(
            f"{path} does not say which network it belongs to; expected the metadata `{METADATA_KEY}` with family and architecture, "
            f"as `rsiseg train` writes it; train or convert it again"
        )
    return about


def load_weights(net: nn.Module, path: Path) -> None:
    """Fill `net` from a weight file, every tensor of either side exactly once. Raises ModelError and names the first difference."""
    with _open(path) as file:
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


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"there is no weight file {path}; expected a .safetensors file; check the path, or train or convert one")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error}); copy or download it again") from error
