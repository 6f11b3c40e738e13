"""Which images, bands and patches a benchmark's models are given."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from backend.commands.bench import command
from backend.errors import UsageError
from backend.evaluation import models as bench_models
from backend.evaluation.data_source import Source, channels, default_patch
from backend.inference.segmenter import State
from converters.errors import TaskError
from converters.frames import Box, Click

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "converters"))

import isprs_trees


class Watcher:
    """Remembers the mean of every channel of what it is given, and its size; answers nothing."""

    name = version = "watcher"
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"), ("IR", "R", "G"))
    threshold = 0.5
    takes_boxes = False

    def __init__(self) -> None:
        self.given: list[tuple[int, ...]] = []
        self.sizes: list[tuple[int, ...]] = []

    def encode(self, image: np.ndarray) -> np.ndarray:
        self.given.append(tuple(round(mean / 20) * 20 for mean in image.mean(axis=(0, 1))))
        self.sizes.append(image.shape[:2])
        return image

    def start(self, encoding: np.ndarray, initial_mask: np.ndarray | None = None, box: Box | None = None) -> State:
        return State(np.zeros(encoding.shape[:2], np.float32))

    def step(self, encoding: np.ndarray, clicks: Sequence[Click], state: State) -> State:
        return state


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Watcher:
    found = Watcher()
    monkeypatch.setitem(bench_models.BASELINES, "watcher", lambda: found)
    return found


def bench(*arguments: object):
    return CliRunner().invoke(command, [*map(str, arguments), "--limit", "1", "--stop-early"], catch_exceptions=False)


@pytest.fixture
def potsdam(tmp_path: Path) -> Path:
    """One tile of Potsdam whose channels have the means 100 (R), 120 (G), 140 (B) and 160 (IR)."""
    return isprs_trees.potsdam(tmp_path / "Potsdam", products=("RGBIR",))


def test_several_choices_of_bands_are_measured_in_one_run_each_in_the_order_asked_for(
    potsdam: Path, watcher: Watcher, tmp_path: Path
) -> None:
    bench("--data", potsdam, "--model", "watcher", "--bands", "RGB", "--bands", "IRRG", "--bands", "RGIR", "--json", tmp_path / "out.json")
    assert watcher.given == [(100, 120, 140), (160, 100, 120), (100, 120, 160)]
    document = json.loads((tmp_path / "out.json").read_text())
    assert list(document["models"]) == ["watcher [RGB]", "watcher [IRRG]", "watcher [RGIR]"]
    assert [numbers["bands"] for numbers in document["models"].values()] == ["RGB", "IRRG", "RGIR"]
    assert document["settings"]["patch"] == 600
    assert len(document["manifest"]) == 3


def test_without_bands_a_model_chooses_among_those_there_are(potsdam: Path, watcher: Watcher) -> None:
    watcher.recipes = (("IR", "R", "G"), ("R", "G", "B"))
    bench("--data", potsdam, "--model", "watcher")
    assert watcher.given == [(160, 100, 120)]


def test_a_choice_of_more_bands_than_the_model_takes_is_refused_before_anything_is_measured(potsdam: Path, watcher: Watcher) -> None:
    with pytest.raises(UsageError, match="takes 3 bands, --bands RGBIR has 4"):
        bench("--data", potsdam, "--model", "watcher", "--bands", "RGB", "--bands", "RGBIR")
    assert watcher.given == []


def test_patches_are_the_study_s_unless_asked_otherwise(potsdam: Path, watcher: Watcher, data: Path) -> None:
    assert default_patch(Source(potsdam).open()) == 600
    assert default_patch(Source(data).open()) is None
    bench("--data", potsdam, "--model", "watcher", "--patch", 100)
    bench("--data", potsdam, "--model", "watcher", "--patch", 0)
    assert watcher.sizes[1] == (isprs_trees.SIDE, isprs_trees.SIDE)
    assert max(watcher.sizes[0]) <= 100
    with pytest.raises(UsageError, match="--patch is 5 px"):
        bench("--data", potsdam, "--model", "watcher", "--patch", 5)


def test_a_named_split_of_isprs_data_asks_for_its_tiles(potsdam: Path) -> None:
    with pytest.raises(TaskError, match="study-test"):
        Source(potsdam, split="study-test").open()


def test_unnamed_channels_are_what_the_user_says_they_are(data: Path) -> None:
    stated = Source(data).open(("IR", "R", "G")).images[0]
    assert not Source(data).chooses(("IR", "R", "G"))
    assert channels(stated, (("R", "G"), ("IR", "R")), chosen=False) == (1, 2)
    assert Source(data).chooses(("B", "G", "R"))
