"""The mean of weight files: its numbers, its header, and what does not belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from backend.commands.weights import command
from backend.errors import ModelError, UsageError
from backend.segmenters.weight_files import write_weights
from backend.segmenters.weight_headers import read_metadata
from backend.segmenters.weight_mean import write_mean


def written(path: Path, value: float, *, shape: tuple[int, ...] = (2, 3), seen: int = 1, **about: object) -> Path:
    tensors = {"weight": torch.full(shape, value), "seen": torch.tensor(seen)}
    named = {"family": "ritm", "architecture": "tiny", "licence": "Apache-2.0"} | about
    write_weights(path, tensors, **named)  # type: ignore[arg-type]
    return path


def test_floats_are_averaged_and_whole_numbers_and_the_header_are_the_last_files(tmp_path: Path) -> None:
    files = [
        written(tmp_path / "a.safetensors", 1.0, seed=1),
        written(tmp_path / "b.safetensors", 2.0),
        written(tmp_path / "c.safetensors", 6.0, seen=7, seed=3),
    ]
    before = [file.read_bytes() for file in files]
    done = CliRunner().invoke(command, ["mean", *map(str, files), "--out", str(tmp_path / "mean.safetensors")], catch_exceptions=False)
    assert done.exit_code == 0 and "the mean of 3 weight files" in done.stdout
    mean = load_file(tmp_path / "mean.safetensors")
    torch.testing.assert_close(mean["weight"], torch.full((2, 3), 3.0, dtype=torch.float16))
    assert int(mean["seen"]) == 7 and mean["seen"].dtype == torch.int64
    assert read_metadata(tmp_path / "mean.safetensors") == read_metadata(files[-1])
    assert [file.read_bytes() for file in files] == before


def test_the_mean_is_taken_in_float32(tmp_path: Path) -> None:
    files = [written(tmp_path / f"{number}.safetensors", 60000.0) for number in range(2)]
    write_mean(files, tmp_path / "mean.safetensors")
    assert torch.isfinite(load_file(tmp_path / "mean.safetensors")["weight"]).all()  # their sum is none in float16


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"architecture": "hrnet18s"}, "differ in their architecture .*tiny.*hrnet18s"),
        ({"licence": "CC BY-NC 4.0"}, "differ in their licence"),
        ({"shape": (3, 2)}, "different networks: its weight has the shape"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path: Path, other: dict[str, object], said: str) -> None:
    files = [written(tmp_path / "a.safetensors", 1.0), written(tmp_path / "b.safetensors", 1.0, **other)]  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=said):
        write_mean(files, tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_one_file_is_no_mean_and_the_name_must_be_a_weight_files(tmp_path: Path) -> None:
    file = written(tmp_path / "a.safetensors", 1.0)
    with pytest.raises(UsageError, match="at least two"):
        write_mean([file], tmp_path / "mean.safetensors")
    with pytest.raises(UsageError, match=r"does not end in \.safetensors"):
        CliRunner().invoke(command, ["mean", str(file), str(file), "--out", str(tmp_path / "mean.pt")], catch_exceptions=False)
