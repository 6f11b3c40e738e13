"""A picture of bright disks on a dark ground, a segmenter that finds them exactly, and a classifier that tells bright from dark."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from fakes import FakeEncoding, FakeSegmenter

from backend.inference.segmenter import State
from backend.pre_annotation.class_samples import LabelledRegion
from backend.pre_annotation.classifier import NOTHING, Classifier
from backend.pre_annotation.features import APPEARANCE, Described
from backend.pre_annotation.fitting import Samples, train
from backend.pre_annotation.mask_place import MaskPlace
from converters.frames import Click

DISKS = ((60, 60, 30), (60, 190, 20), (180, 100, 40))
"""(row, col, radius) in px of a chip of 256 px."""
SIDE = 256


def picture(disks: Sequence[tuple[int, int, int]] = DISKS, side: int = SIDE) -> np.ndarray:
    pixels = np.full((side, side, 3), 40, np.uint8)
    for row, col, radius in disks:
        cv2.circle(pixels, (col, row), radius, (220, 210, 200), -1)
    return pixels


def truth(pixels: np.ndarray) -> list[MaskPlace]:
    count, parts = cv2.connectedComponents((pixels[:, :, 0] > 128).astype(np.uint8), connectivity=8)
    return [place for number in range(1, count) if (place := MaskPlace.of(parts == number)) is not None]


class FindsWhatIsThere(FakeSegmenter):
    """Answers a click with the part of equal brightness under it: the disk, or the ground."""

    def step(self, encoding: FakeEncoding, clicks: Sequence[Click], state: State) -> State:
        self.steps.append(tuple(clicks))
        bright = encoding.image[:, :, 0] > 128
        row, col = int(clicks[-1].row), int(clicks[-1].col)
        _, parts = cv2.connectedComponents((bright == bright[row, col]).astype(np.uint8), connectivity=8)
        probability = np.where(parts == parts[row, col], np.float32(0.95), np.float32(0.02))
        return State(probability, memory=())


def bright_or_dark(*, name: str = "building", shipped: bool = True) -> Classifier:
    """Tells disks from ground by their look alone; trained on pictures other than `picture()`."""
    rng = np.random.default_rng(3)
    features, labels = [], []
    for _ in range(60):
        disk = (int(rng.integers(60, 190)), int(rng.integers(60, 190)), int(rng.integers(10, 50)))
        pixels = picture((disk,))
        described = Described(pixels, None)
        for bright in (True, False):
            place = MaskPlace.of((pixels[:, :, 0] > 128) == bright)
            assert place is not None
            features.append(described.of(place))
            labels.append(name if bright else NOTHING)
    samples = Samples(np.stack(features), tuple(labels), ("one",) * len(labels))
    assert samples.features.shape[1] == APPEARANCE
    return train(samples, kind="appearance", weights_of="fake@test", appearance=0, steps=200, shipped=shipped)


def regions(pixels: np.ndarray, name: str) -> list[LabelledRegion]:
    return [LabelledRegion(place, name) for place in truth(pixels)]
