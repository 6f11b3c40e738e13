"""A click on a region that is there corrects it, under its id; what is there is concluded from drafts, annotations and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import Server, config, point

from backend.existing import AUTOSAVE_SECONDS, Existing, ExistingRegions, Place
from converters import rle
from converters.chips import Chip, PixelWindow
from converters.frames import Click, Size
from converters.label_studio import brush_region, polygon_region

SIZE = 600
CHIP = Chip("a.png", "a.png", PixelWindow(0, 0, SIZE, SIZE), None, None, ("R", "G", "B"), 1.0, None, Size(SIZE, SIZE), None, None)


def square(low: int, high: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[low:high, low:high] = True
    return mask


def brush(mask: np.ndarray, id: str = "old", label: str = "Road", **made_by: Any) -> dict[str, Any]:
    return brush_region(mask, id=id, label=label, from_name="brush", to_name="img", meta={"rsiseg": made_by})


def draft(*items: dict[str, Any], user: int = 1, at: str = "2026-11-22T10:00:00Z") -> dict[str, Any]:
    return {"id": 9, "user": f"u{user}@x", "created_username": f" u{user}@x, {user}", "updated_at": at, "result": list(items)}


def annotation(*items: dict[str, Any], user: Any = 1, cancelled: bool = False) -> dict[str, Any]:
    return {"id": 8, "completed_by": user, "was_cancelled": cancelled, "result": list(items)}


def prediction(*items: dict[str, Any]) -> dict[str, Any]:
    return {"id": 7, "model_version": "x", "result": list(items)}


def mask_of(region: dict[str, Any]) -> np.ndarray:
    return rle.decode(region["value"]["rle"], Size(SIZE, SIZE))


def at(px: float, **more: Any) -> dict[str, Any]:
    return point(px / SIZE * 100, px / SIZE * 100, **more)


def only(entry: dict[str, Any]) -> dict[str, Any]:
    (region,) = entry["result"]
    return region


@pytest.mark.parametrize("positive", [True, False])
def test_a_click_on_a_draft_s_region_corrects_it_under_its_id(server: Server, positive: bool) -> None:
    old = square(100, 300)
    region = only(server.click([at(250.5, positive=positive)], drafts=[draft(brush(old, clicks=2, clicks_before=1))]))
    assert region["id"] == "old"
    said = region["meta"]["rsiseg"]
    assert (said["refines"], said["clicks"], said["clicks_before"]) == ("draft", 1, 3)
    changed = mask_of(region) ^ old
    assert changed.any() == (not positive)
    rows, cols = np.nonzero(changed)
    assert (np.hypot(rows - 250, cols - 250) < 25).all()  # the disk of the fake; nothing else of the mask


def test_a_click_beside_it_is_a_new_object(server: Server) -> None:
    region = only(server.click([at(350.5)], drafts=[draft(brush(square(100, 300)))]))
    assert region["id"] != "old"
    assert "refines" not in region["meta"]["rsiseg"]


def test_the_pixel_decides_to_the_edge(server: Server) -> None:
    drafts = [draft(brush(square(100, 300)))]
    assert only(server.click([at(299.9)], drafts=drafts))["id"] == "old"
    assert only(server.click([at(300.1)], drafts=drafts))["id"] != "old"


def test_the_first_click_decides_and_the_rest_go_on(server: Server) -> None:
    drafts = [draft(brush(square(100, 300)))]
    region = only(server.click([at(250.5, positive=False), at(350.5)], drafts=drafts))
    assert region["id"] == "old"
    assert mask_of(region)[350, 350]
    assert not mask_of(region)[250, 250]
    first = server.fake.steps[-1]
    assert [click.positive for click in first] == [True, False, True]  # the anchor stands first


def test_another_class_is_another_object(server: Server) -> None:
    assert only(server.click([at(250.5, label="Building")], drafts=[draft(brush(square(100, 300)))]))["id"] != "old"


def test_of_nested_regions_the_smaller_is_meant(server: Server) -> None:
    drafts = [draft(brush(square(100, 300)), brush(square(200, 280), id="inner"))]
    assert only(server.click([at(250.5)], drafts=drafts))["id"] == "inner"
    assert only(server.click([at(150.5)], drafts=drafts))["id"] == "old"


def test_a_polygon_stays_one(server: Server) -> None:
    ring = [(100, 100), (300, 100), (300, 300), (100, 300)]
    item = polygon_region(ring, Size(SIZE, SIZE), id="old", label="Road", from_name="poly", to_name="img")
    region = only(server.click([at(299.5, positive=False)], drafts=[draft(item)]))
    assert (region["id"], region["type"], region["from_name"]) == ("old", "polygonlabels", "poly")


def test_the_newest_draft_is_the_screen(server: Server) -> None:
    """A region that the draft no longer has was deleted, whatever the annotation and the prediction say."""
    drafts = [draft(at="2026-11-22T10:00:05Z"), draft(brush(square(100, 300)))]
    gone = {"annotations": [annotation(brush(square(100, 300)))], "predictions": [prediction(brush(square(100, 300)))]}
    assert only(server.click([at(250.5)], drafts=drafts, **gone))["id"] != "old"
    assert server.click([at(450.5, positive=False)], drafts=drafts, **gone)["result"] == []


@pytest.mark.parametrize(
    ("task", "source"),
    [
        ({"annotations": [annotation(brush(square(100, 300)))]}, "annotation"),
        ({"annotations": [annotation(brush(square(100, 300)), user={"id": 1, "email": "a@x"})]}, "annotation"),
        ({"predictions": [prediction(brush(square(100, 300), proposed=True))]}, "prediction"),
        ({"annotations": [annotation(brush(square(100, 300)), cancelled=True)]}, None),
        ({"annotations": [annotation(brush(square(100, 300))), annotation(user=2)]}, None),
        ({"drafts": [draft(brush(square(100, 300))), draft(user=2)]}, None),
        ({"drafts": [draft(brush(square(100, 300)))], "annotations": [annotation(user=2)]}, None),
        ({"drafts": [draft(brush(square(100, 300)))], "annotations": [annotation(user=1)]}, "draft"),
        ({"drafts": [draft(user=2)], "annotations": [annotation()], "predictions": [prediction(brush(square(100, 300)))]}, "prediction"),
    ],
)
def test_whose_work_counts(server: Server, task: dict[str, Any], source: str | None) -> None:
    entry = server.click([at(250.5, positive=source != "annotation")], **task)
    said = only(entry)["meta"]["rsiseg"]
    assert said.get("refines") == source
    assert said.get("proposed", False) is (source == "prediction" and "drafts" not in task)


@pytest.mark.parametrize("clicks_before", [0, 1])
def test_a_proposal_is_gone_on_with_and_what_a_click_made_of_it_is_corrected(server: Server, clicks_before: int) -> None:
    """Nobody vouched for the edge of a proposal, so all of it may change: here the network does not find its corner again."""
    proposal = brush(square(100, 300), proposed=True, clicks=0, clicks_before=clicks_before)
    region = only(server.click([at(250.5, positive=False)], drafts=[draft(proposal)]))
    assert region["id"] == "old"
    assert mask_of(region)[110, 110] == bool(clicks_before)


def test_a_positive_click_on_a_submitted_annotation_may_be_somebody_else_s_first(server: Server) -> None:
    region = only(server.click([at(250.5)], annotations=[annotation(brush(square(100, 300)))]))
    assert region["id"] != "old"


@pytest.mark.parametrize(
    "broken",
    [
        {"value": {"format": "rle", "rle": [1, 2, 3], "brushlabels": ["Road"]}},
        {"value": {"format": "rle", "rle": ["a"], "brushlabels": ["Road"]}},
        {"value": {"format": "rle", "rle": None, "brushlabels": ["Road"]}},
        {"value": None},
        {"id": None},
        {"id": 7},
        {"original_width": 300},
        {"image_rotation": 90},
        {"type": "brushlabels", "value": {"brushlabels": []}},
        {"meta": "text"},
        {"meta": {"rsiseg": {"clicks": "many", "clicks_before": True}}},
    ],
)
def test_a_broken_region_never_keeps_a_click_from_its_answer(server: Server, broken: dict[str, Any]) -> None:
    whole = brush(square(240, 300), id="whole")
    drafts: list[Any] = [draft({**brush(square(100, 300)), **broken}, whole, {}, user=1)]
    region = only(server.click([at(250.5)], drafts=drafts))
    assert region["id"] == "whole"
    assert server.metric("rsiseg_failures_total") == 0


@pytest.mark.parametrize("value", [7, "text", None, [7], [None], {"a": 1}])
def test_drafts_of_any_shape(server: Server, value: Any) -> None:
    assert only(server.click([at(250.5)], drafts=value, annotations=value, predictions=value))["id"] != "old"


def test_each_setting_switches_it_off(serve: Callable[..., Server]) -> None:
    drafts = [draft(brush(square(100, 300)))]
    server = serve(correct="off")
    assert only(server.click([at(250.5)], drafts=drafts))["id"] != "old"
    assert only(server.click([at(250.5)], drafts=drafts, config=config(model_correct="on")))["id"] == "old"
    server = serve()
    assert only(server.click([at(250.5)], drafts=drafts, config=config(model_correct="off")))["id"] != "old"
    server.post("/setup", {"project": "3.1795327615", "extra_params": {"correct": "off"}})
    assert only(server.click([at(250.5)], drafts=drafts))["id"] != "old"


def test_undo_and_replay_give_the_same_bits(server: Server, serve: Callable[..., Server]) -> None:
    drafts = [draft(brush(square(100, 300)))]
    two = [at(250.5, positive=False), at(350.5)]
    first, both = only(server.click(two[:1], drafts=drafts)), only(server.click(two, drafts=drafts))
    steps = server.metric('rsiseg_steps_total{model="fake"}')
    assert only(server.click(two[:1], drafts=drafts))["value"] == first["value"]
    assert server.metric('rsiseg_steps_total{model="fake"}') == steps
    assert only(serve().click(two, drafts=drafts))["value"] == both["value"]


class TestTheSecondsBeforeTheDraftIsSaved:
    def test_an_alt_click_on_what_was_just_answered_corrects_it(self, server: Server) -> None:
        new = only(server.click([at(250.5)]))
        corrected = only(server.click([at(262.5, positive=False)]))
        assert corrected["id"] == new["id"]
        assert corrected["meta"]["rsiseg"]["clicks_before"] == 1

    def test_a_positive_click_there_is_a_new_object(self, server: Server) -> None:
        """It may follow an undone point or a rejected mask."""
        new = only(server.click([at(250.5)]))
        assert only(server.click([at(252.5)]))["id"] != new["id"]

    def test_corrections_build_on_each_other_while_the_draft_is_old(self, server: Server) -> None:
        drafts = [draft(brush(square(100, 300)))]
        server.click([at(120.5, positive=False)], drafts=drafts)
        second = only(server.click([at(280.5, positive=False)], drafts=drafts))
        mask = mask_of(second)
        assert not mask[120, 120]
        assert not mask[280, 280]
        assert second["meta"]["rsiseg"]["clicks_before"] == 1

    def test_another_task_or_project_has_its_own(self, server: Server) -> None:
        server.click([at(250.5)])
        assert server.click([at(262.5, positive=False)], id=5)["result"] == []
        assert server.click([at(262.5, positive=False)], project="4.1795327615")["result"] == []

    def test_later_the_draft_alone_counts(self) -> None:
        now = [1000.0]
        regions, place = ExistingRegions(clock=lambda: now[0]), Place("3", "4", "img", "Road")
        first = Click(row=200.5, col=200.5, positive=True)
        regions.answered(place, first, None, Existing("new", square(100, 300), "brush", "draft", 1))
        inside = Click(row=250.5, col=250.5, positive=False)
        assert regions.under(inside, place, {}, CHIP) is not None
        now[0] += AUTOSAVE_SECONDS + 1
        assert regions.under(inside, place, {}, CHIP) is None


class TestBeyondTwentyClicks:
    def test_the_region_carries_a_note_and_it_is_counted(self, server: Server) -> None:
        line = 'rsiseg_over_20_clicks_total{model="fake"}'
        twenty = only(server.click([at(130.5, positive=False)], drafts=[draft(brush(square(100, 300), clicks=12, clicks_before=7))]))
        assert "text" not in twenty["meta"]
        assert server.metric(line) == 0
        more = only(server.click([at(150.5, positive=False)], drafts=[draft(brush(square(100, 300), id="b", clicks=13, clicks_before=7))]))
        assert "21 clicks on one object" in more["meta"]["text"][0]
        assert server.metric(line) == 1

    def test_of_one_prompt_too(self, server: Server) -> None:
        assert "21 clicks" in only(server.click([at(100.5 + 10 * n) for n in range(21)]))["meta"]["text"][0]


def test_a_point_that_comes_again_as_a_brush_is_one_click(server: Server) -> None:
    """So after a click that selected a mask, which chooses its label too."""
    first = at(250.5)
    echo = {**first, "from_name": "brush", "type": "brushlabels", "value": {**first["value"], "brushlabels": ["Road"]}}
    assert only(server.click([first, echo]))["meta"]["rsiseg"]["clicks"] == 1
