"""What `rsiseg up` promises beside the click: the same project again, nothing for others to read, nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from label_studio_sdk import LabelStudio
from running import CHECKOUT, RunningStudio

from backend.studio.project import ProjectPlan, connect_backend, prepare_project
from converters.scene import ScenePaths

pytestmark = pytest.mark.e2e


def test_chips_are_tasks_and_are_served(studio: RunningStudio) -> None:
    tasks = studio.get("/api/tasks?project=1&page_size=100")["tasks"]
    assert sorted(task["data"]["window"] for task in tasks) == [
        [0, 0, 600, 600],
        [0, 600, 600, 400],
        [600, 0, 400, 600],
        [600, 600, 400, 400],
    ]
    (backend,) = studio.get("/api/ml?project=1")
    assert backend["is_interactive"]
    assert backend["readable_state"] == "Connected"


def test_preparing_the_project_again_changes_nothing(studio: RunningStudio) -> None:
    before = studio.get("/api/projects/1"), studio.get("/api/tasks?project=1&page_size=100"), studio.get("/api/ml?project=1")
    (storage,) = studio.get("/api/storages/localfiles?project=1")  # beside it lie the folders of other tests' projects
    chips = Path(storage["path"])
    plan = ProjectPlan(
        name="another title",
        identity=before[0]["description"],
        label_config="<View/>",
        tasks=json.loads((chips / "tasks.json").read_text()),
        storage=chips,
        backend_url=studio.running["backend_url"],
    )
    assert prepare_project(LabelStudio(base_url=studio.running["url"], api_key=studio.login["token"]), plan) == 1
    assert studio.get("/api/projects/1")["title"] == before[0]["title"]
    assert studio.get("/api/projects/1")["label_config"] == before[0]["label_config"]
    assert [task["id"] for task in studio.get("/api/tasks?project=1&page_size=100")["tasks"]] == [task["id"] for task in before[1]["tasks"]]
    assert [backend["id"] for backend in studio.get("/api/ml?project=1")] == [backend["id"] for backend in before[2]]


def test_backend_at_another_address_is_moved_with_its_webhook(studio: RunningStudio) -> None:
    client = LabelStudio(base_url=studio.running["url"], api_key=studio.login["token"])
    here = studio.running["backend_url"]
    try:
        for url in (here.replace("127.0.0.1", "localhost"), here):
            connect_backend(client, 1, url)
            assert [backend["url"] for backend in studio.get("/api/ml?project=1")] == [url]
            assert [webhook["url"] for webhook in studio.get("/api/webhooks/?project=1")] == [f"{url}/webhook"]
    finally:
        connect_backend(client, 1, here)


def test_login_is_for_the_owner_only(studio: RunningStudio) -> None:
    assert (studio.folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert studio.folder.stat().st_mode & 0o077 == 0
    secrets = (studio.login["password"], studio.login["token"])
    commands = [Path(f"/proc/{process}/cmdline").read_text() for process in studio.processes()]
    assert len(commands) >= 3
    assert not any(secret in text for secret in secrets for text in commands)
    logs = [log.read_text(errors="replace") for log in (studio.folder / "logs").iterdir()]
    assert len(logs) == 2
    assert not any(secret in text for secret in secrets for text in logs)


def test_second_start_in_the_same_folder_is_refused(studio: RunningStudio, scene: ScenePaths) -> None:
    command = [sys.executable, "-m", "backend.cli", "up", str(scene.image), "--data-dir", str(studio.folder)]
    command += ["--port", "0", "--backend-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=120, check=False)
    assert done.returncode == 1
    assert "another `rsiseg up` runs with" in done.stderr
    assert "Traceback" not in done.stderr


# The last test of the folder: it takes the servers away.
def test_zz_ctrl_c_leaves_no_process(studio: RunningStudio) -> None:
    assert len(studio.processes()) >= 3
    assert studio.interrupt() == 0
    assert studio.processes() == []
    assert not (studio.folder / "running.json").exists()
