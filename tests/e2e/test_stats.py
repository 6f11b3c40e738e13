"""`rsiseg stats` on what the real Label Studio exports: clicks through its API, annotations with the answers, the export, the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from own_project import OwnProject, own_project
from roofs import Roof
from running import RunningStudio

from backend.commands.stats import command

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def project(studio: RunningStudio) -> OwnProject:
    return own_project(studio, "stats")


def prompt(task: dict[str, Any], label: str, number: int, col: float, row: float) -> dict[str, Any]:
    _, _, width, height = task["data"]["window"]
    value = {"x": col / width * 100, "y": row / height * 100, "width": 0.2, "labels": [label], "keypointlabels": [label]}
    item = {"id": f"point{number}", "type": "keypointlabels", "from_name": "click", "to_name": "image", "value": value, "is_positive": True}
    return {**item, "original_width": width, "original_height": height, "image_rotation": 0, "origin": "manual"}


def clicked(project: OwnProject, task: dict[str, Any], label: str, points: list[tuple[float, float]]) -> dict[str, Any]:
    """The region after the last of so many clicks, each sent as the editor sends it: with all before it."""
    prompts = [prompt(task, label, number, col, row) for number, (col, row) in enumerate(points)]
    for count in range(1, len(prompts) + 1):
        body = {"task": task["id"], "context": {"result": prompts[:count]}}
        answer = project.ask("POST", f"/api/ml/{project.backend['id']}/interactive-annotating", body)["data"]
    (region,) = answer["result"]
    assert region["meta"]["rsiseg"]["clicks"] == len(points)
    return region


def test_clicks_that_label_studio_stored_are_the_clicks_that_were_made(project: OwnProject, roofs: list[Roof], tmp_path: Path) -> None:
    windows = {tuple(task["data"]["window"]): task for task in project.tasks()}
    (first, one), (second, other) = ((windows[tuple(roof.task["data"]["window"])], roof) for roof in roofs[:2])
    roof = clicked(project, first, "building", [(one.col, one.row)])
    tree = clicked(project, first, "tree", [(20.5, 20.5), (30.5, 20.5)])
    third = clicked(project, second, "building", [(other.col, other.row), (other.col + 4, other.row), (other.col, other.row + 4)])
    # The label stayed selected while the mask was accepted: Label Studio stores it again, as a key point under the same id.
    again = {**prompt(first, "building", 9, one.col, one.row), "id": roof["id"], "meta": roof["meta"]}
    left = {**prompt(second, "building", 5, 3.0, 3.0), "id": "left-in"}
    by_hand = {
        "id": "by-hand", "type": "brushlabels", "from_name": "mask", "to_name": "image", "origin": "manual", "image_rotation": 0,
        "original_width": third["original_width"], "original_height": third["original_height"],
        "value": {**third["value"], "brushlabels": ["car"]},
    }  # fmt: skip
    for task, result, more in (
        (first, [roof, again, tree], {}),
        (second, [third, by_hand, left], {}),
        (second, [third], {"was_cancelled": True}),
    ):
        project.ask("POST", f"/api/tasks/{task['id']}/annotations/", {"result": result, **more})

    export = tmp_path / "export.json"
    export.write_text(json.dumps(project.ask("GET", f"/api/projects/{project.id}/export?exportType=JSON")))
    from_file = json.loads(CliRunner().invoke(command, [str(export), "--json"], catch_exceptions=False).stdout)
    environ = {"LABEL_STUDIO_API_KEY": project.studio.login["token"], "LABEL_STUDIO_URL": project.studio.running["url"]}
    served = CliRunner(env=environ).invoke(command, ["--project", str(project.id), "--json"], catch_exceptions=False)

    for report in (from_file, json.loads(served.stdout)):
        numbers = report["all"]
        assert (numbers["objects"], numbers["clicked"], numbers["by_hand"], numbers["clicks"]) == (4, 3, 1, 6)
        assert (numbers["mean"], numbers["median"], numbers["one_click"], numbers["beyond_limit"]) == (2, 2, pytest.approx(1 / 3), 0)
        assert [(one["class"], one["objects"], one["clicks"]) for one in report["by_class"]] == [
            ("building", 2, 4), ("car", 1, 0), ("tree", 1, 2),
        ]  # fmt: skip
        assert [one["model"] for one in report["by_model"]] == sorted(["by hand", roof["meta"]["rsiseg"]["version"]])
        assert report["annotated_tasks"] == 2
        reasons = " / ".join(report["left_out"])
        assert "key point left in the annotation" in reasons and "skipped (cancelled)" in reasons
