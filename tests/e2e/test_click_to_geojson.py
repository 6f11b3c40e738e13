"""The whole way in a real browser: a click, its mask, its place on the map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from editor import Answer, Editor
from label_studio_sdk import LabelStudio
from place import decoded, has_holes, iou, largest_part, on_map, outline, pixels
from roofs import Roof
from running import CHECKOUT, STAND_IN, RunningStudio

from backend.commands.export import command as export
from backend.studio.project import ProjectPlan, prepare_project
from converters.scene import ScenePaths

pytestmark = pytest.mark.e2e

BRUSH = CHECKOUT / "label_config" / "aerial.xml"
POLYGON = CHECKOUT / "label_config" / "aerial_polygon.xml"


def draw(editor: Editor, roof: Roof, clicks: Sequence[tuple[float, float, bool]], *, project: int, task: int) -> list[Answer]:
    """Opens the chip, does what the three sentences of `rsiseg up` say, accepts and submits."""
    editor.open_task(project, task)
    editor.screenshot("opened")
    editor.keep_label_selected()
    editor.switch_on_auto_annotation()
    editor.choose("building")
    answers = []
    for number, (col, row, positive) in enumerate(clicks, start=1):
        answers.append(editor.click(col, row, native=roof.native, alt=not positive))
        editor.screenshot(f"click_{number}")
    editor.accept()
    editor.screenshot("accepted")
    editor.submit()
    return answers


def points(answer: Answer, native: tuple[int, int]) -> list[tuple[float, float, bool]]:
    """The clicks that Label Studio sent, (col, row, positive) in native px."""
    width, height = native
    values = [(item["value"], item["is_positive"]) for item in answer.context["result"]]
    return [(value["x"] / 100 * width, value["y"] / 100 * height, positive) for value, positive in values]


def test_brush_mask_reaches_the_map_bit_for_bit(
    editor: Editor, studio: RunningStudio, roofs: list[Roof], scene: ScenePaths, model: str
) -> None:
    roof = roofs[0]
    clicks = [(roof.col, roof.row, True), (roof.col + 20, roof.row + 12, True), (2.5, roof.native[1] - 2.5, False)]

    answers = draw(editor, roof, clicks, project=1, task=roof.task["id"])

    # What Label Studio sent: all clicks in order, each within a screen pixel of where the mouse was.
    sent = points(answers[-1], roof.native)
    assert [positive for *_, positive in sent] == [True, True, False]
    assert np.allclose([point[:2] for point in sent], [click[:2] for click in clicks], atol=1.0)

    # What the backend answered: one brush region, neither empty nor everything, and another after each click.
    masks = [decoded(answer.regions[0]) for answer in answers]
    assert [len(answer.regions) for answer in answers] == [1, 1, 1]
    assert all(0.001 < mask.mean() < 0.999 for mask in masks)
    assert len({mask.tobytes() for mask in masks}) > 1
    if model != STAND_IN:
        assert [bool(masks[-1][int(row), int(col)]) for col, row, _ in clicks] == [True, True, False]
    asked = studio.ask_backend(roof.task["data"], answers[-1].context, BRUSH.read_text())
    assert np.array_equal(decoded(asked[0]), masks[-1])

    # What Label Studio stored.
    exported = studio.export_with_the_printed_command()
    stored = next(task for task in json.loads((studio.folder / "annotations.json").read_text()) if task["id"] == roof.task["id"])
    region = the_object(stored["annotations"][0]["result"], "brushlabels")
    assert np.array_equal(decoded(region), masks[-1])
    assert region["meta"]["rsiseg"]["model"] == model
    assert region["meta"]["rsiseg"]["clicks"] == 3

    # What lies on the map.
    (feature,) = [feature for feature in exported["features"] if feature["properties"]["task"] == roof.task["id"]]
    geometry = on_map(feature, scene.image)
    assert np.array_equal(pixels(geometry, roof.task, scene.image), masks[-1])
    assert geometry.hausdorff_distance(outline(masks[-1], roof.task, scene.image)) < 0.5 * roof.task["data"]["gsd"]
    assert feature["properties"]["class"] == "building"
    assert feature["properties"]["colour"] == "#ff0044"
    assert feature["properties"]["clicks"] == 3
    assert feature["properties"]["model_version"] == region["meta"]["rsiseg"]["version"]
    assert feature["properties"]["area_m2"] == pytest.approx(masks[-1].sum() * 0.05**2, rel=0.01)


def test_one_click_on_a_roof_draws_the_roof(studio: RunningStudio, roofs: list[Roof], model: str) -> None:
    if model == STAND_IN:
        pytest.skip("the weights of the default model are not in weights/: random ones know no roofs")
    found = [iou(decoded(ask(studio, roof, BRUSH)[0]), roof.mask) for roof in roofs]
    assert float(np.median(found)) >= 0.6, found


def ask(studio: RunningStudio, roof: Roof, label_config: Path) -> list[dict[str, Any]]:
    """The backend's regions for one click in the middle of a roof."""
    width, height = roof.native
    value = {
        "x": roof.col / width * 100,
        "y": roof.row / height * 100,
        "width": 0.2,
        "labels": ["building"],
        "keypointlabels": ["building"],
    }
    point = {"original_width": width, "original_height": height, "image_rotation": 0, "value": value, "is_positive": True}
    point |= {"id": "point", "from_name": "click", "to_name": "image", "type": "keypointlabels", "origin": "manual"}
    return studio.ask_backend(roof.task["data"], {"result": [point]}, label_config.read_text())


@pytest.fixture
def polygon_project(studio: RunningStudio) -> int:
    """A second project of the same chips, whose config has no brush."""
    running = studio.running
    client = LabelStudio(base_url=running["url"], api_key=studio.login["token"])
    (chips,) = [path for path in (studio.folder / "files").iterdir() if path.is_dir()]
    tasks = json.loads((chips / "tasks.json").read_text())
    plan = ProjectPlan("polygons", "polygons of the same chips", POLYGON.read_text(), tasks, chips, running["backend_url"])
    return prepare_project(client, plan)


def test_polygon_covers_its_mask_on_the_map(
    editor: Editor, studio: RunningStudio, roofs: list[Roof], scene: ScenePaths, polygon_project: int, tmp_path: Path
) -> None:
    roof = next(roof for roof in roofs if suits_a_polygon(decoded(ask(studio, roof, BRUSH)[0])))
    tasks = studio.get(f"/api/tasks?project={polygon_project}&page_size=100")["tasks"]
    task = next(task for task in tasks if task["data"]["image"] == roof.task["data"]["image"])

    (answer,) = draw(editor, roof, [(roof.col, roof.row, True)], project=polygon_project, task=task["id"])

    mask = decoded(studio.ask_backend(roof.task["data"], answer.context, BRUSH.read_text())[0])
    stored = studio.get(f"/api/projects/{polygon_project}/export?exportType=JSON")
    region = the_object(stored[0]["annotations"][0]["result"], "polygonlabels")
    assert region["meta"]["rsiseg"]["clicks"] == 1
    (tmp_path / "polygons.json").write_text(json.dumps(stored))
    arguments = [str(tmp_path / "polygons.json"), "--out", str(tmp_path / "polygons.geojson"), "--label-config", str(POLYGON)]
    assert CliRunner().invoke(export, arguments, catch_exceptions=False).exit_code == 0
    (feature,) = json.loads((tmp_path / "polygons.geojson").read_text())["features"]
    assert iou(pixels(on_map(feature, scene.image), roof.task, scene.image), largest_part(mask)) >= 0.99


def the_object(result: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only object of an annotation.

    When Label Studio accepts a mask while a class is selected, it writes the class under the key point's tag too: the same region again,
    with the same id and the type keypointlabels. That is not a second object.
    """
    (region,) = [item for item in result if item["type"] == kind]
    assert {(item["type"], item["id"]) for item in result} <= {(kind, region["id"]), ("keypointlabels", region["id"])}
    return region


def suits_a_polygon(mask: np.ndarray) -> bool:
    """The promise is made for objects without holes of at least 1000 px."""
    part = largest_part(mask)
    return part.sum() >= 1000 and not has_holes(part)
