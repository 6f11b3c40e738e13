"""Proposals in the real Label Studio, through its API: the Data Manager's batch, a task that is opened, and a survey uploaded once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import requests
from running import CHECKOUT, RunningStudio

from backend.pre_annotation.classifiers import SHIPPED_BODY

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (CHECKOUT / "weights" / SHIPPED_BODY).exists(), reason="no object classifier is shipped"),
]
CLASSES = {"building", "impervious surfaces", "low vegetation", "tree", "car"}


class Studio:
    """What these tests ask of the API of one project."""

    def __init__(self, running: RunningStudio) -> None:
        self.running, self.url = running, running.running["url"]
        self._header = {"Authorization": f"Token {running.login['token']}"}

    def call(self, method: str, path: str, **more: Any) -> Any:
        answer = requests.request(method, self.url + path, headers=self._header, timeout=600, **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def project(self) -> tuple[int, list[int]]:
        """A project with the interface and storage of the first and its two smallest tasks, which are quickest."""
        first = self.call("get", "/api/projects/1")
        made = self.call("post", "/api/projects", json={"title": "proposals", "label_config": first["label_config"]})["id"]
        there = self.call("get", "/api/tasks?project=1&page_size=100")["tasks"]
        smallest = sorted(there, key=lambda task: task["data"]["window"][2] * task["data"]["window"][3])[:2]
        tasks = [{"data": task["data"]} for task in smallest]
        for storage in self.call("get", "/api/storages/localfiles?project=1"):
            kept = {key: storage[key] for key in ("path", "title", "use_blob_urls", "regex_filter")}
            self.call("post", "/api/storages/localfiles", json={**kept, "project": made})
        self.call("post", f"/api/projects/{made}/import", json=tasks)
        return made, [task["id"] for task in self.call("get", f"/api/tasks?project={made}&page_size=100")["tasks"]]

    def connect(self, project: int, **params: Any) -> str:
        """The backend, with these extra params; the version that it names."""
        body = {"project": project, "url": self.running.running["backend_url"], "title": "rsiseg", "extra_params": params}
        made = self.call("post", "/api/ml", json=body)
        return self.call("get", f"/api/ml/{made['id']}")["model_version"]

    def predictions(self, project: int) -> list[dict[str, Any]]:
        return self.call("get", f"/api/predictions?task__project={project}")

    def preannotate(self, project: int, *more: str) -> dict[str, Any]:
        """The command as a user gives it, beside the server."""
        folder = self.running.folder
        environ = {**os.environ, "LABEL_STUDIO_API_KEY": self.running.login["token"], "RSISEG_DATA_DIR": str(folder / "backend")}
        command = [sys.executable, "-m", "backend.cli", "preannotate", "--project", str(project), "--url", self.url, "--json", "-"]
        command += ["--document-root", str(folder / "files"), "--root", "/", *more]
        found = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=CHECKOUT, timeout=570, check=False)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def label_studio(studio: RunningStudio) -> Studio:
    return Studio(studio)


def check(prediction: dict[str, Any]) -> None:
    assert prediction["result"], "an empty prediction would keep the next one away"
    for region in prediction["result"]:
        assert region["value"]["brushlabels"][0] in CLASSES
        assert 0 <= region["score"] <= 1
        assert region["meta"]["rsiseg"]["proposed"] is True and region["meta"]["rsiseg"]["clicks"] == 0


def test_the_data_managers_batch_stores_predictions_once(label_studio: Studio) -> None:
    project, tasks = label_studio.project()
    version = label_studio.connect(project, propose="batch", propose_score=0.1)
    assert "+p" in version
    # Opening a task asks the backend too, and in this mode is not kept waiting for proposals.
    label_studio.call("get", f"/api/tasks/{tasks[0]}?project={project}")
    assert label_studio.predictions(project) == []
    body = {"selectedItems": {"all": False, "included": tasks[:2]}}
    path = f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}"
    label_studio.call("post", path, json=body)
    first = label_studio.predictions(project)
    assert {each["task"] for each in first} <= set(tasks[:2]) and first
    for each in first:
        check(each)
        assert each["model_version"] == version
    label_studio.call("post", path, json=body)
    assert {each["id"] for each in label_studio.predictions(project)} == {each["id"] for each in first}


def test_a_task_that_is_opened_where_the_project_asks_for_it(label_studio: Studio) -> None:
    project, tasks = label_studio.project()
    version = label_studio.connect(project, propose="on", propose_score=0.1)
    label_studio.call("get", f"/api/tasks/{tasks[0]}?project={project}")
    found = label_studio.predictions(project)
    assert [each["task"] for each in found] == tasks[:1]
    check(found[0])
    assert found[0]["model_version"] == version


def test_a_survey_uploads_every_prediction_once_also_without_its_ledger(label_studio: Studio) -> None:
    project, tasks = label_studio.project()
    first = label_studio.preannotate(project, "--min-score", "0.1")
    stored = label_studio.predictions(project)
    assert first["tasks"] == len(tasks) and first["uploaded"] == len(stored) == first["with_proposals"] >= 1
    assert len({each["task"] for each in stored}) == len(stored)
    for each in stored:
        check(each)
        assert each["model_version"] == first["model_version"]
    # As after a kill between an upload and its note: the ledger knows nothing of what Label Studio has.
    (label_studio.running.folder / "backend" / "surveys" / f"project-{project}.jsonl").unlink()
    again = label_studio.preannotate(project, "--min-score", "0.1")
    assert again["uploaded"] == 0 and again["had_a_prediction_of_this_version"] == len(stored)
    assert {each["id"] for each in label_studio.predictions(project)} == {each["id"] for each in stored}
