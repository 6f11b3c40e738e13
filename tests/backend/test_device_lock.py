"""Clicks get a device before work that nobody waits for."""

from __future__ import annotations

from threading import Event, Thread

from backend.device_lock import DeviceLock


def started(work) -> Thread:
    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_one_at_a_time_whoever_asks() -> None:
    lock, inside, overlaps = DeviceLock(), [], []

    def work(take) -> None:
        for _ in range(50):
            with take():
                inside.append(1)
                overlaps.append(len(inside) > 1)
                inside.pop()

    threads = [started(lambda take=take: work(take)) for take in (lambda: lock, lambda: lock, lock.ahead, lock.ahead)]
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(overlaps) == 200
    assert not any(overlaps)


def test_a_click_that_came_later_goes_before_work_ahead() -> None:
    lock, order, holding, go = DeviceLock(), [], Event(), Event()

    def first() -> None:
        with lock:
            holding.set()
            go.wait(30)

    def ahead() -> None:
        with lock.ahead():
            order.append("ahead")

    def click() -> None:
        with lock:
            order.append("click")

    held = started(first)
    holding.wait(30)
    waiting = started(ahead)
    clicked = started(click)
    while lock._expected < 1:  # the click waits
        pass
    go.set()
    for thread in (held, waiting, clicked):
        thread.join(30)
    assert order == ["click", "ahead"]


def test_a_click_that_still_reads_its_pixels_keeps_work_ahead_away() -> None:
    lock, done = DeviceLock(), Event()

    def ahead() -> None:
        with lock.ahead():
            done.set()

    with lock.expecting():
        assert lock.wanted
        thread = started(ahead)
        assert not done.wait(0.1)
        with lock:  # whoever announced the click gets it
            assert not done.is_set()
    assert done.wait(30)
    thread.join(30)
    assert not lock.wanted


def test_an_error_inside_gives_the_device_back() -> None:
    lock = DeviceLock("cuda:1")
    for take in (lambda: lock, lock.ahead, lock.expecting):
        try:
            with take():
                raise KeyError
        except KeyError:
            pass
    with lock.ahead():
        pass
    assert lock.name == "cuda:1"
