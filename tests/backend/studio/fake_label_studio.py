"""A small Label Studio over HTTP: projects, local storages, tasks in pages, the import; it answers in the shapes of version 1.23.2."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "0123456789abcdef0123"


class FakeLabelStudio:
    """What it holds, and every request it got as (method, path). fails_after: imports that are stored before one is answered with 500."""

    def __init__(self) -> None:
        self.projects: list[dict[str, Any]] = []
        self.storages: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.fails_after: int | None = None
        self.url = ""

    def get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/projects/":
            found = [one for one in self.projects if query.get("title", "") in one["title"]]
            return self._page(found, query, lambda part: {"count": len(found), "next": None, "previous": None, "results": part})
        if path.startswith("/api/projects/"):
            found = [one for one in self.projects if one["id"] == int(path.split("/")[3])]
            return (200, found[0]) if found else (404, {"detail": "No Project matches the given query."})
        if path == "/api/storages/localfiles/":
            return 200, [one for one in self.storages if one["project"] == int(query["project"])]
        if path == "/api/tasks/":
            found = [one for one in self.tasks if one["project"] == int(query["project"])]
            return self._page(found, query, lambda part: {"total": len(found), "tasks": part})
        return 404, {"detail": "not found"}

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/api/projects/":
            self.projects.append({**body, "id": len(self.projects) + 1})
            return 201, self.projects[-1]
        if path == "/api/storages/localfiles/":
            self.storages.append({**body, "id": len(self.storages) + 1, "type": "localfiles"})
            return 201, self.storages[-1]
        if path.endswith("/import"):
            project = int(path.split("/")[3])
            for task in body:
                self.tasks.append({**task, "id": len(self.tasks) + 1, "project": project})
            if self.fails_after is not None:
                self.fails_after -= 1
                if self.fails_after < 0:
                    self.fails_after = None
                    return 500, {"detail": "stored, but the answer was lost"}
            return 201, {"task_count": len(body), "annotation_count": 0, "prediction_count": 0, "duration": 0.1, "file_upload_ids": []}
        return 404, {"detail": "not found"}

    @staticmethod
    def _page(found: list[Any], query: dict[str, str], shape: Any) -> tuple[int, Any]:
        size, page = int(query.get("page_size", 100)), int(query.get("page", 1))
        part = found[(page - 1) * size : page * size]
        return (404, {"detail": "Invalid page."}) if page > 1 and not part else (200, shape(part))


@contextmanager
def fake_label_studio() -> Iterator[FakeLabelStudio]:
    """One that listens on a free port of the loopback address."""
    fake = FakeLabelStudio()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            fake.asked.append((self.command, parts.path))
            if self.headers.get("Authorization") != f"Token {TOKEN}":
                status, answer = 401, {"detail": "Invalid token."}
            else:
                status, answer = fake.get(parts.path, query) if self.command == "GET" else fake.post(parts.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        yield fake
        server.shutdown()
