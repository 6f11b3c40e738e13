"""The next click of a simulated annotation, and its slot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.inference.click_maps import PADDING
from backend.inference.crop import Roi
from backend.training.error_click import error_click, place

RNG = np.random.default_rng(0)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """(probability, target): an object of 9 x 9 pixels, nothing found."""
    target = np.zeros((40, 40), np.int8)
    target[10:19, 10:19] = 1
    return np.zeros((40, 40), np.float32), target


def clicks(probability: np.ndarray, target: np.ndarray, within: Roi | None = None) -> set[tuple[int, int, bool] | None]:
    rng = np.random.default_rng(1)
    return {error_click(probability, target, rng, within) for _ in range(600)}


def test_a_click_falls_anywhere_deeper_than_half_the_depth() -> None:
    # 9 x 9: depths 1 to 5 from the border; deeper than 2.5 are the inner 5 x 5.
    assert clicks(*scene()) == {(row, col, True) for row in range(12, 17) for col in range(12, 17)}


def test_the_edge_of_the_image_is_a_border() -> None:
    probability, target = np.zeros((9, 9), np.float32), np.ones((9, 9), np.int8)
    assert clicks(probability, target) == {(row, col, True) for row in range(2, 7) for col in range(2, 7)}


def test_the_deeper_error_wins_and_a_tie_is_negative() -> None:
    probability, target = scene()
    probability[25:34, 25:34] = 1  # as large as what is missing
    assert {click[2] for click in clicks(probability, target) if click} == {False}
    probability[33] = 0
    assert {click[2] for click in clicks(probability, target) if click} == {True}


def test_the_threshold_is_049() -> None:
    probability, target = scene()
    probability[10:19, 10:19] = 0.489
    assert error_click(probability, target, RNG) is not None
    probability[10:19, 10:19] = 0.491
    assert error_click(probability, target, RNG) is None


def test_ignored_pixels_are_no_error() -> None:
    probability, target = scene()
    probability[:] = target == 1
    probability[25:40] = 1
    target[25:40] = -1
    assert error_click(probability, target, RNG) is None


def test_within_a_part_only_its_own_errors_count_and_its_edge_is_a_border() -> None:
    probability, target = scene()
    found = clicks(probability, target, Roi(10, 18, 10, 12))  # three columns of the object
    assert found == {(row, 11, True) for row in range(11, 18)}
    assert clicks(probability, target, Roi(30, 39, 30, 39)) == {None}


def points() -> torch.Tensor:
    rows = torch.tensor([PADDING]).repeat(8, 1)
    rows[0], rows[4] = torch.tensor([3.0, 4.0, 100.0]), torch.tensor([5.0, 6.0, 100.0])
    return rows


def test_ritm_fills_the_slots_of_a_sign_from_the_end() -> None:
    rows = points()
    place(rows, (7, 8, True), number=1, filling="from the end")
    place(rows, (9, 1, False), number=2, filling="from the end")
    place(rows, (2, 2, True), number=4, filling="from the end")
    assert rows[3].tolist() == [7, 8, 1] and rows[6].tolist() == [9, 1, 2]
    assert rows[0].tolist() == [2, 2, 4]  # over a sampled click
    assert rows[4].tolist() == [5, 6, 100] and rows[7].tolist() == list(PADDING)


def test_icl_takes_the_first_free_slot_and_with_none_left_the_end() -> None:
    rows = points()
    for number in range(1, 5):
        place(rows, (number, 0, True), number=number, filling="free")
    assert rows[:4].tolist() == [[4, 0, 5], [1, 0, 2], [2, 0, 3], [3, 0, 4]]
    place(rows, (7, 7, False), number=1, filling="free")
    assert rows[5].tolist() == [7, 7, 5]


@pytest.mark.parametrize("filling", ["from the end", "free"])
def test_a_click_on_the_first_row_is_a_click(filling: str) -> None:
    rows = torch.tensor([PADDING]).repeat(4, 1)
    place(rows, (0, 0, True), number=1, filling=filling)  # type: ignore[arg-type]
    place(rows, (0, 1, True), number=2, filling=filling)  # type: ignore[arg-type]
    assert sorted(row[:2] for row in rows[:2].tolist()) == [[0, 0], [0, 1]]
