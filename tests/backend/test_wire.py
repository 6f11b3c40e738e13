"""CONTRACT.md section 11 with what Label Studio 1.23.2 really sent (../shared/label_studio/wire)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness import Server

from converters import rle
from converters.frames import Size

Wire = Callable[[str], Any]
EVENTS = [
    "webhook_annotation_created",
    "webhook_annotation_updated",
    "webhook_annotations_deleted",
    "webhook_project_updated",
    "webhook_start_training",
    "webhook_tasks_created",
]


def answered(server: Server, body: Any) -> dict[str, Any]:
    response = server.post("/predict", body)
    assert response.status_code == 200
    (entry,) = response.json["results"]
    return entry


def mask_of(entry: dict[str, Any], size: Size) -> Any:
    (region,) = entry["result"]
    assert (region["original_width"], region["original_height"]) == (size.width, size.height)
    assert (region["type"], region["from_name"], region["to_name"], region["image_rotation"]) == ("brushlabels", "brush", "img", 0)
    assert region["value"]["brushlabels"] == ["Road"]
    return rle.decode(region["value"]["rle"], size)


def test_1_connecting_health_setup_health_setup(server: Server, wire: Wire) -> None:
    for _ in range(2):
        assert server.client.get("/health").status_code == 200
        version = server.post("/setup", wire("setup")).json["model_version"]
    assert isinstance(version, str) and version
    assert server.runtime.models._loaded == {}


def test_1_setup_with_extra_params_and_basic_auth(serve: Callable[..., Server], wire: Wire) -> None:
    server = serve(basic_auth_user="ann", basic_auth_password="pwd")
    body = wire("setup_extra_params_basic_auth")
    assert server.post("/setup", body).status_code == 401
    assert server.post("/setup", body, auth=("ann", "pwd")).json["model_version"].startswith("fake@")


def test_2_an_opened_task_gets_no_entries(server: Server, wire: Wire) -> None:
    assert server.post("/predict", wire("predict_on_open_context_null")).json["results"] == []


def test_2_a_batch_gets_no_empty_entry_which_would_be_stored(serve: Callable[..., Server], wire: Wire) -> None:
    """A task without a prediction has an empty list, or the whole answer is empty."""
    batch = wire("predict_batch_3_tasks")
    assert serve(propose="off").post("/predict", batch).json["results"] == []
    entries = serve(propose="batch").post("/predict", batch).json["results"]
    assert len(entries) == len(batch["tasks"])
    assert any(entries)
    assert all(entry == [] or entry["result"] for entry in entries)


def test_2_after_submit_the_empty_context_gets_one_empty_entry(server: Server, wire: Wire) -> None:
    entry = answered(server, wire("predict_empty_context_after_submit"))
    assert (entry["result"], entry["score"]) == ([], 0)
    assert server.fake.steps == []


def test_3_to_6_the_first_click(server: Server, wire: Wire) -> None:
    mask = mask_of(answered(server, wire("predict_interactive_click1")), Size(600, 600))
    assert mask[157, 157]
    ((click,),) = server.fake.steps
    assert (click.col, click.row, click.positive) == (pytest.approx(26.125137211855105 * 6), pytest.approx(26.125137211855105 * 6), True)


def test_3_clicks_one_two_and_the_alt_click_after_them(server: Server, wire: Wire) -> None:
    """The third recording belongs to another object than the first (other ids, same places): ids do not matter, places do."""
    for name in ("predict_interactive_click1", "predict_interactive_click2", "predict_interactive_click3_negative_alt"):
        entry = answered(server, wire(name))
    assert [click.positive for click in server.fake.steps[-1]] == [True, True, False]
    assert entry["result"][0]["meta"]["rsiseg"]["clicks"] == 3
    places = {(click.row, click.col) for step in server.fake.steps for click in step}
    assert len(server.fake.steps) == len(places), "one step for each place clicked, though three requests carried six points"


def test_4_percent_of_a_picture_that_is_not_square(server: Server, wire: Wire) -> None:
    mask = mask_of(answered(server, wire("predict_interactive_non_square")), Size(800, 450))
    ((click,),) = server.fake.steps
    assert (click.col, click.row) == (pytest.approx(209.0, abs=0.01), pytest.approx(117.43, abs=0.01))
    assert mask[117, 209] and not mask[209, 117]


def test_3_a_rectangle(server: Server, wire: Wire) -> None:
    mask = mask_of(answered(server, wire("predict_interactive_rectangle")), Size(600, 600))
    assert mask[round((21.405 + 28.65 / 2) * 6), round((21.405 + 23.82 / 2) * 6)]


def test_accepted_regions_in_the_drafts_change_nothing(server: Server, wire: Wire) -> None:
    body = wire("predict_interactive_after_accept")
    assert body["tasks"][0]["drafts"], "the recording holds a draft with an accepted mask"
    with_draft = answered(server, body)["result"][0]
    body["tasks"][0]["drafts"] = []
    without = answered(server, body)["result"][0]
    assert (with_draft["value"], with_draft["score"]) == (without["value"], without["score"])
    assert len(server.fake.steps) == 1


@pytest.mark.parametrize("event", EVENTS)
def test_8_every_recorded_webhook_is_answered_2xx_without_credentials(serve: Callable[..., Server], wire: Wire, event: str) -> None:
    body = wire(event)
    assert serve().post("/webhook", body).status_code == 200
    guarded = serve(basic_auth_user="ann", basic_auth_password="pwd")
    expected = 401 if body["action"] == "START_TRAINING" else 200  # the one that Label Studio signs
    assert guarded.post("/webhook", body).status_code == expected


def test_9_versions(server: Server) -> None:
    response = server.client.get("/versions")
    assert response.status_code == 200
    assert all(isinstance(version, str) for version in response.json["versions"])


def test_predict_before_any_setup_and_two_projects_in_turn(server: Server, wire: Wire) -> None:
    first, second = wire("predict_interactive_click1"), wire("predict_interactive_non_square")
    second["project"] = "8.1795327615"
    second["label_config"] = second["label_config"].replace('name="brush"', 'name="strokes"')
    for _ in range(2):
        assert answered(server, first)["result"][0]["from_name"] == "brush"
        assert answered(server, second)["result"][0]["from_name"] == "strokes"
