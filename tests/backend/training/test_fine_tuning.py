"""Fine-tuning improves or refuses: nothing is written that is no better on held-out images, unless it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from backend.commands.train import command
from backend.errors import ModelError, UsageError
from backend.segmenters import catalogue, registry
from backend.segmenters.weight_files import write_weights
from backend.training.fine_tuning import expect_better, weights_to_start_from
from backend.training.verdict import Verdict
from converters.scene import make_scene

WORDS = ["--recipe", "fine_tune", "--batch", "4", "--precision", "fp32", "--threads", "1", "--validation-objects", "2"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten procedural scenes of 160 px with their class rasters."""
    folder = tmp_path_factory.mktemp("scenes")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for seed in range(10):
        scene = make_scene(160, seed)
        Image.fromarray(scene.image[..., :3]).save(folder / "images" / f"survey {seed}.png")
        Image.fromarray(scene.classes.astype(np.uint8)).save(folder / "labels" / f"survey {seed}.png")
    found = sorted({int(value) for seed in range(10) for value in np.unique(make_scene(160, seed).classes)})
    (folder / "classes.json").write_text(json.dumps({"classes": {f"class {value}": value for value in found if value}, "background": [0]}))
    return folder


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    entry = catalogue.entry("vitclick_tiny")
    net = registry.build(entry.family, entry.architecture)
    write_weights(path, net.state_dict(), family=entry.family, architecture=entry.architecture, recipes=entry.recipes, licence="Apache-2.0")
    return path


def test_weights_that_are_no_better_are_not_written_and_the_same_command_with_force_writes_them(
    scenes: Path, untrained: Path, tmp_path: Path
) -> None:
    """One step cannot help; the run is not trained again for --force."""
    out = tmp_path / "tuned.safetensors"
    words = ["--from", str(untrained), "--model", "vitclick_tiny", "--data", str(scenes), *WORDS, "--steps", "1", "--out", str(out)]
    refused = CliRunner().invoke(command, words)
    assert isinstance(refused.exception, ModelError)
    assert "is not written, the new weights are no better beyond chance" in str(refused.exception)
    assert "--force" in str(refused.exception)
    assert not out.exists() and not out.with_suffix(".json").exists()
    log = (tmp_path / "tuned.run" / "log.jsonl").read_bytes()
    forced = CliRunner().invoke(command, [*words, "--force"])
    assert forced.exit_code == 0, forced.output
    assert (tmp_path / "tuned.run" / "log.jsonl").read_bytes() == log
    about = json.loads(out.with_suffix(".json").read_text())
    assert about["written"] == "by --force" and about["started_from"] == "untrained.safetensors"
    assert about["held out"]["objects"] > 0 and about["held out"]["images"] > 0
    assert registry.load(str(out)).name == "tuned"


def test_better_weights_pass_and_worse_ones_name_the_numbers(tmp_path: Path) -> None:
    expect_better(Verdict(30, 9, 6.5, 5.2, (-1.8, -0.6)), force=False, out=tmp_path / "w")
    with pytest.raises(ModelError, match=r"30 held-out objects of 9 images: 6\.50 clicks before, 6\.40 after, -0\.10"):
        expect_better(Verdict(30, 9, 6.5, 6.4, (-0.8, 0.6)), force=False, out=tmp_path / "w")
    expect_better(Verdict(30, 9, 6.5, 7.5, (0.5, 1.6)), force=True, out=tmp_path / "w")


def test_from_takes_a_name_or_a_file(untrained: Path, tmp_path: Path) -> None:
    assert weights_to_start_from(str(untrained)) == (untrained, None)
    default = catalogue.entry("default")
    assert weights_to_start_from("default") == (default.file, default.name)
    with pytest.raises(UsageError, match="no such weight file and no model of that name"):
        weights_to_start_from(str(tmp_path / "missing.safetensors"))
    with pytest.raises(ModelError, match="are not here"):
        weights_to_start_from("vitclick_tiny")


def test_labels_of_one_set_are_refused_for_two(scenes: Path, tmp_path: Path) -> None:
    words = [
        "--data",
        str(scenes),
        "--data",
        str(scenes),
        "--labels",
        str(scenes / "classes.json"),
        "--out",
        str(tmp_path / "w.safetensors"),
    ]
    with pytest.raises(UsageError, match="belongs to one --data, and 2 are given"):
        CliRunner().invoke(command, words, catch_exceptions=False)
