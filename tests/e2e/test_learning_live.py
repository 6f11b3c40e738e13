"""Accumulative learning against the real Label Studio, through its API: webhooks, Start Training, a round, versions, rollback.

The round is a real one, of one step, and its verdict is what it is. The version that is then promoted and rolled back is made by hand, from
the model's weights with one tensor scaled: that one answers differently, whatever a round of one step may come to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import requests
from click.testing import CliRunner
from label_studio_sdk import LabelStudio
from own_project import AERIAL, OwnProject
from rasterio.windows import Window
from running import CHECKOUT, RunningStudio
from safetensors.torch import load_file

from backend.commands.import_rasters import command as import_command
from backend.commands.versions import command as versions_command
from backend.learning.queue import Check
from backend.learning.queues import queue_file
from backend.learning.sqlite_queue import SqliteQueue
from backend.learning.versions import SHIPPED, Versions
from backend.segmenters import catalogue
from backend.segmenters.weight_files import write_weights
from backend.studio.installation import Installation
from backend.studio.project import ProjectPlan, prepare_project
from converters.label_studio import brush_region
from converters.scene import ScenePaths, write_scene

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def survey(scene: ScenePaths) -> ScenePaths:
    folder = scene.image.parent / "learning"  # below the backend's root
    folder.mkdir()
    return write_scene(folder, size=1000, seed=11)


@pytest.fixture(scope="module")
def project(studio: RunningStudio, survey: ScenePaths) -> OwnProject:
    """Sixteen chips of a raster; two of them are held out, by their names."""
    out = studio.folder / "files" / "learning"
    words = [str(survey.image), "--out", str(out), "--document-root", str(studio.folder / "files"), "--chip", "250"]
    done = CliRunner().invoke(import_command, words)
    assert done.exit_code == 0, done.output
    plan = ProjectPlan(
        name="learning",
        identity="of the test of learning",
        label_config=AERIAL,
        tasks=json.loads((out / "tasks.json").read_text()),
        storage=out,
        backend_url=studio.running["backend_url"],
    )
    client = LabelStudio(base_url=studio.running["url"], api_key=studio.login["token"])
    return OwnProject(studio, prepare_project(client, plan))


@pytest.fixture(scope="module")
def data_dir(studio: RunningStudio) -> Path:
    return Installation(studio.folder).backend


def regions(task: dict[str, Any], survey: ScenePaths) -> list[dict[str, Any]]:
    """The roofs, trees and cars of a chip as accepted masks, and a key point that somebody left there."""
    with rasterio.open(survey.objects) as objects:
        numbers = objects.read(1, window=Window(*task["data"]["window"]))
    found = [
        brush_region(numbers == number, id=f"r{number}", label="building", from_name="brush", to_name="image")
        for number in np.unique(numbers)
        if number and np.count_nonzero(numbers == number) >= 100
    ]
    size = {"original_width": numbers.shape[1], "original_height": numbers.shape[0], "image_rotation": 0}
    prompt = {"x": 5, "y": 5, "width": 0.2, "keypointlabels": ["building"]}
    tag = {"from_name": "click", "to_name": "image", "type": "keypointlabels"}
    return [*found, {**size, **tag, "id": "left-over", "value": prompt}]


def click_on(project: OwnProject, task: dict[str, Any], *places: tuple[float, float]) -> dict[str, Any]:
    """The answer to clicks at these places, percent, through Label Studio as the editor asks."""
    _, _, width, height = task["data"]["window"]
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    tag = {"from_name": "click", "to_name": "image", "type": "keypointlabels", "origin": "manual"}
    points = [
        {**size, **tag, "value": {"x": x, "y": y, "width": 0.2, "labels": ["building"], "keypointlabels": ["building"]}, "id": f"p{n}"}
        for n, (x, y) in enumerate(places)
    ]
    context = {"result": [{**one, "is_positive": True} for one in points]}
    answer = project.ask("POST", f"/api/ml/{project.backend['id']}/interactive-annotating", {"task": task["id"], "context": context})
    assert "errors" not in answer, answer
    return answer["data"]


def versions_by_api(project: OwnProject) -> list[str]:
    """What Label Studio lists for the backend."""
    return project.ask("GET", f"/api/ml/{project.backend['id']}/versions")["versions"]


def worker(studio: RunningStudio, survey: ScenePaths, data_dir: Path, model: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "backend.cli", "worker", "--once", "--data-dir", str(data_dir), "--root", str(survey.image.parent)]
    command += ["--label-studio-url", studio.running["url"], "--model", model, "--device", "cpu", "--threads", "1", *words]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RSISEG_", "REDIS_"))}
    environ["LABEL_STUDIO_API_KEY"] = studio.login["token"]
    return subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not reached():
        assert time.monotonic() < deadline, f"after 300 s: {what}"
        time.sleep(0.2)


def test_accepted_annotations_are_queued_learned_from_and_judged_while_clicks_are_answered(
    studio: RunningStudio, project: OwnProject, survey: ScenePaths, data_dir: Path, model: str
) -> None:
    queue = SqliteQueue(queue_file(data_dir))

    def waiting() -> Check | None:
        return next((check for check in queue.waiting() if check.project == project.id), None)

    tasks = sorted(project.tasks(), key=lambda task: task["id"])
    accepted = {task["id"]: regions(task, survey) for task in tasks}
    for number, results in accepted.items():
        project.ask("POST", f"/api/tasks/{number}/annotations", {"result": results})
    annotated = sum(len(results) > 1 for results in accepted.values())
    objects = sum(len(results) - 1 for results in accepted.values())
    until(lambda: waiting() == Check(project.id, asked=False, events=annotated), f"{waiting()} waits, not {annotated} events")
    assert studio.login["token"].encode() not in queue_file(data_dir).read_bytes()

    project.ask("POST", f"/api/ml/{project.backend['id']}/train")
    until(lambda: waiting() == Check(project.id, asked=True, events=annotated + 1), "Start Training is not queued")

    before = click_on(project, tasks[5], (50, 50))["model_version"]
    process = worker(studio, survey, data_dir, model, "--steps", "1", "--batch", "2", "--replay", "none")
    answered = 0
    while process.poll() is None:
        assert click_on(project, tasks[5], (10 + answered % 80, 20))["model_version"] == before or answered
        answered += 1
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert answered > 0, "no click was answered during the round"
    assert waiting() is None, said
    (record,) = [json.loads(path.read_text()) for path in (data_dir / "learning" / str(project.id)).glob("rounds/*/record.json")]
    assert (record["objects"], record["asked"], record["held out"]["images"]) == (objects, True, 2)
    assert record["verdict"]["objects"] == record["held out"]["objects"] >= 8
    low, high = record["verdict"]["interval"]
    assert low <= record["verdict"]["difference"] <= high
    assert (record["promoted"] is not None) == (high < 0), record["why"]
    assert record["why"] in said


def test_a_promoted_version_is_listed_answers_the_next_click_and_is_rolled_back(
    studio: RunningStudio, project: OwnProject, data_dir: Path, model: str, tmp_path: Path
) -> None:
    task = min(project.tasks(), key=lambda one: one["id"])
    versions = Versions(data_dir)
    here = versions.current(project.id)
    parent = SHIPPED if here is None else here.number
    before = click_on(project, task, (50, 50))
    changed = versions.add(project.id, changed_weights(model, tmp_path), model=model, parent=parent, about={"made by": "this test"})
    version = f"{model}.project{project.id}.v{changed.number}@"
    assert any(name.startswith(version) for name in versions_by_api(project)), "a version is listed before it answers"
    assert click_on(project, task, (50, 50))["model_version"] == before["model_version"], "and does not answer before it is promoted"

    words = ["--project", str(project.id), "--data-dir", str(data_dir)]
    done = CliRunner().invoke(versions_command, ["promote", str(changed.number), *words])
    assert done.exit_code == 0, done.output
    # Two clicks of one object: the first was answered by the old weights, the next is by the new ones, on the whole list.
    until(lambda: click_on(project, task, (50, 50), (52, 52))["model_version"].startswith(version), "the version does not answer")
    answer = click_on(project, task, (50, 50), (52, 52))
    assert all(region["meta"]["rsiseg"]["version"] == answer["model_version"] for region in answer["result"])
    assert answer["model_version"] in versions_by_api(project)
    said = requests.get(studio.running["backend_url"] + "/versions", timeout=60).json()
    assert said["current"][str(project.id)] == answer["model_version"]
    project.ask("GET", f"/api/ml/{project.backend['id']}")  # has Label Studio call /setup
    assert project.backend["model_version"].startswith(answer["model_version"]), "what /setup names may say more, of proposals"
    assert click_on_demo(studio) == catalogue.shipped().version(model), "other projects go on with the shipped weights"

    done = CliRunner().invoke(versions_command, ["rollback", *words, "--json"])
    assert done.exit_code == 0 and json.loads(done.output) == {"project": project.id, "current": parent}
    until(lambda: click_on(project, task, (50, 50))["model_version"] == before["model_version"], "the rollback does not answer")
    assert masks(click_on(project, task, (50, 50))) == masks(before)


def masks(answer: dict[str, Any]) -> list[Any]:
    return [region["value"]["rle"] for region in answer["result"]]


def click_on_demo(studio: RunningStudio) -> str:
    demo = OwnProject(studio, 1)
    return click_on(demo, min(demo.tasks(), key=lambda one: one["id"]), (50, 50))["model_version"]


def changed_weights(model: str, folder: Path) -> Path:
    """The model's weights with its last layer scaled."""
    entry = catalogue.entry(model)
    if entry.file is None:
        pytest.skip(f"{model} has no weight file: its weights come from a formula")
    tensors = load_file(entry.file)
    name = next(name for name in reversed(list(tensors)) if tensors[name].is_floating_point() and tensors[name].ndim > 1)
    tensors[name] = tensors[name] * 1.5
    path = folder / "changed.safetensors"
    write_weights(path, tensors, family=entry.family, architecture=entry.architecture, recipes=entry.recipes, licence=entry.licence)
    return path
