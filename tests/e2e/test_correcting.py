"""Correcting what is there, in the real editor: the answer to a Ctrl-click on a region takes its place under its id."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, desk_of, ids, inside, objects, outside, same_mask, the_object
from editor import Editor
from place import decoded
from roofs import Roof
from running import STAND_IN, RunningStudio

pytestmark = pytest.mark.e2e


@pytest.fixture
def desk(editor: Editor, studio: RunningStudio, roofs: list[Roof], request: pytest.FixtureRequest) -> Desk:
    return desk_of(editor, studio, roofs[0], request.node.name)


def said(region: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(region["meta"]["rsiseg"].get(name) for name in names)


def takes_away(correction: dict[str, Any], original: dict[str, Any], at: tuple[float, float], model: str) -> None:
    """The negative click's pixel has left the mask; random weights may see no reason to."""
    if model != STAND_IN:
        assert decoded(original)[int(at[1]), int(at[0])]
        assert not decoded(correction)[int(at[1]), int(at[0])]


def test_a_negative_click_on_an_accepted_region_corrects_it_in_its_place(desk: Desk, model: str) -> None:
    desk.sit_down()
    original = desk.draw()
    at = inside(original, desk.middle)
    answer = desk.click(at, ctrl=True, alt=True)
    (correction,) = answer.regions
    assert [item["is_positive"] for item in answer.context["result"]] == [False]
    assert correction["id"] == original["id"]
    takes_away(correction, original, at, model)
    desk.editor.screenshot("suggested")
    desk.editor.accept()
    drafted = the_object(desk.saved(lambda items: any(same_mask(item, correction) for item in objects(items))))
    assert drafted["id"] == original["id"]

    desk.editor.submit()
    stored = the_object(desk.submitted())
    assert stored["id"] == original["id"]
    assert same_mask(stored, correction)
    assert said(stored, "refines", "clicks", "clicks_before") == ("draft", 1, 1)


def test_a_rejected_correction_leaves_the_original(desk: Desk) -> None:
    desk.sit_down()
    original = desk.draw()
    (correction,) = desk.click(inside(original, desk.middle), ctrl=True, alt=True).regions
    assert correction["id"] == original["id"]
    desk.editor.reject()
    desk.editor.submit()
    stored = the_object(desk.submitted())
    assert stored["id"] == original["id"]
    assert same_mask(stored, original)
    assert said(stored, "refines", "clicks", "clicks_before") == (None, 1, None)


def test_auto_accepted_corrections_build_on_each_other(desk: Desk, model: str) -> None:
    desk.sit_down()
    desk.editor.auto_accept()
    desk.editor.choose_again("building")
    (original,) = desk.click(desk.middle).regions
    # Two at once: the draft that Label Studio sends along has neither the region nor its first correction yet.
    first_at = inside(original, desk.middle)
    (first,) = desk.click(first_at, ctrl=True, alt=True).regions
    second_at = inside(first, first_at)
    (second,) = desk.click(second_at, ctrl=True, alt=True).regions
    assert original["id"] == first["id"] == second["id"]
    assert said(first, "clicks", "clicks_before") == (1, 1)
    assert said(second, "clicks", "clicks_before") == (1, 2)
    takes_away(second, first, second_at, model)
    desk.editor.submit()
    stored = the_object(desk.submitted())
    assert stored["id"] == original["id"]
    assert same_mask(stored, second)


@pytest.mark.parametrize("clicks", [0, 20])
def test_a_copied_prediction_is_corrected_under_its_id(desk: Desk, studio: RunningStudio, clicks: int) -> None:
    region = predicted(desk, studio, clicks)
    desk.sit_down()
    desk.editor.screenshot("copied")
    at = inside(region, desk.middle)
    (correction,) = desk.click(at, ctrl=True, alt=True).regions
    assert correction["id"] == region["id"] == "proposed-1"
    assert said(correction, "refines", "clicks", "clicks_before") == ("prediction", 1, clicks)
    assert said(correction, "proposed") == (None if clicks else True,)
    desk.editor.screenshot("suggested")
    desk.editor.accept()
    desk.editor.select_region(0)
    desk.editor.screenshot("accepted")
    desk.editor.submit()

    kept = desk.kept()
    stored = the_object(kept["annotations"][0]["result"])
    assert stored["id"] == "proposed-1"
    assert same_mask(stored, correction)
    assert same_mask(the_object(kept["predictions"][0]["result"]), region), "the prediction itself stays as it was made"
    if clicks:
        (note,) = stored["meta"]["text"]
        assert "21 clicks" in note and "brush" in note
    else:
        assert "text" not in stored["meta"]


def predicted(desk: Desk, studio: RunningStudio, clicks: int) -> dict[str, Any]:
    """The region of an uploaded prediction: the backend's own answer to a click, which says that it took `clicks`."""
    width, height = desk.roof.native
    value = {"x": desk.middle[0] / width * 100, "y": desk.middle[1] / height * 100, "width": 0.2, "keypointlabels": ["building"]}
    point = {"original_width": width, "original_height": height, "image_rotation": 0, "is_positive": True, "id": "point"}
    point |= {"from_name": "click", "to_name": "image", "type": "keypointlabels", "value": value}
    config = desk.project.ask("GET", f"/api/projects/{desk.project.id}")["label_config"]
    (region,) = studio.ask_backend(desk.roof.task["data"], {"result": [point]}, config)
    made_by = {**region["meta"]["rsiseg"], "clicks": clicks, **({} if clicks else {"proposed": True})}
    region = {**region, "id": "proposed-1", "meta": {"rsiseg": made_by}}
    body = {"task": desk.task, "model_version": "of the test", "score": 0.5, "result": [region]}
    desk.project.ask("POST", "/api/predictions/", body)
    return region


def test_the_click_after_a_region_was_selected_still_gets_a_mask(desk: Desk) -> None:
    """A plain click on a region selects it and its brush label; the next point is then sent as a brush region too."""
    desk.sit_down()
    original = desk.draw()
    desk.editor.tap(*inside(original, desk.middle), native=desk.roof.native)
    desk.editor.screenshot("selected")
    answer = desk.click(outside(original))
    assert {item["type"] for item in answer.context["result"]} == {"keypointlabels", "brushlabels"}
    (region,) = answer.regions
    assert region["id"] != original["id"]
    desk.editor.accept()
    desk.editor.submit()
    stored = {item["id"]: item for item in objects(desk.submitted())}
    assert sorted(ids(desk.submitted())) == sorted([original["id"], region["id"]])
    assert same_mask(stored[original["id"]], original)
    assert same_mask(stored[region["id"]], region)
