"""What is stored after an annotator changed their mind, left work half done, was not alone, or was faster than the model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from desk import Desk, desk_of, ids, inside, objects, outside, same_mask, the_object
from editor import WINDOW, Editor
from playwright.sync_api import Browser
from roofs import Roof
from running import CHECKOUT, RunningStudio

from backend.commands.export import command as export

pytestmark = pytest.mark.e2e

INTERFACE = CHECKOUT / "label_config" / "aerial.xml"


@pytest.fixture
def desk(editor: Editor, studio: RunningStudio, roofs: list[Roof], request: pytest.FixtureRequest) -> Desk:
    return desk_of(editor, studio, roofs[0], request.node.name)


def sent(answer: Any) -> list[str]:
    """Ids of the points that a click sent."""
    return [item["id"] for item in answer.context["result"]]


def failures(studio: RunningStudio) -> float:
    text = requests.get(studio.running["backend_url"] + "/metrics", timeout=60).text
    return sum(map(float, re.findall(r"^rsiseg_failures_total\{.*\} (\S+)$", text, re.MULTILINE)))


def test_an_undone_point_is_in_no_mask(desk: Desk, studio: RunningStudio) -> None:
    desk.sit_down()
    first = desk.click(desk.middle)
    second = desk.click(outside(first.regions[0]))
    desk.editor.undo()
    desk.editor.choose_again("building")  # the undo has cleared the class
    third = desk.click((desk.middle[0] + 12, desk.middle[1] + 6))
    assert sent(third)[0] == sent(first)[0] and len(sent(third)) == 2
    assert sent(second)[1] not in sent(third)
    desk.editor.accept()
    desk.editor.submit()
    stored = the_object(desk.submitted())
    (remaining,) = studio.ask_backend(desk.roof.task["data"], third.context, INTERFACE.read_text())
    assert same_mask(stored, remaining)
    assert stored["meta"]["rsiseg"]["clicks"] == 2


def test_where_a_region_was_deleted_a_click_begins_a_new_object(desk: Desk) -> None:
    desk.sit_down()
    deleted = desk.draw()
    desk.saved(lambda items: ids(items) == [deleted["id"]])
    desk.editor.select_region(0)
    desk.editor.delete_selected()
    desk.editor.screenshot("deleted")
    desk.saved(lambda items: not objects(items))
    desk.editor.choose_again("building")
    answer = desk.click(inside(deleted, desk.middle))
    (region,) = answer.regions
    assert region["id"] != deleted["id"]
    assert "refines" not in region["meta"]["rsiseg"]
    desk.editor.accept()
    desk.editor.submit()
    assert ids(desk.submitted()) == [region["id"]]


def test_nothing_of_a_rejected_suggestion_is_stored_or_goes_on(desk: Desk) -> None:
    desk.sit_down()
    (rejected,) = desk.click(desk.middle).regions
    desk.editor.reject()
    desk.editor.choose_again("building")
    again = desk.click((desk.middle[0] + 12, desk.middle[1] + 6))
    assert len(sent(again)) == 1
    (region,) = again.regions
    assert region["id"] != rejected["id"]
    desk.editor.accept()
    desk.editor.submit()
    assert ids(desk.submitted()) == [region["id"]]
    assert the_object(desk.submitted())["meta"]["rsiseg"]["clicks"] == 1


def test_a_suggestion_pending_at_submit_leaves_points_that_the_export_names(desk: Desk, studio: RunningStudio, tmp_path: Path) -> None:
    before = failures(studio)
    desk.sit_down()
    desk.click(desk.middle)
    desk.editor.submit()
    result = desk.submitted()
    assert [item["type"] for item in result] == ["keypointlabels"]

    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps(desk.project.ask("GET", f"/api/projects/{desk.project.id}/export?exportType=JSON")))
    arguments = [str(stored), "--out", str(tmp_path / "out.geojson"), "--json"]
    done = CliRunner().invoke(export, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out.geojson").read_text())["features"] == []
    (left_out,) = json.loads(done.stdout)["left_out"]
    assert "accept the suggestion before submitting" in left_out["reason"]
    assert failures(studio) == before, "the points that are left are no fault of the server"


def test_two_annotators_have_a_region_each(desk: Desk, studio: RunningStudio, browser: Browser) -> None:
    desk.sit_down()
    first = desk.draw()
    desk.editor.submit()

    page = browser.new_context(viewport=WINDOW).new_page()
    invite = desk.project.ask("GET", "/api/invite")["invite_url"]
    page.goto(studio.running["url"] + invite)
    page.fill("input[name=email]", f"second-{desk.project.id}@localhost.org")
    page.fill("input[name=password]", "a second annotator")
    page.click("button[type=submit]")
    page.get_by_text("Projects").first.wait_for()
    other = replace(desk, editor=Editor(page, studio.running["url"], CHECKOUT / "artifacts" / "second_annotator"))
    other.sit_down()
    other.editor.new_annotation()  # Label Studio shows the first one's
    other.editor.choose("building")
    other.editor.screenshot("opened")
    second = other.draw()
    assert second["id"] != first["id"]
    assert "refines" not in second["meta"]["rsiseg"]
    other.editor.submit()
    page.context.close()
    assert other.editor.errors == []

    annotations = desk.kept()["annotations"]
    stored = [the_object(annotation["result"]) for annotation in annotations]
    assert len({str(annotation["completed_by"]) for annotation in annotations}) == len(annotations) == 2
    by_id = {region["id"]: region for region in stored}
    assert by_id.keys() == {first["id"], second["id"]}
    assert same_mask(by_id[first["id"]], first)
    assert same_mask(by_id[second["id"]], second)


def test_a_click_that_overtakes_a_slow_one_has_the_last_word(desk: Desk, studio: RunningStudio) -> None:
    desk.sit_down()
    native, (col, row) = desk.roof.native, desk.middle
    early, late = desk.editor.overtaken(
        lambda: desk.editor.tap(col, row, native=native), lambda: desk.editor.tap(col + 20, row + 12, native=native)
    )
    assert (len(sent(early)), len(sent(late))) == (1, 2)
    desk.editor.screenshot("overtaken")
    desk.editor.accept()
    desk.editor.submit()
    stored = the_object(desk.submitted())
    (both,) = studio.ask_backend(desk.roof.task["data"], late.context, INTERFACE.read_text())
    assert same_mask(stored, both)
