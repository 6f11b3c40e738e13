"""Every shipped interface is one that the real Label Studio takes, and change review is clicked on in both of its views."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from editor import Editor
from label_studio_sdk import LabelStudio
from place import decoded, iou
from roofs import Roof
from running import CHECKOUT, RunningStudio

from backend.commands.import_rasters import command as import_rasters
from backend.commands.label_config import command as label_config
from backend.studio.project import ProjectPlan, prepare_project
from converters.scene import ScenePaths

pytestmark = pytest.mark.e2e

INTERFACES = sorted((CHECKOUT / "label_config").glob("*.xml"))


def accepted(studio: RunningStudio, xml: str) -> str:
    """Label Studio's answer to an interface; empty when it takes it."""
    answer = requests.post(
        studio.running["url"] + "/api/projects/validate",
        json={"label_config": xml},
        headers={"Authorization": f"Token {studio.login['token']}"},
        timeout=60,
    )
    return "" if answer.status_code == 204 else answer.text


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.stem)
def test_label_studio_takes_a_shipped_interface(studio: RunningStudio, path: Path) -> None:
    assert accepted(studio, path.read_text()) == ""


@pytest.mark.parametrize(
    "options",
    [
        ("--classes", 'roof,a "b" <c> & d,road=#ff0044'),
        (
            "--classes",
            "roof",
            "--shape",
            "both",
            "--model",
            "default",
            "--choose-model",
            "sam_vit_b",
            "--choose-model",
            "ritm_hrnet18s_cocolvis",
        ),
        ("--classes", "roof,tree", "--shape", "both", "--model", "default", "--choose-model", "sam_vit_b", "--two-views"),
    ],
)
def test_label_studio_takes_what_the_command_writes(studio: RunningStudio, options: tuple[str, ...]) -> None:
    done = CliRunner().invoke(label_config, list(options))
    assert done.exit_code == 0, done.exception
    assert accepted(studio, done.stdout) == ""


def test_both_views_of_change_review_are_answered_from_the_same_pixels(
    editor: Editor, studio: RunningStudio, scene: ScenePaths, roofs: list[Roof]
) -> None:
    out = studio.folder / "files" / "two-views"
    arguments = [str(scene.image), "--out", str(out), "--document-root", str(studio.folder / "files"), "--chip", "600"]
    done = CliRunner().invoke(import_rasters, [*arguments, "--view", "true", "--view", "cir"])
    assert done.exit_code == 0, done.output
    tasks = json.loads((out / "tasks.json").read_text())
    client = LabelStudio(base_url=studio.running["url"], api_key=studio.login["token"])
    interface = (CHECKOUT / "label_config" / "change_review.xml").read_text()
    project = prepare_project(client, ProjectPlan("review", "two views", interface, tasks, out, studio.running["backend_url"]))
    listed = studio.get(f"/api/tasks?project={project}&page_size=100")["tasks"]
    roof = roofs[0]
    task = next(task for task in listed if task["data"]["window"] == roof.task["data"]["window"])

    editor.open_task(project, task["id"])
    editor.keep_label_selected()
    editor.switch_on_auto_annotation()
    masks = []
    for view, (tag, image) in enumerate((("mask", "image"), ("mask_infrared", "infrared"))):
        editor.look_at(view)
        editor.choose("new")
        (region,) = editor.click(roof.col, roof.row, native=roof.native).regions
        assert (region["from_name"], region["to_name"]) == (tag, image)
        masks.append(decoded(region))
        editor.screenshot(f"view-{view}")
        editor.reject()
    assert iou(*masks) == 1.0
