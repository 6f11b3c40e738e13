"""The worker fetches what was accepted, learns when there is enough or somebody asks, and outlives failures and kills.

Label Studio is a small server of the tests; the round itself is the real one where a test says so, else one that only writes its record.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from accepted_project import brushes, names, tasks_of
from project_server import TOKEN, ProjectServer, serving
from version_files import write_tiny

from backend.errors import UsageError
from backend.learning.collecting import collect
from backend.learning.queue import Check
from backend.learning.round_order import Learning, read_order
from backend.learning.rounds import Home, InterruptedRound
from backend.learning.sqlite_queue import SqliteQueue
from backend.learning.worker import MOST_TRIES, Worker, work
from backend.project_store import ProjectStore
from backend.settings import ServerSettings
from backend.studio.api import Api
from converters.label_studio_access import LabelStudioAccess

PROJECT = 7


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def server(files: Path) -> Iterator[ProjectServer]:
    with serving(tasks_of(files, names(8, 4))) as running:
        yield running


@pytest.fixture
def api(server: ProjectServer) -> Api:
    return Api(LabelStudioAccess(server.url, TOKEN), pause=lambda seconds: None)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def worker(tmp_path: Path, server: ProjectServer, api: Api, files: Path, said: list[str]) -> Callable[..., Worker]:
    def make(**more: Any) -> Worker:
        tiny = tmp_path / "tiny.safetensors"
        settings = ServerSettings(
            data_dir=tmp_path / "data", roots=(files,), label_studio_url=server.url, api_key=TOKEN, model=str(tiny), device="cpu"
        )
        if not tiny.exists():
            write_tiny(tiny, seed=1)
        words: dict[str, Any] = {"learning": Learning(steps=1, batch=2, precision="fp32"), "tell": said.append, "api": api}
        return Worker(settings, **{**words, **more})

    return make


def noted(home: Home, folder: Path) -> dict[str, Any]:
    """A round that only leaves its record."""
    record = {"round": read_order(folder).number, "why": "noted", "promoted": None}
    (folder / "record.json").write_text(json.dumps(record))
    return record


# --- collecting


def test_accepted_regions_alone_are_collected(api: Api, server: ProjectServer, tmp_path: Path) -> None:
    found = collect(api, PROJECT, tmp_path / "learning")
    assert len(found.regions) == brushes(server.tasks) > 0 and found.images == 12
    kept = json.loads(found.export.read_text())
    assert {item["type"] for task in kept for annotation in task["annotations"] for item in annotation["result"]} == {"brushlabels"}
    assert all(set(task) == {"id", "data", "annotations"} and len(task["annotations"]) == 1 for task in kept)
    again = collect(api, PROJECT, tmp_path / "learning")
    assert again == found and len(server.exports) == 1, "what did not change is not fetched again"


def test_an_interrupted_collection_leaves_the_last_one(api: Api, server: ProjectServer, tmp_path: Path) -> None:
    found = collect(api, PROJECT, tmp_path / "learning")
    before = found.export.read_bytes()
    server.failures = [500] * 10
    server.tasks[1]["updated_at"] = "2026-03-01T00:00:00Z"
    with pytest.raises(UsageError, match="does not answer"):
        collect(api, PROJECT, tmp_path / "learning")
    assert found.export.read_bytes() == before


def test_a_server_without_an_address_is_named(worker: Callable[..., Worker], tmp_path: Path) -> None:
    lonely = worker(api=None)
    settings = ServerSettings(data_dir=tmp_path / "data")
    with pytest.raises(UsageError, match="expected it in LABEL_STUDIO_URL"):
        Worker(settings, lonely.learning).handle(Check(PROJECT, asked=True))


# --- when a round begins


def test_learning_waits_for_enough_new_objects(worker: Callable[..., Worker], server: ProjectServer, files: Path, said: list[str]) -> None:
    objects = brushes(server.tasks)
    few = worker(learn_after=objects + 1, carry_on=noted)
    assert few.handle(Check(PROJECT)) is None and f"{objects} new objects, learning begins at {objects + 1}" in said[-1]
    enough = worker(learn_after=objects, carry_on=noted)
    record = enough.handle(Check(PROJECT))
    assert record is not None and record["round"] == 1
    assert enough.handle(Check(PROJECT)) is None and "0 new objects" in said[-1], "they were in the last round"
    more = tasks_of(files, [f"more {number}.png" for number in range(3)], first=50)
    server.tasks |= more
    record = worker(learn_after=brushes(more), carry_on=noted).handle(Check(PROJECT))
    assert record is not None and record["round"] == 2
    order = read_order(Home(enough.settings.data_dir, PROJECT).rounds / "0002")
    assert order.objects == objects + brushes(more), "earlier annotations are learned from again"


def test_start_training_learns_from_what_there_is(worker: Callable[..., Worker], server: ProjectServer, said: list[str]) -> None:
    asked = worker(learn_after=10**6, carry_on=noted)
    for number in (1, 2):
        record = asked.handle(Check(PROJECT, asked=True))
        assert record is not None and record["round"] == number
    server.tasks.clear()
    assert asked.handle(Check(PROJECT, asked=True)) is None and "0 new objects" in said[-1]


def test_a_round_that_was_begun_goes_on_first(worker: Callable[..., Worker], said: list[str]) -> None:
    def interrupted(home: Home, folder: Path) -> dict[str, Any]:
        raise InterruptedRound

    with pytest.raises(InterruptedRound):
        worker(carry_on=interrupted).handle(Check(PROJECT, asked=True))
    record = worker(learn_after=10**6, carry_on=noted).handle(Check(PROJECT, asked=True))
    assert record is not None and record["round"] == 1 and "project 7: round 1 goes on" in said
    assert not (Home(worker().settings.data_dir, PROJECT).rounds / "0002").exists(), "what was asked for is done"


def test_the_projects_own_model_learns(worker: Callable[..., Worker]) -> None:
    one = worker(carry_on=noted)
    ProjectStore(one.settings.data_dir).put("7.1795326590", {"name": "vitclick_tiny"})
    ProjectStore(one.settings.data_dir).put("77.1795326590", {"name": "ritm_tiny"})
    one.handle(Check(PROJECT, asked=True))
    assert read_order(Home(one.settings.data_dir, PROJECT).rounds / "0001").model == "vitclick_tiny"


def test_a_whole_check_with_the_real_round(worker: Callable[..., Worker], tmp_path: Path) -> None:
    """One step of a miniature cannot help: trained, judged, refused."""
    record = worker().handle(Check(PROJECT, asked=True))
    assert record is not None and record["why"].startswith("not promoted: no better beyond the interval")
    assert record["asked"] and record["images"] == 12
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())


# --- the loop


@pytest.fixture
def queue(tmp_path: Path) -> SqliteQueue:
    return SqliteQueue(tmp_path / "queue.sqlite")


def test_checks_are_worked_off(queue: SqliteQueue, worker: Callable[..., Worker]) -> None:
    queue.put(Check(PROJECT, asked=True))
    work(queue, worker(carry_on=noted), once=True)
    assert queue.waiting() == [] and Home(worker().settings.data_dir, PROJECT).next_number() == 2


def test_a_failure_waits_and_is_given_up_at_last(tmp_path: Path, worker: Callable[..., Worker], said: list[str]) -> None:
    now = [1000.0]
    queue = SqliteQueue(tmp_path / "queue.sqlite", clock=lambda: now[0])

    def fails(home: Home, folder: Path) -> dict[str, Any]:
        raise UsageError("the raster is not there")

    queue.put(Check(PROJECT, asked=True))
    for number in range(MOST_TRIES + 1):
        assert len(queue.waiting()) == 1
        work(queue, worker(carry_on=fails), once=True)
        assert ("given up" in said[-1]) == (number == MOST_TRIES) and "the raster is not there" in said[-1]
        now[0] += 10**6
    assert queue.waiting() == []
    records = Home(worker().settings.data_dir, PROJECT).records()
    assert [record["why"] for record in records] == ["given up: the raster is not there"]


def test_an_interrupted_round_is_back_in_the_queue_at_once(queue: SqliteQueue, worker: Callable[..., Worker]) -> None:
    def interrupted(home: Home, folder: Path) -> dict[str, Any]:
        raise InterruptedRound

    queue.put(Check(PROJECT, asked=True))
    with pytest.raises(InterruptedRound):
        work(queue, worker(carry_on=interrupted), once=True)
    taken = queue.take()
    assert taken is not None and taken.check == Check(PROJECT, asked=True)


def test_the_loop_ends_when_it_is_told(queue: SqliteQueue, worker: Callable[..., Worker]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(queue, worker()), kwargs={"stop": stop, "poll": 60.0})
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_two_workers_do_not_learn_in_one_project_at_once(worker: Callable[..., Worker]) -> None:
    """The lock is a process's own, so the second worker is another process."""
    import subprocess
    import sys

    one = worker(carry_on=noted)
    folder = Home(one.settings.data_dir, PROJECT).folder
    code = (
        f"from pathlib import Path; from backend.training.checkpoint import locked; locked(Path({str(folder)!r})); print('no', flush=True)"
    )

    def during(home: Home, begun: Path) -> dict[str, Any]:
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert other.returncode != 0 and "another process trains" in other.stderr
        return noted(home, begun)

    assert worker(carry_on=during).handle(Check(PROJECT, asked=True)) is not None
