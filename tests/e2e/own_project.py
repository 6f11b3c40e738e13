"""A project of a test's own, with the chips of the demo project, connected to its backend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from label_studio_sdk import LabelStudio
from running import CHECKOUT, RunningStudio

from backend.studio.project import ProjectPlan, prepare_project

AERIAL = (CHECKOUT / "label_config" / "aerial.xml").read_text(encoding="utf-8")


@dataclass(frozen=True)
class OwnProject:
    """id: of the project. Requests are made with the login of `studio`."""

    studio: RunningStudio
    id: int

    def ask(self, method: str, path: str, body: Any = None, header: str | None = None) -> Any:
        headers = {"Authorization": header or f"Token {self.studio.login['token']}"}
        answer = requests.request(method, self.studio.running["url"] + path, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    @property
    def backend(self) -> dict[str, Any]:
        (row,) = self.ask("GET", f"/api/ml?project={self.id}")
        return row

    def tasks(self) -> list[dict[str, Any]]:
        return self.ask("GET", f"/api/tasks?project={self.id}&page_size=100&fields=all")["tasks"]


def own_project(studio: RunningStudio, name: str) -> OwnProject:
    """The project called `name`, made at the first call."""
    (storage,) = studio.get("/api/storages/localfiles?project=1")
    chips = Path(storage["path"])
    plan = ProjectPlan(
        name=name,
        identity=f"of the test {name}",
        label_config=AERIAL,
        tasks=json.loads((chips / "tasks.json").read_text()),
        storage=chips,
        backend_url=studio.running["backend_url"],
    )
    return OwnProject(studio, prepare_project(LabelStudio(base_url=studio.running["url"], api_key=studio.login["token"]), plan))
