"""The queue that several processes share: one check a project, none lost, none done twice at the same time."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from backend.errors import UsageError
from backend.learning import sqlite_queue
from backend.learning.queue import Check
from backend.learning.queues import queue_file, queue_of
from backend.learning.sqlite_queue import LEASE_SECONDS, SqliteQueue


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> SqliteQueue:
    return SqliteQueue(tmp_path / "learning" / "queue.sqlite", clock=clock)


def test_many_events_of_a_project_are_one_check(queue: SqliteQueue) -> None:
    assert queue.take() is None
    for number in range(5):
        queue.put(Check(7, asked=number == 2))
    queue.put(Check(8))
    taken = queue.take()
    assert taken is not None and taken.check == Check(7, asked=True, events=5)
    other = queue.take()
    assert other is not None and other.check == Check(8)
    assert queue.take() is None
    queue.done(taken)
    queue.done(other)
    assert queue.waiting() == []


def test_what_comes_during_the_work_waits_for_its_end(queue: SqliteQueue) -> None:
    queue.put(Check(7, asked=True))
    taken = queue.take()
    assert taken is not None
    queue.put(Check(7))
    queue.put(Check(7))
    assert queue.take() is None, "one round of a project at a time"
    queue.done(taken)
    again = queue.take()
    assert again is not None and again.check == Check(7, asked=False, events=2), "what was asked for was done"


def test_the_check_of_a_killed_worker_is_taken_again_and_counted(queue: SqliteQueue, clock: Clock) -> None:
    queue.put(Check(7))
    first = queue.take()
    assert first is not None and first.tries == 0
    clock.now += LEASE_SECONDS - 1
    assert queue.take() is None
    queue.hold(first)
    clock.now += LEASE_SECONDS - 1
    assert queue.take() is None, "it was held"
    clock.now += 2
    second = queue.take()
    assert second is not None and (second.check, second.tries) == (first.check, 1)
    queue.done(first)
    assert queue.waiting() == [second.check], "who lost it has no say any more"
    queue.done(second)
    assert queue.waiting() == []


def test_a_failed_check_waits_and_keeps_what_came_meanwhile(queue: SqliteQueue, clock: Clock) -> None:
    queue.put(Check(7, asked=True))
    taken = queue.take()
    assert taken is not None
    queue.put(Check(7))
    queue.failed(taken, 60)
    assert queue.take() is None
    clock.now += 61
    again = queue.take()
    assert again is not None and again.check == Check(7, asked=True, events=2) and again.tries == 1
    queue.failed(again, None)
    assert queue.waiting() == [], "given up"


def test_checks_are_taken_in_turn(queue: SqliteQueue, clock: Clock) -> None:
    for project in (9, 7, 8):
        clock.now += 1
        queue.put(Check(project))
    assert [taken.check.project for _ in range(3) if (taken := queue.take()) is not None] == [9, 7, 8]


def test_strangers_cannot_fill_the_disk(queue: SqliteQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_queue, "MOST_PROJECTS", 3)
    for project in range(1, 10):
        queue.put(Check(project))
    queue.put(Check(2, asked=True))
    assert queue.waiting() == [Check(1), Check(2, asked=True, events=2), Check(3)]


def _put_many(path: Path, projects: int, times: int) -> None:
    queue = SqliteQueue(path)
    for _ in range(times):
        for project in range(1, projects + 1):
            queue.put(Check(project))


def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_put_many, args=(path, 3, 40)) for _ in range(3)]
    for process in processes:
        process.start()
    seen: dict[int, int] = {}
    queue = SqliteQueue(path)

    def work() -> None:
        while (taken := queue.take()) is not None:
            seen[taken.check.project] = seen.get(taken.check.project, 0) + taken.check.events
            queue.done(taken)

    while any(process.is_alive() for process in processes):
        work()
    work()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert seen == {1: 120, 2: 120, 3: 120}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match="delete a damaged one"):
        SqliteQueue(path).put(Check(7))


def test_without_redis_the_queue_lies_in_the_data_folder(tmp_path: Path) -> None:
    queue_of(tmp_path, {}).put(Check(7))
    with sqlite3.connect(queue_file(tmp_path)) as connection:
        assert connection.execute("SELECT project FROM checks").fetchall() == [(7,)]
