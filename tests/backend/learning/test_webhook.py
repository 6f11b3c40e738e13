"""POST /webhook queues a check of the project and keeps nothing else; GET /versions lists what learning made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Server

from backend.errors import UsageError
from backend.learning.inbox import Inbox
from backend.learning.queue import Check
from backend.learning.queues import queue_file
from backend.learning.sqlite_queue import SqliteQueue
from backend.learning.versions import SHIPPED

SECRET = "0123456789abcdef"


def event(action: str, project: int = 7, *types: str) -> dict[str, Any]:
    results = [{"id": str(number), "type": kind, "value": {"rle": [1, 2]}} for number, kind in enumerate(types)]
    return {"action": action, "annotation": {"id": 3, "result": results}, "project": {"id": project, "token": SECRET}}


def waiting(tmp_path: Path) -> list[Check]:
    return SqliteQueue(queue_file(tmp_path / "data")).waiting()


def settled(server: Server) -> None:
    """Checks are kept behind the answer's back where the disk is slow."""
    if server.runtime.inbox._writer is not None:
        server.runtime.inbox._writer.submit(lambda: None).result()


def test_accepted_regions_and_the_wish_for_training_are_queued(server: Server, tmp_path: Path) -> None:
    for body in (
        event("ANNOTATION_CREATED", 7, "brushlabels"),
        event("ANNOTATION_UPDATED", 7, "polygonlabels"),
        event("ANNOTATION_CREATED", 8, "brushlabels"),
        {"action": "START_TRAINING", "project": {"id": 7}},
        event("ANNOTATION_CREATED", 9, "keypointlabels"),
        event("PROJECT_UPDATED", 9, "brushlabels"),
        {"action": "START_TRAINING"},
    ):
        answer = server.post("/webhook", body)
        assert answer.status_code == 200 and answer.json == {"status": "noted"}
    settled(server)
    assert waiting(tmp_path) == [Check(7, asked=True, events=3), Check(8)]


def test_the_token_stays_out_of_the_queue(server: Server, tmp_path: Path) -> None:
    server.post("/webhook", event("ANNOTATION_CREATED", 7, "brushlabels"))
    settled(server)
    for file in (tmp_path / "data").rglob("*"):
        assert file.is_dir() or SECRET.encode() not in file.read_bytes()


def test_a_stranger_cannot_start_training_and_an_event_is_only_a_hint(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(basic_auth_user="ann", basic_auth_password="pwd")
    assert server.post("/webhook", {"action": "START_TRAINING", "project": {"id": 7}}).status_code == 401
    settled(server)
    assert waiting(tmp_path) == []
    assert server.post("/webhook", event("ANNOTATION_CREATED", 7, "brushlabels")).status_code == 200
    settled(server)
    assert waiting(tmp_path) == [Check(7, asked=False)]
    assert server.post("/webhook", {"action": "START_TRAINING", "project": {"id": 7}}, auth=("ann", "pwd")).status_code == 200
    settled(server)
    assert waiting(tmp_path) == [Check(7, asked=True, events=2)]


def test_a_queue_that_fails_does_not_fail_the_annotator(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue_file(tmp_path / "data").parent.mkdir(parents=True)
    queue_file(tmp_path / "data").write_bytes(b"no database" * 100)
    assert server.post("/webhook", event("ANNOTATION_CREATED", 7, "brushlabels")).status_code == 200
    settled(server)
    assert "an event of project 7 is lost" in caplog.text and SECRET not in caplog.text


def test_nobody_waits_for_a_slow_queue() -> None:
    class Slow:
        def __init__(self) -> None:
            self.may, self.kept = threading.Event(), list[Check]()

        def put(self, check: Check) -> None:
            self.may.wait(60)
            if check.project == 2:
                raise UsageError("no")
            self.kept.append(check)

    slow = Slow()
    inbox = Inbox(slow)
    for project in (1, 2, 3):
        inbox.put(Check(project))
    assert slow.kept == [], "put came back before anything was kept"
    slow.may.set()
    assert inbox._writer is not None
    inbox._writer.shutdown()
    assert slow.kept == [Check(1), Check(3)]


def test_a_version_that_cannot_be_used_is_not_listed(server: Server, tmp_path: Path) -> None:
    before = server.client.get("/versions").json
    assert before["current"] == {}
    versions = server.runtime.versions
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"x")
    versions.add(7, file, model="fake", parent=SHIPPED, about={})
    versions.promote(7, 1)
    assert server.client.get("/versions").json == before
