"""The loop on a small synthetic set: it learns, it resumes, it holds images out, its result is a segmenter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from backend.commands.train import _source, command
from backend.errors import ModelError, UsageError
from backend.segmenters import registry
from backend.segmenters.vitclick import VitClick
from backend.training.episode import EpisodeSettings
from backend.training.episode_training import EpisodeTraining
from backend.training.loop import Run, schedule, train, validate
from backend.training.objects import Pool, PooledObject, Source, is_held_out, load_pools
from backend.training.recipes import Recipe, recipe
from backend.training.start import starting_network, write_result

EPISODES = EpisodeSettings(input_size=56, min_crop=24)
SMALL = Recipe("small", EPISODES, replace(recipe("scratch").optimisation, batch=4, steps=60, warmup=5), min_area=40)


def run_of(folder: Path, steps: int = SMALL.optimisation.steps, validate_every: int = 1000, name: str = "small") -> Run:
    chosen = replace(SMALL, name=name, optimisation=replace(SMALL.optimisation, steps=steps))
    return Run(folder, chosen, EpisodeTraining(EPISODES), 0, "cpu", validate_every)


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


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_a_short_run_learns_and_its_weights_answer_clicks(squares: Path, tmp_path: Path) -> None:
    pools = load_pools([Source(squares)], min_area=SMALL.min_area)
    net, pretrained = starting_network("vitclick_tiny", start_from=None, init=None, seed=0)
    assert pretrained == frozenset()
    run = run_of(tmp_path / "run")
    weights, scores = train(net, pretrained, pools, run)
    history = losses(run.folder)
    assert len(history) == SMALL.optimisation.steps
    assert np.mean(history[-10:]) < 0.7 * np.mean(history[:10])
    assert scores["miou@5"] > 0.5
    write_result(tmp_path / "w.safetensors", "vitclick_tiny", weights, {"seed": 0})
    segmenter = registry.load(str(tmp_path / "w.safetensors"))
    assert segmenter.name == "w"
    assert json.loads((tmp_path / "w.json").read_text()) == {"seed": 0}


def test_an_interrupted_run_goes_on_where_its_checkpoint_was(squares: Path, tmp_path: Path) -> None:
    pools = load_pools([Source(squares)], min_area=SMALL.min_area)
    folder = tmp_path / "run"
    for steps in (3, 7):  # the first run ends after 3 steps; the second finds its checkpoint
        net, pretrained = starting_network("vitclick_tiny", start_from=None, init=None, seed=0)
        train(net, pretrained, pools, run_of(folder, steps))
    steps_done = [row["step"] for row in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "loss" in row]
    assert steps_done == list(range(7))
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["step"] == 7
    with pytest.raises(ModelError, match="recipe"):
        net, _ = starting_network("vitclick_tiny", start_from=None, init=None, seed=0)
        train(net, frozenset(), pools, run_of(folder, name="other"))


def test_a_checkpoint_of_another_architecture_is_refused(squares: Path, tmp_path: Path) -> None:
    pools = load_pools([Source(squares)], min_area=SMALL.min_area)
    run = run_of(tmp_path / "run", 1)
    train(starting_network("vitclick_tiny", start_from=None, init=None, seed=0)[0], frozenset(), pools, run)
    other = VitClick(width=96, depth=2, heads=2, taps=(1, 2), grid=8)
    with pytest.raises(ModelError, match="another architecture"):
        train(other, frozenset(), pools, run)


def test_labels_that_can_never_be_clicked_end_the_run(tmp_path: Path) -> None:
    everything = PooledObject(0, "all", (0, 0, 64, 64), np.ones((64, 64), np.int8))
    pool = Pool((np.zeros((64, 64, 3), np.uint8),), (everything,), np.ones(1))
    run = run_of(tmp_path / "run", validate_every=1)
    net, _ = starting_network("vitclick_tiny", start_from=None, init=None, seed=0)
    assert validate(net, pool, run) == {}
    with pytest.raises(UsageError, match="check the labels"):
        train(net, frozenset(), (pool, pool), run)


def test_a_share_is_a_positive_number_after_the_last_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "a=2").mkdir()
    assert _source(str(tmp_path / "a=2")) == (tmp_path / "a=2", 1.0)
    assert _source(f"{tmp_path / 'a=2'}=0.5") == (tmp_path / "a=2", 0.5)
    for weight in ("x", "0", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match="no weight"):
            _source(f"set={weight}")


def test_validation_images_are_held_out_whole_and_by_name(squares: Path) -> None:
    training, validation = load_pools([Source(squares)], min_area=SMALL.min_area)
    held_out = [f"tile_{number:02d}.png" for number in range(24) if is_held_out(f"tile_{number:02d}.png")]
    assert 0 < len(held_out) < 12
    assert len({item.image for item in validation.objects}) == len(held_out)
    assert not {item.image for item in validation.objects} & {item.image for item in training.objects}


def test_sources_share_the_draws_by_their_weights(squares: Path) -> None:
    training, _ = load_pools([Source(squares, 3.0), Source(squares, 1.0)], min_area=SMALL.min_area)
    half = len(training.objects) // 2
    assert training.probabilities[:half].sum() == pytest.approx(0.75)
    assert training.probabilities.sum() == pytest.approx(1.0)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    shape = replace(recipe("aerial").optimisation, steps=100, warmup=10, decay_share=0.2)
    assert schedule(0, shape) == pytest.approx(0.1)
    assert schedule(50, shape) == 1.0
    assert schedule(90, shape) == pytest.approx(0.5)
    assert schedule(99, shape) == pytest.approx(0.05)


def test_unusable_input_is_named(squares: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no object"):
        load_pools([Source(squares)], min_area=10**6)
    with pytest.raises(UsageError, match="one of"):
        recipe("unheard-of")
    runner = CliRunner()
    wrong = runner.invoke(command, ["--data", str(squares), "--out", str(tmp_path / "w.pth")])
    assert isinstance(wrong.exception, UsageError) and ".safetensors" in str(wrong.exception)


def test_the_command_trains_and_prints_its_card(squares: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    words = ["--data", str(squares), "--model", "vitclick_tiny", "--recipe", "scratch", "--steps", "2", "--batch", "2"]
    result = CliRunner().invoke(command, [*words, "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    about = json.loads(result.stdout)
    assert about["model"] == "vitclick_tiny" and about["recipe"]["optimisation"]["steps"] == 2 and about["validation"].keys() >= {"miou@1"}
    assert out.is_file() and out.with_suffix(".json").is_file()
