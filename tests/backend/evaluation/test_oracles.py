"""The whole benchmark against segmenters whose score is computed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from backend.commands.bench import command
from backend.evaluation import models as bench_models
from backend.inference.segmenter import State
from converters.frames import Box, Click

SHAPES = ((10, 10), (20, 20), (40, 10), (60, 60))  # height, width


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images with an object of every shape, in which each object has a grey value of its own."""
    folder = tmp_path / "set"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.json").write_text(json.dumps({"classes": {"roof": 1, "yard": 2}}))
    for name in ("a.png", "b.png"):
        image, label = np.zeros((80, 200, 3), np.uint8), np.zeros((80, 200), np.uint8)
        left = 5
        for number, (height, width) in enumerate(SHAPES):
            image[8 : 8 + height, left : left + width] = 50 * (number + 1)
            label[8 : 8 + height, left : left + width] = 1 + number % 2
            left += width + 8
        cv2.imwrite(str(folder / "images" / name), image)
        cv2.imwrite(str(folder / "labels" / name), label)
    return folder


class Oracle:
    """Knows the object by the grey value under the first click; `moved` px too far to the right, `blind`: sees nothing."""

    name = version = "oracle"
    recipes: tuple[tuple[str, ...], ...] = (("R", "G", "B"),)
    threshold = 0.5
    takes_boxes = False

    def __init__(self, moved: int = 0, *, blind: bool = False) -> None:
        self.moved, self.blind = moved, blind

    def encode(self, image: np.ndarray) -> np.ndarray:
        return image[:, :, 0]

    def start(self, encoding: np.ndarray, initial_mask: np.ndarray | None = None, box: Box | None = None) -> State:
        return State(np.zeros(encoding.shape, np.float32))

    def step(self, encoding: np.ndarray, clicks: Sequence[Click], state: State) -> State:
        seen = encoding == encoding[int(clicks[0].row), int(clicks[0].col)]
        return State((np.roll(seen, self.moved, axis=1) & (not self.blind)).astype(np.float32))


def measured(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oracle: Oracle) -> dict:
    monkeypatch.setitem(bench_models.BASELINES, "oracle", lambda: oracle)
    out = tmp_path / "out.json"
    CliRunner().invoke(command, ["--data", str(data), "--model", "oracle", "--json", str(out)], catch_exceptions=False)
    return json.loads(out.read_text())["models"]["oracle"]


def test_a_perfect_segmenter_needs_one_click_for_everything(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = measured(data, tmp_path, monkeypatch, Oracle())
    assert numbers["objects"] == 8
    assert numbers["noc"] == {"80": 1, "85": 1, "90": 1, "95": 1}
    assert set(numbers["over20"].values()) == {0}
    assert numbers["miou"] == [1.0] * 20
    assert numbers["interval"]["noc"]["95"] == [1, 1]
    assert numbers["iou_histogram"]["2"] == [0] * 19 + [1]


def test_an_empty_segmenter_needs_all_twenty_clicks_for_everything(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = measured(data, tmp_path, monkeypatch, Oracle(blind=True))
    assert numbers["noc"] == {"80": 20, "85": 20, "90": 20, "95": 20}
    assert set(numbers["over20"].values()) == {1}
    assert numbers["miou"] == [0.0] * 20
    assert numbers["iou_histogram"]["5"] == [1] + [0] * 19


def test_masks_one_pixel_off_get_what_is_computed_by_hand(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # h x w moved right by one: h (w - 1) pixels shared of h (w + 1). 9/11 = 0.818, 19/21 = 0.905, 9/11, 59/61 = 0.967.
    ious = [(width - 1) / (width + 1) for _, width in SHAPES]
    numbers = measured(data, tmp_path, monkeypatch, Oracle(moved=1))
    assert numbers["noc"] == {"80": 1, "85": (20 + 1 + 20 + 1) / 4, "90": (20 + 1 + 20 + 1) / 4, "95": (20 + 20 + 20 + 1) / 4}
    assert numbers["over20"] == {"80": 0, "85": 0.5, "90": 0.5, "95": 0.75}
    assert numbers["miou"] == pytest.approx([sum(ious) / 4] * 20)
    assert numbers["by_class"]["roof"]["noc"]["90"] == 20  # 10 px wide, both
    assert numbers["by_class"]["yard"]["noc"] == {"80": 1, "85": 1, "90": 1, "95": 10.5}
    histogram = numbers["iou_histogram"]["5"]
    assert {place: share for place, share in enumerate(histogram) if share} == {16: 0.5, 18: 0.25, 19: 0.25}
