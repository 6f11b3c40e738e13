"""`rsiseg train`: from labelled images to a weight file, its card, its run folder; killed in the middle it loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from backend.commands.train import _source, command
from backend.errors import ModelError, UsageError
from backend.segmenters import registry
from backend.training.objects import Source, load_pools
from backend.training.recipes import recipe

SMALL = ["--model", "vitclick_tiny", "--recipe", "scratch", "--precision", "fp32", "--threads", "1", "--validation-objects", "2"]


@pytest.fixture(scope="module", autouse=True)
def same_threads() -> Iterator[None]:
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(opencv)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright rectangles on a dark, noisy ground: 24 images of 96 px with their label raster."""
    folder = tmp_path_factory.mktemp("squares")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    rng = np.random.default_rng(3)
    for number in range(24):
        image = rng.integers(20, 70, (96, 96, 3), dtype=np.uint8)
        label = np.zeros((96, 96), np.uint8)
        row, col = rng.integers(8, 40, 2)
        high, wide = rng.integers(20, 44, 2)
        image[row : row + high, col : col + wide] += 150
        label[row : row + high, col : col + wide] = 1
        cv2.imwrite(str(folder / "images" / f"tile_{number:02d}.png"), image)
        cv2.imwrite(str(folder / "labels" / f"tile_{number:02d}.png"), label)
    (folder / "classes.json").write_text(json.dumps({"classes": {"roof": 1}, "ignore": [], "background": [0]}))
    return folder


def steps(folder: Path) -> list[int]:
    log = folder / "log.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [row["step"] for row in map(json.loads, lines) if "loss" in row]


def test_a_run_leaves_weights_that_answer_a_card_and_a_folder(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    words = ["--data", str(squares), *SMALL, "--steps", "3", "--batch", "2", "--validate-every", "2", "--out", str(out), "--json"]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    about = json.loads(result.stdout)
    assert json.loads(out.with_suffix(".json").read_text()) == about
    assert about["model"] == "vitclick_tiny" and about["recipe"]["optimisation"]["steps"] == 3 and about["seed"] == 0
    assert about["validation"].keys() >= {"noc80", "noc90", "miou@1", "miou@5", "step"}
    assert about["code"].keys() == {"version", "commit"}
    assert registry.load(str(out)).name == "w"
    run = tmp_path / "w.run"
    assert registry.load(str(run / "best.safetensors")).name == "best"
    assert steps(run) == [0, 1, 2]
    assert (run / "examples" / "step_00002.png").is_file() and "step_00003.png" in (run / "examples" / "index.html").read_text()
    other = CliRunner().invoke(command, [*words[:-1], "--recipe", "aerial"])
    assert isinstance(other.exception, ModelError) and 'its recipe is "scratch", now "aerial" is asked for' in str(other.exception)


def test_killed_in_the_middle_and_started_again_it_loses_nothing(squares: Path, tmp_path: Path) -> None:
    """kill -9 after a checkpoint: the log of both processes together is that of a run which nobody killed, byte for byte."""
    words = ["--data", str(squares), *SMALL, "--steps", "30", "--batch", "2", "--validate-every", "10"]
    killed, whole = ([*words, "--out", str(tmp_path / name / "w.safetensors")] for name in ("killed", "whole"))
    folder = tmp_path / "killed" / "w.run"
    process = subprocess.Popen([sys.executable, "-m", "backend.cli", "train", *killed], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (folder / "checkpoint.pt").exists() or len(steps(folder)) < 13:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    reached = len(steps(folder))
    assert 13 <= reached < 30 and not (tmp_path / "killed" / "w.safetensors").exists()
    for each in (killed, whole):
        result = CliRunner().invoke(command, each)
        assert result.exit_code == 0, result.output
    assert steps(folder) == list(range(30))
    assert (folder / "log.jsonl").read_bytes() == (tmp_path / "whole" / "w.run" / "log.jsonl").read_bytes()
    assert (tmp_path / "killed" / "w.safetensors").read_bytes() == (tmp_path / "whole" / "w.safetensors").read_bytes()


def test_ctrl_c_says_how_to_go_on(squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.training.episode_training import EpisodeTraining

    learned = EpisodeTraining.loss

    def interrupted(*arguments: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return learned(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(EpisodeTraining, "loss", interrupted)
    words = ["--data", str(squares), *SMALL, "--steps", "9", "--batch", "2", "--out", str(tmp_path / "w.safetensors")]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 130
    assert "stopped after step 1 of 9" in result.stderr and "the same command goes on" in result.stderr
    assert (tmp_path / "w.run" / "checkpoint.pt").is_file() and not (tmp_path / "w.safetensors").exists()


def test_a_share_is_a_positive_number_after_the_last_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "a=2").mkdir()
    assert _source(str(tmp_path / "a=2")) == (tmp_path / "a=2", 1.0)
    assert _source(f"{tmp_path / 'a=2'}=0.5") == (tmp_path / "a=2", 0.5)
    for weight in ("x", "0", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match="no weight"):
            _source(f"set={weight}")


def test_sources_share_the_draws_by_their_weights(squares: Path) -> None:
    training, _ = load_pools([Source(squares, 3.0), Source(squares, 1.0)], min_area=40)
    half = len(training.objects) // 2
    assert training.probabilities[:half].sum() == pytest.approx(0.75)
    assert training.probabilities.sum() == pytest.approx(1.0)


def test_unusable_input_is_named(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no object"):
        load_pools([Source(squares)], min_area=10**6)
    with pytest.raises(UsageError, match="one of"):
        recipe("unheard-of")
    for words, message in (
        (["--out", str(tmp_path / "w.pth")], ".safetensors"),
        (
            ["--out", str(tmp_path / "w.safetensors"), *SMALL, "--batch", "3", "--devices", "2"],
            "a batch of 3 cannot be shared by 2 devices",
        ),
        (["--out", str(tmp_path / "w.safetensors"), *SMALL, "--device", "cpu:1", "--devices", "2"], "names one device and --devices asks"),
    ):
        wrong = CliRunner().invoke(command, ["--data", str(squares), *words])
        assert isinstance(wrong.exception, UsageError) and message in str(wrong.exception)
