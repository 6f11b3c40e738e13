"""A click costs one step, undo and repetition cost none, and nothing that was forgotten changes a bit of the answer."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeSegmenter
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backend.device_lock import DeviceLock
from backend.session import Outcome, PixelKey, SessionKey, Sessions, SourceStamp, mask_hash
from converters.chips import PixelWindow
from converters.frames import Box, Click

IMAGE = np.random.default_rng(5).integers(0, 255, (40, 60, 3), dtype=np.uint8)
PIXELS = PixelKey(SourceStamp("r.tif", 10, 20), PixelWindow(0, 0, 60, 40), (1, 2, 3), None, "None")
KEY = SessionKey(PIXELS, "fake@test")
CLICKS = [Click(10, 10, True), Click(20, 30, True), Click(15, 15, False), Click(30, 50, True)]
STATE_BYTES = 40 * 60 * 4


class Bench:
    """Sessions with one segmenter, and how often pixels were read."""

    def __init__(self, *, states: int = 100, seconds: float = 0) -> None:
        self.sessions = Sessions(state_bytes=states * STATE_BYTES, encoding_bytes=10 * IMAGE.nbytes)
        self.segmenter = FakeSegmenter(radius=6, seconds=seconds)
        self.device = DeviceLock()
        self.reads = 0

    def ask(
        self, clicks: list[Click], *, key: SessionKey = KEY, image: NDArray[np.uint8] = IMAGE, mask: NDArray[np.bool_] | None = None
    ) -> Outcome:
        def pixels() -> NDArray[np.uint8]:
            self.reads += 1
            return image

        return self.sessions.outcome(key, clicks, segmenter=self.segmenter, device=self.device, pixels=pixels, initial_mask=mask)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def replayed(clicks: list[Click]) -> NDArray[np.float32]:
    return Bench().ask(clicks).state.probability


def test_each_new_click_costs_exactly_one_step_and_the_pixels_are_read_once(bench: Bench) -> None:
    for count in range(1, len(CLICKS) + 1):
        assert bench.ask(CLICKS[:count]).steps == 1
    assert bench.segmenter.steps == [tuple(CLICKS[:count]) for count in range(1, len(CLICKS) + 1)]
    assert (bench.segmenter.encodes, bench.reads) == (1, 1)


def test_a_box_alone_costs_one_step_where_the_segmenter_takes_boxes_and_none_the_second_time(bench: Bench) -> None:
    boxed = replace(KEY, box=Box(row_min=2, row_max=9, col_min=3, col_max=30))
    bench.segmenter.takes_boxes = True
    assert [bench.ask([], key=boxed).steps for _ in range(2)] == [1, 0]
    assert bench.segmenter.boxes == [boxed.box]
    assert bench.ask(CLICKS[:1], key=boxed).steps == 1  # goes on from the box
    assert bench.segmenter.boxes == [boxed.box]
    assert bench.ask(CLICKS[:1]).steps == 1  # another object: the one without a box


def test_undo_and_repetition_cost_nothing(bench: Bench) -> None:
    bench.ask(CLICKS)
    done = len(bench.segmenter.steps)
    assert bench.ask(CLICKS[:-1]).steps == 0
    assert bench.ask(CLICKS).steps == 0
    assert bench.ask(CLICKS[:1]).steps == 0
    assert len(bench.segmenter.steps) == done


@pytest.mark.parametrize("deleted", [1, 2, 3, 4])
def test_deleting_click_k_of_n_replays_n_minus_k(bench: Bench, deleted: int) -> None:
    bench.ask(CLICKS)
    left = CLICKS[: deleted - 1] + CLICKS[deleted:]
    outcome = bench.ask(left)
    assert outcome.steps == len(CLICKS) - deleted
    np.testing.assert_array_equal(outcome.state.probability, replayed(left))


@given(st.lists(st.lists(st.sampled_from(CLICKS), min_size=1, max_size=5), min_size=1, max_size=8), st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_whatever_was_asked_before_or_evicted_since_the_bits_are_those_of_a_replay(requests: list[list[Click]], states: int) -> None:
    small = Bench(states=states)
    for clicks in requests:
        np.testing.assert_array_equal(small.ask(clicks).state.probability, replayed(clicks))
        assert small.sessions.states.nbytes <= states * STATE_BYTES


def test_an_encoding_too_large_to_keep_is_computed_again_and_changes_nothing() -> None:
    bench = Bench()
    bench.sessions = Sessions(state_bytes=100 * STATE_BYTES, encoding_bytes=10)
    for count in (1, 2, 3):
        outcome = bench.ask(CLICKS[:count])
    assert bench.segmenter.encodes == 3
    np.testing.assert_array_equal(outcome.state.probability, replayed(CLICKS[:3]))


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, version="fake@retrained"),
        replace(KEY, initial_mask="another"),
        replace(KEY, pixels=replace(PIXELS, source=SourceStamp("r.tif", 10, 21))),
        replace(KEY, pixels=replace(PIXELS, source=SourceStamp("r.tif", 11, 20))),
        replace(KEY, pixels=replace(PIXELS, source=SourceStamp("other.tif", 10, 20))),
        replace(KEY, pixels=replace(PIXELS, window=PixelWindow(1, 0, 60, 40))),
        replace(KEY, pixels=replace(PIXELS, bands=(4, 1, 2))),
        replace(KEY, pixels=replace(PIXELS, stretch=((0.0, 9.0),))),
        replace(KEY, pixels=replace(PIXELS, nodata="0.0")),
    ],
)
def test_nothing_is_shared_with_other_pixels_or_another_model(bench: Bench, other: SessionKey) -> None:
    bench.ask(CLICKS[:2])
    assert bench.ask(CLICKS[:2], key=other).steps == 2


def test_an_initial_mask_is_where_the_clicks_start(bench: Bench) -> None:
    mask = np.zeros((40, 60), bool)
    mask[35:, :5] = True
    corrected = bench.ask(CLICKS[:1], key=replace(KEY, initial_mask=mask_hash(mask)), mask=mask).state.probability
    assert corrected[38, 2] > 0.9
    assert bench.ask(CLICKS[:1]).state.probability[38, 2] == 0


def test_masks_of_other_shape_or_pixels_have_other_hashes() -> None:
    masks = [np.zeros((4, 6), bool), np.zeros((6, 4), bool), np.eye(4, 6, dtype=bool), np.eye(4, 6, k=1, dtype=bool)]
    assert len({mask_hash(mask) for mask in masks}) == len(masks)


def test_overlapping_requests_for_one_object_never_run_two_steps_at_once_and_waste_none() -> None:
    bench = Bench(seconds=0.02)
    together([lambda count=count: bench.ask(CLICKS[:count]) for count in (1, 2, 3, 4, 4, 3)])
    assert bench.segmenter.overlaps == 0
    assert len(bench.segmenter.steps) == len(set(bench.segmenter.steps)) == len(CLICKS)


def test_two_annotators_at_once_get_what_each_would_get_alone() -> None:
    bench = Bench(seconds=0.002)
    tasks = {
        name: (replace(KEY, pixels=replace(PIXELS, source=SourceStamp(name, 10, 20))), np.roll(IMAGE, shift, axis=1))
        for name, shift in {"ann.tif": 0, "bob.tif": 13}.items()
    }
    got: dict[tuple[str, int], NDArray[np.float32]] = {}

    def annotate(name: str, clicks: list[Click]) -> None:
        key, image = tasks[name]
        for count in range(1, len(clicks) + 1):
            got[name, count] = bench.ask(clicks[:count], key=key, image=image).state.probability

    clicks = {"ann.tif": CLICKS, "bob.tif": CLICKS[::-1]}
    together([lambda name=name: annotate(name, clicks[name]) for name in clicks])
    assert bench.segmenter.overlaps == 0
    assert len(bench.segmenter.steps) == 2 * len(CLICKS)
    for (name, count), probability in got.items():
        key, image = tasks[name]
        np.testing.assert_array_equal(probability, Bench().ask(clicks[name][:count], key=key, image=image).state.probability)


def together(jobs: list) -> None:
    """Run all jobs at once; fail if one of them does."""
    failures: list[BaseException] = []

    def run(job) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert not failures, failures
