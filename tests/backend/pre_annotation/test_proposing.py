"""A chip becomes proposals."""

from __future__ import annotations

import numpy as np
import pytest
from disks import FindsWhatIsThere, bright_or_dark, picture, truth
from fakes import FakeSegmenter

from backend.pre_annotation.candidates import candidates
from backend.pre_annotation.features import APPEARANCE, Described, Describes
from backend.pre_annotation.proposal import ProposeSettings
from backend.pre_annotation.proposing import describe, propose
from backend.pre_annotation.seeds import grid
from converters.frames import Size

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = ProposeSettings(spacing=32, most_seeds=60)


def proposed(segmenter, pixels, classes=("building",), settings=SETTINGS):
    encoding = segmenter.encode(pixels)
    return propose(segmenter, encoding, describe(segmenter, encoding, pixels), bright_or_dark(), classes, settings)


def test_every_object_is_found_once_with_its_class_and_nothing_else() -> None:
    pixels = picture()
    found = proposed(FindsWhatIsThere(), pixels)
    wanted = truth(pixels)
    assert len(found) == len(wanted)
    for place in wanted:
        assert max(one.place.iou(place) for one in found) == 1
    assert {one.label for one in found} == {"building"}
    assert all(0.5 < one.score <= 1 for one in found)


def test_one_encode_and_no_click_inside_what_is_sure() -> None:
    segmenter = FindsWhatIsThere()
    proposed(segmenter, picture())
    assert segmenter.encodes == 1
    # Three disks and the ground: a seed each, and each clicked once more at its own middle.
    assert len(segmenter.steps) < 2 * 60 / 2


def test_two_runs_propose_the_same() -> None:
    first, second = (proposed(FakeSegmenter(), picture()) for _ in range(2))
    assert [(one.label, one.score, one.place.box) for one in first] == [(one.label, one.score, one.place.box) for one in second]


def test_the_threshold_decides_and_scores_come_best_first() -> None:
    pixels = picture()
    everything = proposed(FindsWhatIsThere(), pixels, settings=ProposeSettings(spacing=32, min_score=0.0))
    scores = [one.score for one in everything]
    assert scores == sorted(scores, reverse=True)
    assert len(everything) == 4  # the ground too, as the building that it hardly is
    assert scores[3] < 0.25 < scores[2]
    assert len(proposed(FindsWhatIsThere(), pixels)) == 3


def test_classes_that_the_classifier_does_not_know_give_nothing() -> None:
    assert proposed(FindsWhatIsThere(), picture(), classes=("solar panel",)) == ()


def test_no_more_seeds_than_allowed_are_clicked() -> None:
    segmenter = FakeSegmenter(radius=6)
    pixels = picture()
    candidates(segmenter, segmenter.encode(pixels), grid(Size(256, 256), 16), Size(256, 256), most=7, min_area=30)
    starts = {clicks[0] for clicks in segmenter.steps}
    assert len(starts) <= 7 * 4


def test_small_masks_are_noise() -> None:
    segmenter = FakeSegmenter(radius=2)
    pixels = picture()
    assert candidates(segmenter, segmenter.encode(pixels), [(50, 50)], Size(256, 256), most=5, min_area=30) == []


def test_the_device_is_taken_for_a_few_passes_at_a_time() -> None:
    from backend.device_lock import DeviceLock

    lock = DeviceLock()
    segmenter = FakeSegmenter()
    pixels = picture()
    held: list[int] = []

    class Counting:
        def __enter__(self) -> None:
            self._ahead = lock.ahead()
            self._ahead.__enter__()
            held.append(len(segmenter.steps))

        def __exit__(self, *args: object) -> None:
            held[-1] = len(segmenter.steps) - held[-1]
            self._ahead.__exit__(None, None, None)

    candidates(segmenter, segmenter.encode(pixels), grid(Size(256, 256), 32), Size(256, 256), most=20, min_area=30, device=Counting)
    assert sum(held) == len(segmenter.steps)
    assert 1 <= max(held) <= 4


def test_features_of_the_model_are_pooled_over_the_object() -> None:
    pixels = picture()
    grid_of_rows = np.repeat(np.arange(16, dtype=np.float32)[:, None], 16, axis=1)
    described = Described(pixels, np.stack([np.ones((16, 16), np.float32), grid_of_rows]))
    place = truth(pixels)[0]
    features = described.of(place)
    assert len(features) == 2 + 1 + APPEARANCE
    assert features[0] == pytest.approx(1) and features[2] == pytest.approx(described.of(place)[2])
    rows = np.flatnonzero(place.mask.any(axis=1))
    assert features[1] == pytest.approx(rows.mean() / 16, abs=0.6)
    cells = described.of_cells()
    assert cells is not None and cells.shape == (256, 2 + 1 + APPEARANCE)


def test_the_default_network_describes_a_chip_cell_by_cell() -> None:
    from backend.segmenters import registry

    segmenter = registry.load("vitclick_tiny")
    assert isinstance(segmenter.net, Describes)
    pixels = np.random.default_rng(0).integers(0, 255, (320, 500, 3), dtype=np.uint8)
    described = describe(segmenter, segmenter.encode(pixels), pixels)
    assert described.kind == "body" and described.grid is not None
    assert described.grid.shape[1:] == (48, 48)
    assert np.isfinite(described.grid).all()
