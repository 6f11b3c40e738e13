"""The thread that works ahead: what is opened first, the newest before older ones, and nothing that goes wrong reaches a request."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from backend.ready import warmer as module
from backend.ready.warmer import ASK_AGAIN, MOST, Warmer
from backend.session import Ahead
from converters.errors import SourceError

PROJECT = "7.1795327615"


def task(number: int) -> dict[str, Any]:
    return {"id": number, "data": {"image": f"{number}.png"}}


class Bench:
    """A warmer whose work waits for `go`, and what it did, in order."""

    def __init__(self, *, ahead: int = 2, tasks: int = 10) -> None:
        self.go = Event()
        self.begun = Event()
        self.done: list[Any] = []
        self.asked: list[tuple[int, int, int]] = []
        self.outcomes: dict[int, list[Ahead]] = {}
        self.counted: Counter[str] = Counter()
        self.now = 1000.0
        self.pauses: list[float] = []
        self.tasks = tasks
        self.refusal: Exception | None = None
        self.warmer = Warmer(
            self.warm,
            after=self.after,
            ahead=ahead,
            count=lambda outcome: self.counted.update([outcome]),
            clock=lambda: self.now,
            sleep=self.pauses.append,
        )

    def warm(self, given: Any, project: str, label_config: str) -> list[Ahead]:
        self.begun.set()
        assert self.go.wait(30)
        self.done.append(given["id"])
        if given["id"] == 13:
            raise ZeroDivisionError
        if given["id"] == 14:
            raise SourceError("the picture is not there; expected a file; put it back")
        return [self.outcomes[given["id"]].pop(0)] if given["id"] in self.outcomes else [Ahead.ENCODED]

    def after(self, project: int, number: int, count: int) -> list[dict[str, Any]]:
        self.asked.append((project, number, count))
        if self.refusal is not None:
            raise self.refusal
        return [task(after) for after in range(number + 1, self.tasks + 1)][:count]

    def all_done(self) -> list[Any]:
        self.go.set()
        assert self.warmer.wait(30)
        return self.done


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.go.set()


def test_opening_a_task_makes_it_ready_then_the_next_two_nearest_first(bench: Bench) -> None:
    bench.warmer.opened([task(3)], PROJECT, "config")
    assert bench.all_done() == [3, 4, 5]
    assert bench.asked == [(7, 3, 2)]
    assert bench.counted == Counter(encoded=3)


def test_the_last_task_has_none_after_it(bench: Bench) -> None:
    bench.warmer.opened([task(10)], PROJECT, "config")
    assert bench.all_done() == [10]


def test_what_was_opened_last_comes_before_all_that_waits(bench: Bench) -> None:
    bench.warmer.opened([task(1)], PROJECT, "config")
    assert bench.begun.wait(30)  # at work on 1
    bench.warmer.opened([task(5)], PROJECT, "config")
    bench.warmer.opened([task(8)], PROJECT, "config")
    assert bench.all_done() == [1, 8, 5, 9, 10, 6, 7, 2, 3]


def test_the_same_task_waits_once(bench: Bench) -> None:
    bench.warmer.opened([task(1)], PROJECT, "config")
    assert bench.begun.wait(30)
    for _ in range(5):
        bench.warmer.opened([task(2)], PROJECT, "config")
    assert Counter(bench.all_done()) == Counter({1: 1, 2: 2, 3: 2, 4: 1})  # 2 and 3 again as those after 1
    assert bench.asked == [(7, 2, 2), (7, 1, 2)]


def test_what_waits_has_a_limit_and_the_oldest_is_dropped() -> None:
    bench = Bench(ahead=0)
    bench.warmer.opened([task(0)], PROJECT, "config")
    assert bench.begun.wait(30)
    for number in range(1, MOST + 11):
        bench.warmer.opened([task(number)], PROJECT, "config")
    assert bench.all_done() == [0, *range(MOST + 10, 10, -1)]


def test_of_a_batch_as_many_are_made_ready_as_if_the_first_were_opened(bench: Bench) -> None:
    bench.warmer.opened([task(number) for number in (2, 4, 6, 8, 9)], PROJECT, "config")
    assert bench.all_done() == [2, 4, 6]
    assert bench.asked == []


def test_a_click_makes_the_tasks_after_it_ready_and_asks_once(bench: Bench) -> None:
    for _ in range(5):
        bench.warmer.clicked([task(4)], PROJECT, "config")
        bench.all_done()
    assert bench.done == [5, 6]
    assert bench.asked == [(7, 4, 2)]
    bench.now += ASK_AGAIN
    bench.warmer.clicked([task(4)], PROJECT, "config")
    assert bench.all_done() == [5, 6, 5, 6]


def test_opening_the_project_makes_its_first_unfinished_tasks_ready(bench: Bench) -> None:
    bench.warmer.project_opened(PROJECT, "config")
    assert bench.all_done() == [1, 2]
    assert bench.asked == [(7, 0, 2)]


def test_without_anybody_to_ask_only_the_opened_task_is_made_ready() -> None:
    done: list[int] = []
    alone = Warmer(lambda given, *_: done.append(given["id"]) or [Ahead.ENCODED], ahead=2)
    alone.opened([task(3)], PROJECT, "config")
    alone.clicked([task(3)], PROJECT, "config")
    alone.project_opened(PROJECT, "config")
    assert alone.wait(30)
    assert done == [3]


def test_a_warmer_without_work_starts_no_thread() -> None:
    idle = Warmer()
    idle.opened([task(1)], PROJECT, "config")
    assert idle.wait(0)
    assert idle._thread is None


@pytest.mark.parametrize("tasks", [[], [None], ["4"], [{"id": None}], [{}], [{"id": [1]}]])
@pytest.mark.parametrize("project", ["", "none", "7", PROJECT, "99999999999999999.1"])
def test_nothing_that_a_request_says_raises(bench: Bench, tasks: list[Any], project: str) -> None:
    bench.go.set()
    bench.warm = lambda given, *_: []  # type: ignore[method-assign]
    quiet = Warmer(lambda *_: [], after=bench.after, ahead=2)
    quiet.opened(tasks, project, "")
    quiet.clicked(tasks, project, "")
    quiet.project_opened(project, "")
    assert quiet.wait(30)


def test_what_goes_wrong_is_counted_and_the_thread_goes_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for number in (13, 14, 15):
            bench.warmer.opened([task(number)], PROJECT, "config")
            bench.all_done()
    assert bench.done == [13, 14, 15]
    assert bench.counted == Counter(failed=2, encoded=1)
    told = [record.message for record in caplog.records if record.name == module.__name__]
    assert any("please report it" in text for text in told)
    assert any("the picture is not there" in text for text in told)


def test_a_label_studio_that_does_not_answer_is_named_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.refusal = SourceError("Label Studio does not say which tasks come next; expected a list; check that it runs")
    for number in (1, 2, 3):
        bench.warmer.opened([task(number)], PROJECT, "config")
        bench.all_done()
    assert bench.done == [1, 2, 3]
    assert len([record for record in caplog.records if "which tasks come next" in record.message]) == 1


@pytest.mark.parametrize("interrupted", [Ahead.GAVE_WAY, Ahead.BUSY])
def test_what_a_click_or_another_process_kept_from_being_done_is_tried_again(bench: Bench, interrupted: Ahead) -> None:
    bench.outcomes[10] = [interrupted, interrupted, Ahead.ENCODED]
    bench.warmer.opened([task(10)], PROJECT, "config")
    assert bench.all_done() == [10, 10, 10]
    assert bench.counted == Counter({interrupted.value: 2, "encoded": 1})
    assert len(bench.pauses) == 2


def test_but_not_for_ever(bench: Bench) -> None:
    bench.outcomes[10] = [Ahead.BUSY] * 100
    bench.warmer.opened([task(10)], PROJECT, "config")
    assert len(bench.all_done()) == 11
