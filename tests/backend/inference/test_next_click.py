"""The robot's next click: recorded cases of the protocol, its edge cases, and the crop that must change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backend.inference.next_click import next_click


def test_every_recorded_case_of_the_protocol_is_reproduced(shared: Path) -> None:
    recorded = np.load(shared / "reference" / "fixtures" / "protocol_ritm.npz")
    gts = recorded["gts"]
    preds = np.unpackbits(recorded["preds"])[: gts.size].reshape(gts.shape).astype(bool)
    for gt, pred, clicks in zip(gts, preds, recorded["clicks"], strict=True):
        not_clicked = np.ones(gt.shape, bool)
        for positive, row, col in clicks:
            assert next_click(gt, pred, not_clicked) == (bool(positive), row, col)
            not_clicked[row, col] = False


def opencv_squared(padded: np.ndarray) -> np.ndarray:
    """Squared distances of the whole image, rounded because they are whole numbers."""
    return np.rint(cv2.distanceTransform(padded.astype(np.uint8), cv2.DIST_L2, 0) ** 2)


def counted_squared(padded: np.ndarray) -> np.ndarray:
    """Squared distances by comparing every pixel with every pixel outside the region."""
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    squared = np.zeros(padded.shape, np.int64)
    squared[padded] = ((inside[:, None] - outside[None]) ** 2).sum(axis=2).min(axis=1, initial=10**9)
    return squared


def literal(gt: np.ndarray, pred: np.ndarray, not_clicked: np.ndarray, squared: Callable = opencv_squared) -> tuple[bool, int, int]:
    """The rule of MODELS.md section 7 word for word, on the full image."""
    valid = gt != -1
    depths = []
    for error in ((gt == 1) & ~pred & valid, (gt != 1) & pred & valid):
        depths.append(squared(np.pad(error, 1))[1:-1, 1:-1] * not_clicked)
    positive = bool(depths[0].max() > depths[1].max())
    depth = depths[0 if positive else 1]
    rows, cols = np.where(depth == depth.max())
    return positive, int(rows[0]), int(cols[0])


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rectangles and noise: large regions give deep distances, noise gives ties."""
    shape = (draw(st.integers(1, 24)), draw(st.integers(1, 24)))
    gt = draw(arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1]), fill=st.sampled_from([-1, 0, 1])))
    pred = draw(arrays(bool, shape, fill=st.booleans()))
    for target, value in ((gt, 1), (gt, 0), (pred, True), (pred, False)):
        top, left = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        target[top : top + draw(st.integers(0, 20)), left : left + draw(st.integers(0, 20))] = value
    not_clicked = ~draw(arrays(bool, shape, fill=st.booleans()))
    return gt, pred, not_clicked


@settings(max_examples=300, deadline=None)
@given(cases())
def test_the_click_is_the_one_found_by_comparing_every_pair_of_pixels(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert next_click(*case) == literal(*case, counted_squared) == literal(*case)


def test_large_smooth_regions_give_the_same_click_as_the_rule_on_the_full_image() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        gt = (cv2.GaussianBlur(rng.standard_normal((300, 400)), (0, 0), 15) > 0.01).astype(np.int8)
        pred = cv2.GaussianBlur(rng.standard_normal((300, 400)), (0, 0), 25) > 0.01
        gt[rng.integers(0, 250) :][:20] = -1
        not_clicked = np.ones(gt.shape, bool)
        for _ in range(5):
            answer = next_click(gt, pred, not_clicked)
            assert answer == literal(gt, pred, not_clicked)
            not_clicked[answer[1:]] = False


def test_the_first_click_is_positive_in_the_middle_of_the_object() -> None:
    gt = np.zeros((20, 30), np.int8)
    gt[5:10, 10:15] = 1
    assert next_click(gt, np.zeros(gt.shape, bool), np.ones(gt.shape, bool)) == (True, 7, 12)


def test_the_image_border_bounds_the_object() -> None:
    gt = np.ones((5, 5), np.int8)
    assert next_click(gt, np.zeros(gt.shape, bool), np.ones(gt.shape, bool)) == (True, 2, 2)


def test_equal_errors_give_a_negative_click() -> None:
    gt = np.zeros((10, 20), np.int8)
    gt[2:5, 2:5] = 1
    pred = np.zeros(gt.shape, bool)
    pred[2:5, 12:15] = True
    assert next_click(gt, pred, np.ones(gt.shape, bool)) == (False, 3, 13)


@pytest.mark.parametrize("clicked", [False, True])
def test_a_perfect_mask_gives_a_negative_click_at_the_origin_again_and_again(clicked: bool) -> None:
    gt = np.zeros((10, 20), np.int8)
    gt[2:5, 2:5] = 1
    not_clicked = np.ones(gt.shape, bool)
    not_clicked[0, 0] = not clicked
    assert next_click(gt, gt == 1, not_clicked) == (False, 0, 0)


def test_ignored_pixels_are_no_error_and_bound_the_regions_beside_them() -> None:
    gt = np.full((9, 9), -1, np.int8)
    gt[3:6, 3:6] = 1
    assert next_click(gt, np.ones(gt.shape, bool), np.ones(gt.shape, bool)) == (False, 0, 0)
    assert next_click(gt, np.zeros(gt.shape, bool), np.ones(gt.shape, bool)) == (True, 4, 4)


def test_skipping_the_shallower_kind_of_error_never_changes_a_click() -> None:
    """Discs of nearly equal depth, where the bound that saves a distance transform is tightest."""
    rng = np.random.default_rng(11)
    for _ in range(200):
        gt, pred = np.zeros((60, 120), np.uint8), np.zeros((60, 120), np.uint8)
        for canvas, left in ((gt, 0), (pred, 60)):
            cv2.circle(canvas, (left + int(rng.integers(20, 40)), 30), int(rng.integers(6, 13)), 1, -1)
            cv2.rectangle(canvas, (left + 2, 3), (left + 2 + int(rng.integers(3, 50)), 3 + int(rng.integers(1, 24))), 1, -1)
        not_clicked = rng.random(gt.shape) > 0.3
        case = gt.astype(np.int8), pred.astype(bool), not_clicked
        assert next_click(*case) == literal(*case)
