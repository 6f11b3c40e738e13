"""Encodings made before anybody clicks: once, for nobody at the cost of somebody, and with the bits of a click's own."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
from fakes import FakeEncoding, FakeSegmenter

from backend.device_lock import DeviceLock
from backend.encoding_store import NoStore
from backend.inference.giving_way import GaveWay, giving_way, opportunity
from backend.session import Ahead, PixelKey, SessionKey, Sessions, SourceStamp
from converters.chips import PixelWindow
from converters.frames import Click

IMAGE = np.random.default_rng(5).integers(0, 255, (40, 60, 3), dtype=np.uint8)
PIXELS = PixelKey(SourceStamp("r.tif", 10, 20), PixelWindow(0, 0, 60, 40), (1, 2, 3), None, "None")
OTHER = replace(PIXELS, source=SourceStamp("other.tif", 10, 20))
CLICK = [Click(10, 10, True)]


class Slow(FakeSegmenter):
    """Encodes block by block until it is told to go on, and breaks off when it is asked to give way."""

    def __init__(self) -> None:
        super().__init__()
        self.encoding, self.go = Event(), Event()
        self.broken_off = 0

    def encode(self, image: np.ndarray) -> FakeEncoding:
        self.encoding.set()
        try:
            while not self.go.wait(0.005):
                opportunity()
        except GaveWay:
            self.broken_off += 1
            raise
        return super().encode(image)


class Bench:
    def __init__(self, segmenter: FakeSegmenter | None = None, store: object = None) -> None:
        self.sessions = Sessions(state_bytes=10**6, encoding_bytes=10**6, store=store)  # type: ignore[arg-type]
        self.segmenter = segmenter or FakeSegmenter()
        self.device = DeviceLock()

    def ahead(self, pixels: PixelKey = PIXELS) -> Ahead:
        return self.sessions.encode_ahead(pixels, "fake@test", segmenter=self.segmenter, device=self.device, pixels=lambda: IMAGE)

    def click(self, pixels: PixelKey = PIXELS):
        key = SessionKey(pixels, "fake@test")
        return self.sessions.outcome(key, CLICK, segmenter=self.segmenter, device=self.device, pixels=lambda: IMAGE)


def running(work) -> tuple[Thread, list]:
    found: list = []
    thread = Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    return thread, found


def finished(job: tuple[Thread, list]):
    job[0].join(30)
    assert not job[0].is_alive()
    return job[1][0]


def test_the_first_click_on_a_warmed_window_encodes_nothing_and_has_the_bits_of_a_cold_one() -> None:
    warmed, cold = Bench(), Bench()
    assert warmed.ahead() is Ahead.ENCODED
    assert warmed.ahead() is Ahead.KEPT
    answer = warmed.click()
    assert (warmed.segmenter.encodes, answer.steps) == (1, 1)
    np.testing.assert_array_equal(answer.state.probability, cold.click().state.probability)


def test_a_click_on_the_window_that_is_being_encoded_waits_for_it_and_encodes_nothing_itself() -> None:
    bench = Bench(slow := Slow())
    ahead = running(bench.ahead)
    assert slow.encoding.wait(30)
    clicked = running(bench.click)
    clicked[0].join(0.1)
    slow.go.set()
    assert finished(ahead) is Ahead.ENCODED
    assert finished(clicked).steps == 1
    assert (slow.encodes, slow.broken_off) == (1, 0)


def test_a_click_on_another_window_does_not_wait_for_work_ahead() -> None:
    bench = Bench(slow := Slow())
    bench.sessions.encodings.put((OTHER, "fake@test"), FakeEncoding(IMAGE), IMAGE.nbytes)
    ahead = running(bench.ahead)
    assert slow.encoding.wait(30)
    assert bench.click(OTHER).steps == 1  # `go` was not set: it could only end by giving way
    assert finished(ahead) is Ahead.GAVE_WAY
    assert (slow.encodes, slow.broken_off) == (0, 1)
    slow.go.set()
    assert bench.ahead() is Ahead.ENCODED


def test_a_click_s_own_encoding_never_gives_way() -> None:
    bench = Bench(slow := Slow())
    first = running(bench.click)
    assert slow.encoding.wait(30)
    second = running(lambda: bench.click(OTHER))
    second[0].join(0.1)
    slow.go.set()
    assert [finished(first).steps, finished(second).steps] == [1, 1]
    assert slow.broken_off == 0


def test_two_threads_that_work_ahead_on_one_window_encode_it_once() -> None:
    bench = Bench(slow := Slow())
    other = DeviceLock("cpu")  # a second device of one process: only the turn keeps them apart

    def second() -> Ahead:
        return bench.sessions.encode_ahead(PIXELS, "fake@test", segmenter=slow, device=other, pixels=lambda: IMAGE)

    first = running(bench.ahead)
    assert slow.encoding.wait(30)
    assert second() is Ahead.BUSY
    slow.go.set()
    assert finished(first) is Ahead.ENCODED
    assert second() is Ahead.KEPT
    assert slow.encodes == 1


class TakenElsewhere(NoStore):
    @contextmanager
    def try_turn(self, key):
        yield False


def test_what_another_process_encodes_now_is_left_to_it() -> None:
    bench = Bench(store=TakenElsewhere())
    assert bench.ahead() is Ahead.BUSY
    assert bench.segmenter.encodes == 0


class Shelf(NoStore):
    def __init__(self) -> None:
        self.kept: dict = {}

    def get(self, key, *, again: bool = False):
        return self.kept.get(key)

    def put(self, key, encoding) -> None:
        self.kept[key] = encoding

    def put_later(self, key, encoding, then) -> None:
        self.put(key, encoding)
        then()


def test_what_is_on_the_shelf_is_read_by_a_click_and_by_work_ahead() -> None:
    shelf = Shelf()
    first = Bench(store=shelf)
    assert first.ahead() is Ahead.ENCODED
    again, clicked = Bench(store=shelf), Bench(store=shelf)
    assert again.ahead() is Ahead.READ
    assert clicked.click().steps == 1
    assert (again.segmenter.encodes, clicked.segmenter.encodes) == (0, 0)
    assert clicked.ahead() is Ahead.KEPT


def test_a_failed_encoding_gives_the_turn_and_the_device_back() -> None:
    bench = Bench()
    bench.segmenter.encode = lambda image: 1 / 0  # type: ignore[method-assign]
    for ask in (bench.ahead, bench.click):
        with pytest.raises(ZeroDivisionError):
            ask()
    bench.segmenter = FakeSegmenter()
    assert bench.ahead() is Ahead.ENCODED
    assert not bench.device.wanted


def test_outside_of_work_ahead_an_opportunity_is_none() -> None:
    opportunity()
    with giving_way(lambda: False):
        opportunity()
    with giving_way(lambda: True), pytest.raises(GaveWay):
        opportunity()
    opportunity()
