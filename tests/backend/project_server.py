"""A Label Studio in a thread, as far as an export asks it: projects, lists of tasks, and exports of chosen tasks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "0123456789abcdef0123456789abcdef01234567"
BREAKS_OFF = 0  # a failure: half of the body comes
CONFIG = (
    '<View><Image name="img" value="$image"/>'
    '<BrushLabels name="b" toName="img"><Label value="roof" background="#ff0000"/></BrushLabels></View>'
)


@dataclass
class ProjectServer:
    """tasks: by number. failures: statuses (or BREAKS_OFF) that the next exports get instead. exports: numbers asked for.

    redirect: another server's address. requests: how many came.
    """

    tasks: dict[int, dict[str, Any]]
    page_size: int = 1000
    redirect: str | None = None
    requests: int = 0
    failures: list[int] = field(default_factory=list)
    exports: list[list[int]] = field(default_factory=list)
    url: str = ""

    def reply(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        if path == "/api/projects/7":
            return 200, {"id": 7, "label_config": CONFIG}
        if path == "/api/tasks" and query["project"] == ["7"]:
            size = min(self.page_size, int(query["page_size"][0]))
            start = size * (int(query["page"][0]) - 1)
            page = sorted(self.tasks)[start : start + size]
            if start and not page:
                return 404, {"detail": "Invalid page."}
            listed = [{"id": number, "updated_at": self.tasks[number]["updated_at"]} for number in page]
            return 200, {"tasks": listed, "total": len(self.tasks)}
        if path == "/api/projects/7/export":
            numbers = [int(number) for number in query["ids[]"]]
            self.exports.append(numbers)
            if self.failures and self.failures[0] != BREAKS_OFF:
                return self.failures.pop(0), {"detail": "not now"}
            return 200, [self.tasks[number] for number in numbers if number in self.tasks]
        return 404, {"detail": "No Project matches the given query."}


@contextmanager
def serving(tasks: dict[int, dict[str, Any]]) -> Iterator[ProjectServer]:
    """A server of project 7 at `url`."""
    server = ProjectServer(tasks)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests += 1
            parts = urlsplit(self.path)
            breaks = server.failures[:1] == [BREAKS_OFF] and parts.path.endswith("/export")
            if self.headers["Authorization"] != f"Token {TOKEN}":
                status, answer = 401, {"detail": "Invalid token."}
            else:
                status, answer = server.reply(parts.path, parse_qs(parts.query))
            body = json.dumps(answer).encode()
            if breaks:
                server.failures.pop(0)
            self.send_response(302 if server.redirect else status)
            if server.redirect:
                self.send_header("Location", server.redirect + self.path)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if breaks else body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
