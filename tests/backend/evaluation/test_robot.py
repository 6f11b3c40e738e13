"""The robot annotator against segmenters whose score is known by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.evaluation.noc import clicks_needed
from backend.evaluation.robot import annotate, annotate_many
from backend.inference.segmenter import State
from backend.segmenters import registry
from converters.frames import Click


class Oracle:
    """Answers every click with a mask it knows, and remembers what it was asked."""

    name = version = "oracle"
    recipes = (("R", "G", "B"),)
    threshold = 0.5

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        self.asked: list[tuple[Click, ...]] = []

    def encode(self, image: np.ndarray) -> np.ndarray:
        return image

    def start(self, encoding: np.ndarray, initial_mask: np.ndarray | None = None) -> State:
        return State(np.zeros(self.mask.shape, np.float32))

    def step(self, encoding: np.ndarray, clicks: Sequence[Click], state: State) -> State:
        self.asked.append(tuple(clicks))
        return State(self.mask.astype(np.float32))


def square(side: int = 10, at: tuple[int, int] = (5, 7), size: tuple[int, int] = (30, 40)) -> np.ndarray:
    gt = np.zeros(size, np.int8)
    gt[at[0] : at[0] + side, at[1] : at[1] + side] = 1
    return gt


IMAGE = np.zeros((30, 40, 3), np.uint8)


def noc(mask: np.ndarray, gt: np.ndarray) -> dict[int, int]:
    path = annotate(Oracle(mask), IMAGE, gt)
    assert len(path.ious) == len(path.clicks) == 20
    return {target: clicks_needed(path.ious, target / 100) for target in (80, 85, 90, 95)}


def test_a_perfect_segmenter_needs_one_click() -> None:
    assert noc(square() == 1, square()) == {80: 1, 85: 1, 90: 1, 95: 1}


def test_clicks_are_met_where_the_mask_has_their_side() -> None:
    mask = np.zeros((30, 40), bool)
    mask[:, 20:] = True  # the object lies left of it, so that clicks go both ways and none is ever met
    path = annotate(Oracle(mask), IMAGE, square(), max_clicks=4)
    assert {positive for positive, _, _ in path.clicks} == {True, False}
    assert path.met == (0, 0, 0, 0)
    assert annotate(Oracle(square() == 1), IMAGE, square(), max_clicks=3).met == (1, 2, 3)


def test_an_empty_segmenter_needs_all_twenty() -> None:
    assert noc(np.zeros((30, 40), bool), square()) == {80: 20, 85: 20, 90: 20, 95: 20}


def test_a_mask_one_pixel_off_reaches_the_iou_computed_by_hand() -> None:
    # 10 x 10 moved right by one: 90 pixels shared of 110, IoU 9/11 = 0.818.
    gt = square()
    path = annotate(Oracle(np.roll(gt == 1, 1, axis=1)), IMAGE, gt)
    assert path.ious == (90 / 110,) * 20
    assert noc(np.roll(gt == 1, 1, axis=1), gt) == {80: 1, 85: 20, 90: 20, 95: 20}


def test_an_iou_exactly_at_the_target_reaches_it() -> None:
    # 10 x 10 with two of its columns missing: 80 of 100.
    gt = square()
    mask = gt == 1
    mask[:, 7:9] = False
    assert noc(mask, gt)[80] == 1


def test_ignored_pixels_count_neither_way() -> None:
    gt = square()
    gt[15:, :] = -1
    mask = gt != 0  # the object and all that is ignored below it
    assert noc(mask, gt) == {80: 1, 85: 1, 90: 1, 95: 1}


def test_clicks_are_pixel_centres_and_every_step_gets_all_of_them_so_far() -> None:
    oracle = Oracle(np.zeros((30, 40), bool))
    path = annotate(oracle, IMAGE, square(side=9), max_clicks=3)
    assert path.clicks[0] == (True, 9, 11)
    assert oracle.asked[0] == (Click(row=9.5, col=11.5, positive=True),)
    assert [len(clicks) for clicks in oracle.asked] == [1, 2, 3]
    assert oracle.asked[2][:2] == oracle.asked[1]


def test_no_pixel_of_a_remaining_error_is_clicked_twice() -> None:
    path = annotate(Oracle(np.zeros((30, 40), bool)), IMAGE, square())
    assert len(set(path.clicks)) == 20


def test_a_superfluous_region_is_clicked_negative() -> None:
    gt = square()
    mask = gt == 1
    mask[20:27, 25:32] = True
    path = annotate(Oracle(mask), IMAGE, gt, max_clicks=2)
    assert path.clicks[1] == (False, 23, 28)


@pytest.mark.parametrize(("stop_at", "clicks"), [(None, 20), (0.8, 1), (0.85, 20)])
def test_the_robot_stops_early_only_when_told_to_and_only_when_good_enough(stop_at: float | None, clicks: int) -> None:
    mask = np.roll(square() == 1, 1, axis=1)
    assert len(annotate(Oracle(mask), IMAGE, square(), stop_at=stop_at).clicks) == clicks


def test_the_threshold_is_the_segmenters_own() -> None:
    strict = Oracle((square() == 1) * 0.6)
    strict.threshold = 0.7
    assert annotate(strict, IMAGE, square()).ious == (0.0,) * 20


def test_starting_from_a_mask_counts_its_iou_before_any_click_and_may_need_none(one_thread) -> None:
    """The object is a square; of two starts one is perfect and one has half of it."""
    segmenter = registry.load("vitclick_tiny")
    encoding = segmenter.encode(np.zeros((64, 64, 3), np.uint8))
    gt = np.zeros((64, 64), np.int8)
    gt[16:48, 16:48] = 1
    half = gt > 0
    half[:, 32:] = False
    perfect, part, nothing = annotate_many(segmenter, encoding, [gt, gt, gt], max_clicks=2, stop_at=0.9, initial_masks=[gt > 0, half, None])
    assert (perfect.started_at, perfect.clicks, perfect.ious) == (1.0, (), ())
    assert part.started_at == 0.5 and part.clicks[0][0] and part.clicks[0][2] >= 32, "the first click is where the mask lacks most"
    assert nothing.started_at == 0.0 and nothing.clicks[0] != part.clicks[0]
