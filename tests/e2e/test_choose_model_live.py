"""The annotator chooses the model while annotating, in a real browser, with the shipped interface for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from editor import Answer, Editor
from label_studio_sdk import LabelStudio
from roofs import Roof
from running import CHECKOUT, RunningStudio

from backend.commands.export import command as export
from backend.studio.project import ProjectPlan, prepare_project

pytestmark = pytest.mark.e2e

INTERFACE = CHECKOUT / "label_config" / "choose-model.xml"
# SAM's place is taken by a model with generated weights, RITM's by one that is on no machine before someone has converted it by hand.
TINY, ABSENT = "simpleclick_tiny", "simpleclick_vit_huge_sbd"
REFINED = "auto:4@clicks=all"


@pytest.fixture(scope="module")
def interface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("interface") / "choose-model.xml"
    file.write_text(INTERFACE.read_text().replace('"sam_vit_b"', f'"{TINY}"').replace('"ritm_hrnet32_cocolvis"', f'"{ABSENT}"'))
    assert file.read_text().count(TINY) == file.read_text().count(ABSENT) == 1
    return file


@pytest.fixture(scope="module")
def project(studio: RunningStudio, interface: Path) -> int:
    """A project of the same chips whose config has several smart tags."""
    running = studio.running
    client = LabelStudio(base_url=running["url"], api_key=studio.login["token"])
    (chips,) = [path for path in (studio.folder / "files").iterdir() if path.is_dir()]
    tasks = json.loads((chips / "tasks.json").read_text())
    plan = ProjectPlan("models", "the same chips, model by click", interface.read_text(), tasks, chips, running["backend_url"])
    return prepare_project(client, plan)


def answered_by(answer: Answer) -> dict[str, Any]:
    (region,) = answer.regions
    return {name: region["meta"]["rsiseg"][name] for name in ("model", "cfr", "clicks")}


def tags(answer: Answer) -> list[list[str]]:
    """The `from_name`s of each point that was sent."""
    found: dict[str, list[str]] = {}
    for item in answer.context["result"]:
        found.setdefault(item["id"], []).append(item["from_name"])
    return list(found.values())


def failures(studio: RunningStudio) -> float:
    text = requests.get(studio.running["backend_url"] + "/metrics", timeout=60).text
    counted = [line for line in text.splitlines() if line.startswith('rsiseg_failures_total{reason="ModelError"}')]
    return float(counted[0].rsplit(" ", 1)[1]) if counted else 0.0


def test_the_model_is_switched_between_two_clicks_on_one_object(
    editor: Editor, studio: RunningStudio, roofs: list[Roof], project: int, interface: Path, model: str, tmp_path: Path
) -> None:
    roof = roofs[0]
    tasks = studio.get(f"/api/tasks?project={project}&page_size=100")["tasks"]
    task = next(task for task in tasks if task["data"]["image"] == roof.task["data"]["image"])
    places = iter([(roof.col + dx, roof.row + dy) for dx, dy in ((0, 0), (14, 6), (-14, 8), (10, -8), (-12, -6))])

    def click(**how: bool) -> Answer:
        return editor.click(*next(places), native=roof.native, **how)

    editor.open_task(project, task["id"])
    editor.keep_label_selected()
    editor.switch_on_auto_annotation()
    editor.choose("building")
    first = click()
    assert answered_by(first) == {"model": model, "cfr": "off", "clicks": 1}

    editor.choose("RITM")
    before = failures(studio)
    second = click()
    assert second.regions == [], "a model whose weights are not here answers nothing"
    assert failures(studio) == before + 1
    log = (studio.folder / "logs" / "backend.log").read_text()
    assert f"the weights of {ABSENT} are not on this machine" in log
    assert f"rsiseg weights convert sbd_vit_huge.pth --as {ABSENT}" in log
    editor.choose("RITM")  # off again

    editor.choose("SAM")
    third = click()
    assert answered_by(third) == {"model": TINY, "cfr": "off", "clicks": 3}

    editor.choose("refined")
    editor.screenshot("switches")
    fourth = click()
    assert tags(fourth) == [["click"], ["click", "ritm"], ["click", "sam"], ["click", "refined", "sam"]]
    assert answered_by(fourth) == {"model": TINY, "cfr": REFINED, "clicks": 4}

    editor.choose("SAM")  # off again
    fifth = click()
    assert answered_by(fifth) == {"model": model, "cfr": REFINED, "clicks": 5}
    editor.accept()
    editor.screenshot("accepted")
    editor.submit()

    stored = studio.get(f"/api/projects/{project}/export?exportType=JSON")
    result = next(one for one in stored if one["id"] == task["id"])["annotations"][0]["result"]
    (brush,) = [item for item in result if item["type"] == "brushlabels"]
    assert (brush["from_name"], brush["value"]["brushlabels"]) == ("mask", ["building"])
    meta = brush["meta"]["rsiseg"]
    assert (meta["model"], meta["cfr"]) == (model, REFINED)
    assert meta["version"].endswith("+acfr4@clicks=all")
    (tmp_path / "stored.json").write_text(json.dumps(stored))
    arguments = [str(tmp_path / "stored.json"), "--out", str(tmp_path / "out.geojson"), "--label-config", str(interface)]
    assert CliRunner().invoke(export, arguments, catch_exceptions=False).exit_code == 0
    (feature,) = json.loads((tmp_path / "out.geojson").read_text())["features"]
    assert {name: feature["properties"][name] for name in ("class", "model", "cfr", "clicks")} == {
        "class": "building", "model": model, "cfr": REFINED, "clicks": 5,
    }  # fmt: skip


def test_a_class_of_another_tag_hands_the_object_to_that_tags_model(
    editor: Editor, studio: RunningStudio, roofs: list[Roof], model: str
) -> None:
    """Two smart tags that share their labels: the editor sends one point under both, and the last `from_name` decides."""
    running = studio.running
    client = LabelStudio(base_url=running["url"], api_key=studio.login["token"])
    (chips,) = [path for path in (studio.folder / "files").iterdir() if path.is_dir()]
    chip_tasks = json.loads((chips / "tasks.json").read_text())
    plan = ProjectPlan("shared", "two tags with one label", SHARED, chip_tasks, chips, running["backend_url"])
    project = prepare_project(client, plan)
    roof = roofs[0]
    tasks = studio.get(f"/api/tasks?project={project}&page_size=100")["tasks"]
    task = next(task for task in tasks if task["data"]["image"] == roof.task["data"]["image"])
    editor.open_task(project, task["id"])
    editor.keep_label_selected()
    editor.switch_on_auto_annotation()
    editor.choose("roof A")
    assert answered_by(editor.click(roof.col, roof.row, native=roof.native))["model"] == model
    editor.choose("roof B")
    both = editor.click(roof.col + 14, roof.row + 6, native=roof.native)
    assert tags(both) == [["a"], ["a", "b"]]
    assert [item["value"]["keypointlabels"] for item in both.context["result"]] == [["building"]] * 3
    assert answered_by(both) == {"model": TINY, "cfr": "2", "clicks": 2}
    editor.accept()


# The aliases are what is sent; the values tell the two labels apart on the page.
SHARED = f"""<View style="display: flex; gap: 12px">
  <View style="flex: 0 0 150px">
    <KeyPointLabels name="a" toName="image" smart="true" smartOnly="true" showInline="false">
      <Label value="roof A" alias="building" background="#ff0044"/>
    </KeyPointLabels>
    <KeyPointLabels name="b" toName="image" smart="true" smartOnly="true" model_name="{TINY}" model_cfr="2" showInline="false">
      <Label value="roof B" alias="building" background="#ff8000"/>
    </KeyPointLabels>
    <BrushLabels name="mask" toName="image" smart="false" showInline="false"><Label value="building" background="#ff0044"/></BrushLabels>
  </View>
  <View style="flex: 1 1 auto; min-width: 0"><Image name="image" value="$image"/></View>
</View>"""
