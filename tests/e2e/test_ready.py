"""Tasks of the real Label Studio are ready before anybody clicks: when the project, a task or a batch is opened, and the tasks after it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from label_studio_sdk import LabelStudio
from own_project import AERIAL, OwnProject
from running import RunningStudio

from backend.commands.import_rasters import command
from backend.studio.project import ProjectPlan, prepare_project
from converters.scene import ScenePaths, write_scene

pytestmark = pytest.mark.e2e


def counted(studio: RunningStudio, name: str) -> dict[str, float]:
    """One family of the backend's counters, by outcome."""
    text = requests.get(studio.running["backend_url"] + "/metrics", timeout=60).text
    return {outcome: float(value) for outcome, value in re.findall(rf'^{name}{{outcome="(\w+)"}} (\S+)$', text, re.MULTILINE)}


def disk(studio: RunningStudio, outcome: str) -> float:
    return counted(studio, "rsiseg_disk_cache_total").get(outcome, 0.0)


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not reached():
        assert time.monotonic() < deadline, f"after 300 s: {what}"
        time.sleep(0.2)


def new_project(studio: RunningStudio, scene: ScenePaths) -> OwnProject:
    """Four chips of a raster that nothing has read yet; connecting the backend is what opens a project, to the backend."""
    folder = scene.image.parent / "ready"  # below the backend's root
    folder.mkdir()
    raster, out = write_scene(folder, size=1000, seed=7).image, studio.folder / "files" / "ready"
    done = CliRunner().invoke(command, [str(raster), "--out", str(out), "--document-root", str(studio.folder / "files"), "--chip", "500"])
    assert done.exit_code == 0, done.output
    plan = ProjectPlan(
        name="ready",
        identity="of the test of tasks made ready",
        label_config=AERIAL,
        tasks=json.loads((out / "tasks.json").read_text()),
        storage=out,
        backend_url=studio.running["backend_url"],
    )
    client = LabelStudio(base_url=studio.running["url"], api_key=studio.login["token"])
    return OwnProject(studio, prepare_project(client, plan))


def click_on(task: dict[str, Any]) -> dict[str, Any]:
    """A click in the middle, as the editor sends it."""
    _, _, width, height = task["data"]["window"]
    value = {"x": 50, "y": 50, "width": 0.2, "labels": ["building"], "keypointlabels": ["building"]}
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    tag = {"from_name": "click", "to_name": "image", "type": "keypointlabels", "origin": "manual"}
    return {"task": task["id"], "context": {"result": [{**size, **tag, "value": value, "id": "ready-1", "is_positive": True}]}}


def test_the_first_click_finds_its_encoding_whatever_opened_the_task(studio: RunningStudio, scene: ScenePaths) -> None:
    before = disk(studio, "written")

    def written() -> float:
        return disk(studio, "written") - before

    project = new_project(studio, scene)
    first, _, third, fourth = sorted(project.tasks(), key=lambda task: task["id"])
    until(lambda: written() == 2, f"opening the project made {written()} of its first two tasks ready")

    selected = {"selectedItems": {"all": False, "included": [third["id"]]}}
    project.ask("POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project.id}", selected)
    until(lambda: written() == 4, f"a batch of the third task made {written() - 2} tasks ready: it and the one after it")

    kept = counted(studio, "rsiseg_warmed_total").get("kept", 0)
    project.ask("GET", f"/api/tasks/{first['id']}?project={project.id}")  # as the editor does
    until(lambda: counted(studio, "rsiseg_warmed_total").get("kept", 0) > kept, "opening a task was not noticed")

    asked = disk(studio, "hit") + disk(studio, "miss")
    answer = project.ask("POST", f"/api/ml/{project.backend['id']}/interactive-annotating", click_on(fourth))
    assert "errors" not in answer, answer
    assert answer["data"]["model_version"] != "none"
    assert disk(studio, "hit") + disk(studio, "miss") == asked, "the click had to look for its encoding"
    assert written() == 4
    assert "failed" not in counted(studio, "rsiseg_warmed_total")
