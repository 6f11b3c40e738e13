"""A small labelled set for the tests of bench."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two 96 x 96 images: bright roofs, red cars and a green field on grey ground, a little noise."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.json").write_text(json.dumps({"classes": {"roof": 1, "car": 2, "field": 3}, "ignore": [9]}))
    colours = np.array([(110, 110, 110), (220, 210, 200), (200, 30, 40), (40, 160, 50)], np.float64)
    for number, name in enumerate(("one.png", "two.png")):
        label = np.zeros((96, 96), np.uint8)
        label[10:30, 12 + number * 20 : 45 + number * 20] = 1
        label[50:56, 20:32] = label[70:76, 20:32] = 2
        label[45:90, 50:90] = 3
        image = colours[label] + np.random.default_rng(number).normal(0, 6, (96, 96, 3))
        label[0:4] = 9
        cv2.imwrite(str(folder / "images" / name), np.clip(image, 0, 255).astype(np.uint8)[:, :, ::-1])
        cv2.imwrite(str(folder / "labels" / name), label)
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Miniature networks on a busy machine wait for their second thread more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
