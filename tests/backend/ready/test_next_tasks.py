"""The question to Label Studio, asked of a small server that answers as 1.23.2 was seen to; tests/e2e asks the real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.ready.next_tasks import NextTasks
from converters.errors import SourceError
from converters.label_studio_access import LabelStudioAccess

PERSONAL = "eyJhbGciOiJI.eyJleHAiOjgw.c2lnbmF0dXJl"


class LabelStudio(ThreadingHTTPServer):
    """Ten tasks of project 7. asked: (token, query) of each question. answer: instead of them, (status, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.answer: tuple[int, bytes] | None = None
        self.refused: set[str] = set()
        self.exchanged = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: LabelStudio

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        token = self.headers["Authorization"]
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.server.asked.append((token, query))
        if address.path != "/api/tasks" or query["project"] != "7":
            return self.say(404, b"{}")
        if token in self.server.refused:
            return self.say(401, b"{}")
        if self.server.answer is not None:
            return self.say(*self.server.answer)
        above = json.loads(query["query"])["filters"]["items"][0]["value"]
        tasks = [{"id": number, "data": {"image": f"{number}.png"}} for number in range(above + 1, 11)]
        return self.say(200, json.dumps({"tasks": tasks[: int(query["page_size"])], "total": len(tasks)}).encode())

    def do_POST(self) -> None:
        self.server.exchanged += 1
        self.say(200, json.dumps({"access": f"short-{self.server.exchanged}"}).encode())

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def studio() -> Iterator[LabelStudio]:
    with LabelStudio() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_next_unfinished_tasks_by_id_with_the_addresses_as_they_are_stored(studio: LabelStudio) -> None:
    found = NextTasks(LabelStudioAccess(studio.url, "secret")).after(7, 4, 2)
    assert found == [{"id": number, "data": {"image": f"{number}.png"}} for number in (5, 6)]
    ((token, query),) = studio.asked
    assert token == "Token secret"
    assert query["resolve_uri"] == "false"
    asked = json.loads(query["query"])
    assert asked["ordering"] == ["tasks:id"]
    assert [(item["filter"], item["operator"], item["value"]) for item in asked["filters"]["items"]] == [
        ("filter:tasks:id", "greater", 4),
        ("filter:tasks:completed_at", "empty", True),
    ]


def test_there_may_be_fewer_or_none(studio: LabelStudio) -> None:
    ask = NextTasks(LabelStudioAccess(studio.url, "secret"))
    assert [task["id"] for task in ask.after(7, 9, 2)] == [10]
    assert ask.after(7, 10, 2) == []


def test_a_personal_token_is_exchanged_and_renewed_when_it_was_refused(studio: LabelStudio) -> None:
    ask = NextTasks(LabelStudioAccess(studio.url, PERSONAL))
    ask.after(7, 1, 1)
    studio.refused.add("Bearer short-1")
    assert [task["id"] for task in ask.after(7, 1, 1)] == [2]
    assert [token for token, _ in studio.asked] == ["Bearer short-1", "Bearer short-1", "Bearer short-2"]


@pytest.mark.parametrize(
    "answer",
    [(401, b"{}"), (403, b"{}"), (302, b""), (500, b"oops"), (200, b"<html>"), (200, b"[]"), (200, b"{}"), (200, b'{"tasks": 3}')],
)
def test_any_other_answer_is_one_sentence_without_the_token(studio: LabelStudio, answer: tuple[int, bytes]) -> None:
    studio.answer = answer
    with pytest.raises(SourceError, match=f"status {answer[0]}") as raised:
        NextTasks(LabelStudioAccess(studio.url, "secret")).after(7, 1, 1)
    assert "secret" not in str(raised.value)
    assert len(studio.asked) == 1  # no redirect is followed


def test_of_what_is_no_task_nothing_is_made(studio: LabelStudio) -> None:
    studio.answer = (200, b'{"tasks": [3, null, {"data": {}}, {"id": "x"}, {"id": 4, "data": {}}, {"id": 5}, {"id": 6}]}')
    assert [task["id"] for task in NextTasks(LabelStudioAccess(studio.url, "secret")).after(7, 1, 2)] == [4, 5]


def test_nobody_there_is_one_sentence() -> None:
    with pytest.raises(SourceError, match="does not say which tasks come next"):
        NextTasks(LabelStudioAccess("http://127.0.0.1:9", "secret")).after(7, 1, 1)
