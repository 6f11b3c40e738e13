"""A Label Studio in a thread, as the doctor asks it: it calls the backend as the real one does, and can be broken in one way at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

TOKEN = "0123456789abcdef0123"
PERSONAL = "eyJhbGciOi.eyJ0eXBl.c2lnbmF0dXJl"
SHORT_LIVED = "short-lived"
CREATED = "2026-09-20T10:00:15.500000Z"
BLOCK = {"status_code": 403, "detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)"}

Answer = tuple[int, Any]


@dataclass
class Studio:
    """legacy: whether legacy tokens are taken. banned, webhooks_banned: addresses that are refused. files: the document root.

    answers: instead of the backend's, to a click. stored: what a request of the doctor would have left behind.
    """

    label_config: str
    files: Path
    tasks: list[dict[str, Any]]
    backends: list[dict[str, Any]] = field(default_factory=list)
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    storages: list[dict[str, Any]] = field(default_factory=list)
    projects: int = 1
    version: str = "1.23.2"
    legacy: bool = True
    banned: bool = False
    webhooks_banned: bool = False
    answers: Any = None
    stored: list[str] = field(default_factory=list)
    url: str = ""

    def connect(self, url: str, **changes: Any) -> None:
        """As Label Studio does it: a row and a webhook."""
        number = len(self.backends) + 1
        row = {"id": number, "url": url, "is_interactive": True, "title": "RSISeg", "auth_method": "NONE", "state": "CO"}
        self.backends.append({**row, "readable_state": "Connected", "error_message": None, "extra_params": None, **changes})
        hook = {"id": number, "project": 1, "url": f"{url}/webhook", "is_active": True, "send_payload": True, "send_for_all_actions": True}
        self.webhooks.append({**hook, "actions": []})

    def open(self, path: str) -> Answer | None:
        """What needs no token."""
        if path == "/health":
            return 200, {"status": "UP"}
        return (200, {"release": self.version}) if path == "/api/version" else None

    def get(self, path: str, query: dict[str, str]) -> Answer:
        if path == "/api/current-user/whoami":
            return 200, {"id": 1, "email": "a@example.org"}
        if path == "/api/projects":
            return 200, {"count": self.projects, "results": [self._project(number + 1) for number in range(self.projects)]}
        if path.startswith("/api/projects/"):
            number = int(path.rsplit("/", 1)[1])
            return (200, self._project(number)) if number <= self.projects else (404, {"detail": "No Project matches the given query."})
        if path == "/api/ml":
            return 200, self.backends
        if path.startswith("/api/ml/"):
            return 200, self._updated(self._backend(path))
        if path == "/api/webhooks/":
            return 200, self.webhooks
        if path == "/api/storages/localfiles":
            return 200, self.storages
        if path == "/api/tasks":
            return 200, {"total": len(self.tasks), "tasks": self.tasks[: int(query["page_size"])]}
        if path.startswith("/api/tasks/"):
            (task,) = (task for task in self.tasks if task["id"] == int(path.rsplit("/", 1)[1]))
            return 200, task
        if path == "/data/local-files/":
            file = self.files / query["d"]
            return (200, file.read_bytes()) if file.is_file() and self.storages else (404, {"detail": "Not found."})
        return 404, {"detail": "Not found."}

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        if path in ("/api/ml", "/api/webhooks/"):
            if self.banned or (self.webhooks_banned and path == "/api/webhooks/"):
                return 403, BLOCK
            if not str(body["url"]).startswith("http"):
                return 403, {"detail": "The provided URL was not allowed. URLs must use http:// or https://"}
            if isinstance(body.get("project"), int) or (path == "/api/webhooks/" and not body["actions"]):
                self.stored.append(path)
                return 201, body
            return 400, {"detail": "Validation error", "validation_errors": {"project": ["Incorrect type."]}}
        if path.endswith("/interactive-annotating"):
            return 200, self._click(self._backend(path), body)
        self.stored.append(path)
        return 201, {}

    def _project(self, number: int) -> dict[str, Any]:
        return {"id": number, "title": f"Project {number}", "created_at": CREATED, "label_config": self.label_config}

    def _backend(self, path: str) -> dict[str, Any]:
        return self.backends[int(path.split("/")[3]) - 1]

    def _updated(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label Studio asks for /health and /setup when a row is read; a password is user:password in the row."""
        login = tuple(row["login"]) if row.get("login") else None
        body = {"project": "1.1789898415", "schema": self.label_config, "hostname": self.url, "access_token": TOKEN}
        try:
            refused = self.banned or not requests.get(f"{row['url']}/health", auth=login, timeout=5).ok
        except requests.RequestException:
            refused = True
        if refused:
            return {**row, "state": "DI", "readable_state": "Disconnected"}
        setup = requests.post(f"{row['url']}/setup", json={**body, "extra_params": row["extra_params"]}, auth=login, timeout=5)
        if setup.ok:
            return {**row, "state": "CO", "readable_state": "Connected"}
        return {**row, "state": "ER", "readable_state": "Error", "error_message": f"{setup.status_code} {setup.reason}"}

    def _click(self, row: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        if not row["is_interactive"]:
            return {"errors": ["Model is not set to be used for interactive preannotations"]}
        if self.answers is not None:
            return self.answers
        (task,) = (task for task in self.tasks if task["id"] == body["task"])
        params = {"login": None, "password": None, "context": body["context"]}
        asked = {"tasks": [task], "project": "1.1789898415", "label_config": self.label_config, "params": params}
        login = tuple(row["login"]) if row.get("login") else None
        return {"data": requests.post(f"{row['url']}/predict", json=asked, auth=login, timeout=30).json()["results"][0]}


@contextmanager
def listening(studio: Studio) -> Iterator[Studio]:
    """Answers at `studio.url` as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _authorized(self) -> bool:
            header = self.headers.get("Authorization")
            return header == f"Bearer {SHORT_LIVED}" or (header == f"Token {TOKEN}" and studio.legacy)

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else {}
            if (opened := studio.open(parts.path)) is not None:
                status, answer = opened
            elif parts.path == "/api/token/refresh/":
                status, answer = (200, {"access": SHORT_LIVED}) if body == {"refresh": PERSONAL} else (401, {"detail": "Token is invalid"})
            elif not self._authorized():
                reason = (
                    "Invalid token." if studio.legacy else "Authentication token no longer valid: legacy token authentication is disabled"
                )
                status, answer = 401, {"detail": reason}
            elif self.command == "GET":
                status, answer = studio.get(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
            else:
                status, answer = studio.post(parts.path, body)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        studio.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield studio
        finally:
            server.shutdown()
