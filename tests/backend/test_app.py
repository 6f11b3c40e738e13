"""CONTRACT.md section 11 with requests of our own, but for line 7 (test_bad_input.py); test_wire.py repeats it with recorded ones."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import LABEL_STUDIO, Server, config, point

from backend.inference.segmenter import State
from converters import rle
from converters.frames import Box, Size

SQUARE = Size(600, 600)
PICTURE = {"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/sq600.png"}


def mask_of(entry: dict[str, Any], size: Size = SQUARE) -> np.ndarray:
    (region,) = entry["result"]
    return rle.decode(region["value"]["rle"], size)


def inside(box: Box, shape: tuple[int, ...]) -> np.ndarray:
    probability = np.zeros(shape, np.float32)
    probability[round(box.row_min) : round(box.row_max), round(box.col_min) : round(box.col_max)] = 0.9
    return probability


# --- 1. /health and /setup


def test_health_and_root_say_up_without_loading_a_model(server: Server) -> None:
    for path in ("/health", "/"):
        response = server.client.get(path)
        assert (response.status_code, response.json["status"]) == (200, "UP")
    assert server.runtime.models._loaded == {}


def test_setup_names_the_model_version_without_loading_a_model(server: Server) -> None:
    response = server.post("/setup", {"project": "1.1", "schema": "<View/>", "hostname": "h", "access_token": "t", "extra_params": None})
    assert response.status_code == 200
    assert response.json["model_version"].startswith("fake@")
    assert server.runtime.models._loaded == {}


def test_the_version_of_setup_is_that_of_clicks_and_says_more_where_objects_are_proposed(serve: Callable[..., Server]) -> None:
    """Label Studio asks again for predictions of tasks that have none of the version that /setup names."""
    for propose, same in (("off", True), ("batch", False)):
        server = serve(propose=propose)
        version = server.post("/setup", {"project": "3.1795327615"}).json["model_version"]
        entry = server.click([point(50, 50)])
        assert version.startswith(entry["model_version"])
        assert (version == entry["model_version"]) is same
        assert entry["result"][0]["meta"]["rsiseg"]["version"] == entry["model_version"]


# --- 2. contexts


def test_no_context_is_answered_with_no_entries(server: Server) -> None:
    for params in ({"context": None}, {}, None):
        response = server.post(
            "/predict", {"tasks": [{"id": 1, "data": PICTURE}], "project": "1.1", "label_config": config(), "params": params}
        )
        assert (response.status_code, response.json["results"]) == (200, [])


def test_an_empty_context_is_answered_with_one_empty_entry(server: Server) -> None:
    for context in ({"result": []}, {}):
        entry = server.click(None, context=context)
        assert (entry["result"], entry["score"]) == ([], 0)
        assert entry["model_version"].startswith("fake@")
    assert server.fake.steps == []


@pytest.mark.parametrize(
    "context",
    [[], "x", 7, {"result": None}, {"result": "x"}, {"result": [7]}, {"result": [{}]}, {"result": [{"type": "keypointlabels"}]}],
)
def test_a_context_that_is_none_is_answered_with_one_empty_entry(server: Server, context: Any) -> None:
    assert server.click(None, context=context)["result"] == []
    assert server.metric('rsiseg_failures_total{reason="unexpected"}') == 0
    assert server.metric('rsiseg_failures_total{reason="ContractError"}') == 1


@pytest.mark.parametrize("body", [None, [], "x", {}, {"tasks": None}, {"tasks": {"id": 1}}])
def test_a_body_that_is_no_request_is_refused_in_words(server: Server, body: Any) -> None:
    response = server.post("/predict", body)
    assert response.status_code == 400
    assert "tasks" in response.json["error"]


def test_a_click_without_a_task_is_answered_with_one_empty_entry(server: Server) -> None:
    for tasks in ([], [None], [7]):
        response = server.post("/predict", {"tasks": tasks, "label_config": config(), "params": {"context": {"result": [point(5, 5)]}}})
        assert [entry["result"] for entry in response.json["results"]] == [[]]


def test_batches_get_one_entry_a_task_in_order_when_there_is_a_context(server: Server) -> None:
    tasks = [{"id": 1, "data": PICTURE}, {"id": 2, "data": {"image": "/nowhere.png"}}, {"id": 3, "data": PICTURE}]
    response = server.post("/predict", {"tasks": tasks, "label_config": config(), "params": {"context": {"result": [point(50, 50)]}}})
    assert [len(entry["result"]) for entry in response.json["results"]] == [1, 0, 1]


# --- 3. signs and boxes


def test_points_are_split_by_sign_and_absent_means_positive(server: Server) -> None:
    server.click([point(10, 10, positive=None), point(20, 20), point(30, 30, positive=False)])
    assert [click.positive for click in server.fake.steps[-1]] == [True, True, False]


def test_a_negative_click_takes_away(server: Server) -> None:
    first = mask_of(server.click([point(50, 50)]))
    second = mask_of(server.click([point(50, 50), point(51, 50, positive=False)]))
    assert first[300, 306] and not second[300, 306]
    assert second[300, 281] and first[300, 281]


def test_a_box_is_answered_with_the_mask_of_a_click_at_its_centre_and_says_so(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    box = {**point(10, 20), "type": "rectanglelabels", "from_name": "rect"}
    box["value"] = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Road"]}
    assert mask_of(server.click([box]))[240, 150]
    assert [(click.col, click.row) for click in server.fake.steps[-1]] == [(150, 240)]
    assert server.fake.boxes == [Box(row_min=120, row_max=360, col_min=60, col_max=240)]
    assert "centre of a box" in caplog.text


def test_a_model_that_takes_boxes_answers_the_box_without_a_click(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.fake, "takes_boxes", True)
    monkeypatch.setattr(server.fake, "start", lambda encoding, mask, box: State(inside(box, encoding.image.shape[:2]), memory=()))
    box = {**point(10, 20), "type": "rectanglelabels", "from_name": "rect"}
    box["value"] = {"x": 90, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Road"]}  # beyond the right edge
    answers = [server.click([box]) for _ in range(2)]
    found = mask_of(answers[0])
    assert found[120:360, 540:].all() and found.sum() == 240 * 60
    assert server.fake.steps == []
    assert answers[0]["result"][0]["meta"]["rsiseg"] | {"version": ""} == {
        "model": "fake",
        "version": "",
        "clicks": 0,
        "cfr": "off",
        "box": True,
    }
    assert server.metric('rsiseg_steps_total{model="fake"}') == 1  # the second time it was remembered


def test_the_centre_of_a_turned_box_is_found_on_pictures_that_are_not_square(server: Server) -> None:
    box = {**point(0, 0, size=(800, 450)), "type": "rectanglelabels", "from_name": "rect"}
    # 200 px by 100 px, turned by a quarter about its corner at column 400, row 100: it now covers columns 300 to 400, rows 100 to 300.
    box["value"] = {"x": 50, "y": 100 / 4.5, "width": 25, "height": 100 / 4.5, "rotation": 90, "rectanglelabels": ["Road"]}
    server.click([box], data={"image": "imgs/wide800x450.png"})
    (click,) = server.fake.steps[-1]
    assert (click.col, click.row) == pytest.approx((350, 200))
    (drawn,) = server.fake.boxes
    assert (drawn.col_min, drawn.col_max, drawn.row_min, drawn.row_max) == pytest.approx((300, 400, 100, 300))


# --- 4. frames


@pytest.mark.parametrize(("x", "y", "col", "row"), [(-5, 50, 0, 225), (104, 50, 800, 225), (50, -0.1, 400, 0), (50, 1e9, 400, 450)])
def test_percent_outside_0_to_100_is_clamped(server: Server, x: float, y: float, col: float, row: float) -> None:
    entry = server.click([point(x, y, size=(800, 450))], data={"image": "imgs/wide800x450.png"})
    assert [(click.col, click.row) for click in server.fake.steps[-1]] == [(col, row)]
    assert len(entry["result"]) == 1


@pytest.mark.parametrize("x", [None, "5", True, [1]])
def test_a_coordinate_that_is_no_number_gets_the_empty_entry(server: Server, x: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert server.click([point(x, 5)])["result"] == []
    assert "task 4" in caplog.text and "percent" in caplog.text


def test_a_display_of_another_size_than_the_picture_is_refused_naming_both(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert server.click([point(50, 50, size=(300, 300))])["result"] == []
    assert "task 4" in caplog.text and "300 x 300" in caplog.text and "600 x 600" in caplog.text


def test_a_rotated_display_is_refused(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert server.click([{**point(50, 50), "image_rotation": 90}])["result"] == []
    assert "rotated by 90" in caplog.text


# --- 5. and 6. the answer


def test_the_region_is_a_brush_with_everything_the_editor_needs(server: Server) -> None:
    entry = server.click([point(50, 50)])
    (region,) = entry["result"]
    assert {key: region[key] for key in ("type", "from_name", "to_name", "original_width", "original_height", "image_rotation")} == {
        "type": "brushlabels", "from_name": "brush", "to_name": "img", "original_width": 600, "original_height": 600, "image_rotation": 0,
    }  # fmt: skip
    assert (region["value"]["format"], region["value"]["brushlabels"]) == ("rle", ["Road"])
    values = rle.decode_values(region["value"]["rle"])
    assert values.size == 600 * 600 * 4
    assert set(np.unique(values)) == {0, 255}
    assert region["meta"]["rsiseg"] == {"model": "fake", "version": entry["model_version"], "clicks": 1, "cfr": "off"}


def test_the_score_is_the_mean_probability_of_the_mask(server: Server) -> None:
    entry = server.click([point(50, 50), point(20, 20)])
    outcome = server.runtime.sessions.states
    probability = next(reversed(outcome._entries.values()))[0].probability
    expected = probability[probability > server.fake.threshold].mean()
    assert entry["result"][0]["score"] == pytest.approx(expected, abs=1e-4)
    assert entry["score"] == entry["result"][0]["score"]
    assert 0 < entry["score"] <= 1


def test_the_mask_is_the_segmenters_mask_bit_for_bit(server: Server) -> None:
    entry = server.click([point(25, 75)])
    rows, cols = np.mgrid[:600, :600] + 0.5
    np.testing.assert_array_equal(mask_of(entry), (rows - 450) ** 2 + (cols - 150) ** 2 <= 20**2)


def test_the_label_of_the_last_prompt_decides_and_is_copied(server: Server) -> None:
    (region,) = server.click([point(50, 50, label="Building")])["result"]
    assert region["value"]["brushlabels"] == ["Building"]


def test_every_answer_has_an_id_of_its_own(server: Server) -> None:
    ids = {server.click([point(50, 50)])["result"][0]["id"] for _ in range(5)}
    assert len(ids) == 5


def test_a_mask_without_pixels_is_an_empty_result(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert server.click([point(50, 50, positive=False)])["result"] == []
    assert "no pixel" in caplog.text
    assert server.metric('rsiseg_answers_total{outcome="empty"}') == 1


def test_a_polygon_where_the_tag_asks_for_one(server: Server) -> None:
    (region,) = server.click([point(50, 50)], config=config(model_output="polygon"))["result"]
    assert (region["type"], region["from_name"], region["value"]["closed"]) == ("polygonlabels", "poly", True)
    assert region["value"]["polygonlabels"] == ["Road"]
    points = np.array(region["value"]["points"])
    assert points.shape[1] == 2 and len(points) > 8
    assert np.hypot(*(points * 6 - 300).T).max() == pytest.approx(20, abs=1.5)


def test_a_polygon_where_the_config_has_no_brush_with_the_label(server: Server) -> None:
    without_brush = config().replace("BrushLabels", "EllipseLabels")
    (region,) = server.click([point(50, 50)], config=without_brush)["result"]
    assert (region["type"], region["from_name"]) == ("polygonlabels", "poly")


def test_the_target_is_on_the_same_image(server: Server) -> None:
    two = config().replace(
        "</View>", '<Image name="img2" value="$image"/><BrushLabels name="brush2" toName="img2"><Label value="Road"/></BrushLabels></View>'
    )
    (region,) = server.click([{**point(50, 50), "to_name": "img2"}], config=two)["result"]
    assert (region["from_name"], region["to_name"]) == ("brush2", "img2")


# --- which model


def test_the_last_points_tag_decides_the_model(server: Server) -> None:
    (region,) = server.click([point(50, 50), point(51, 50, tag="kp2")])["result"]
    assert region["meta"]["rsiseg"]["model"] == "other"
    (region,) = server.click([point(50, 50, tag="kp2"), point(51, 50)])["result"]
    assert region["meta"]["rsiseg"]["model"] == "fake"


@pytest.mark.parametrize("params", [{"model": "other"}, {"model_name": "other"}, '{"model": "other"}'])
def test_the_project_beats_the_server_and_the_tag_beats_the_project(server: Server, params: Any) -> None:
    assert server.post("/setup", {"project": "9.1", "extra_params": params}).json["model_version"].startswith("other@")

    def model(**attributes: str) -> str:
        return server.click([point(50, 50)], project="9.1", config=config(**attributes))["result"][0]["meta"]["rsiseg"]["model"]

    assert model() == "other"
    assert model(model_name="fake") == "fake"


def test_two_alternating_projects_do_not_mix(server: Server) -> None:
    polygons = config().replace("BrushLabels", "EllipseLabels")
    server.post("/setup", {"project": "1.1", "schema": config(), "extra_params": {"model": "other"}})
    server.post("/setup", {"project": "2.2", "schema": polygons, "extra_params": None})
    for _ in range(3):
        (first,) = server.click([point(50, 50)], project="1.1")["result"]
        (second,) = server.click([point(50, 50)], project="2.2", config=polygons)["result"]
        assert (first["meta"]["rsiseg"]["model"], first["type"]) == ("other", "brushlabels")
        assert (second["meta"]["rsiseg"]["model"], second["type"]) == ("fake", "polygonlabels")


def test_predict_needs_no_setup_before(server: Server) -> None:
    assert len(server.click([point(50, 50)], project="77.1")["result"]) == 1


def test_project_settings_survive_a_restart_and_can_be_taken_back(serve: Callable[..., Server]) -> None:
    serve().post("/setup", {"project": "9.1", "extra_params": {"model": "other"}})
    again = serve()
    assert again.click([point(50, 50)], project="9.1")["result"][0]["meta"]["rsiseg"]["model"] == "other"
    again.post("/setup", {"project": "9.1", "extra_params": None})
    assert again.click([point(50, 50)], project="9.1")["result"][0]["meta"]["rsiseg"]["model"] == "fake"


def test_the_token_reaches_neither_the_disk_nor_the_log(server: Server, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t-t0k3n"
    server.post(
        "/setup", {"project": "9.1", "access_token": secret, "schema": config(), "extra_params": {"model": "other", "token": secret}}
    )
    server.post("/webhook", {"action": "PROJECT_UPDATED", "project": {"token": secret}})
    server.client.get("/health", headers={"Authorization": f"Token {secret}"})
    server.click([point(50, 50)], project="9.1", data={**PICTURE, "note": secret})
    server.click([point("x", 50)], project="9.1", data={**PICTURE, "note": secret})
    assert secret not in caplog.text
    assert "rle" not in caplog.text and max(len(record.getMessage()) for record in caplog.records) < 500, "bodies are logged"
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file() and secret in path.read_text(errors="replace")]


# --- 8. and 9. webhook, versions, metrics


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "START_TRAINING", "PROJECT_UPDATED", "NEVER_SEEN", None])
def test_webhooks_of_any_action_are_answered_2xx(server: Server, action: Any) -> None:
    assert server.post("/webhook", {"action": action, "project": {"id": 1, "token": "t"}}).status_code == 200
    name = action if action and action != "NEVER_SEEN" else "other"
    assert server.metric(f'rsiseg_webhooks_total{{action="{name}"}}') == 1


def test_a_webhook_without_json_does_no_harm(server: Server) -> None:
    assert server.client.post("/webhook", data=b"\xff\x00").status_code == 200


def test_versions_answers_a_get_without_body(server: Server) -> None:
    versions = server.client.get("/versions").json["versions"]
    assert versions[0].startswith("fake@")
    assert [version.split("@")[0] for version in versions] == ["fake", "other", "infrared"], (
        "models whose weights are absent are not offered"
    )
    assert len(set(versions)) == len(versions)
    assert server.client.get("/versions").json["unavailable"] == {"absent": "train them with `rsiseg train`"}


def test_metrics_are_prometheus_text(server: Server) -> None:
    server.click([point(50, 50)])
    response = server.client.get("/metrics")
    assert response.content_type.startswith("text/plain")
    assert server.metric('rsiseg_steps_total{model="fake"}') == 1
    assert server.metric("rsiseg_click_seconds_count") == 1
    assert server.metric('rsiseg_cache_bytes{kind="states"}') == 600 * 600 * 4


@pytest.mark.parametrize("path", ["/train", "/predict/", "/nowhere"])
def test_routes_without_a_meaning_are_404_in_json(server: Server, path: str) -> None:
    response = server.post(path, {})
    assert response.status_code == 404
    assert response.json["error"]


# --- basic auth


def test_basic_auth_guards_everything_but_event_webhooks(serve: Callable[..., Server]) -> None:
    server = serve(basic_auth_user="ann", basic_auth_password="pwd")
    calls: list[Callable[..., Any]] = [
        lambda **more: server.client.get("/health", **more),
        lambda **more: server.post("/setup", {"project": "1.1"}, **more),
        lambda **more: server.post("/predict", {"tasks": [], "params": {}}, **more),
        lambda **more: server.client.get("/versions", **more),
        lambda **more: server.client.get("/metrics", **more),
        lambda **more: server.post("/webhook", {"action": "START_TRAINING"}, **more),
    ]
    for call in calls:
        refused = call()
        assert refused.status_code == 401 and "Basic" in refused.headers["WWW-Authenticate"]
        for wrong in ({"auth": ("ann", "no")}, {"auth": ("bob", "pwd")}, {"headers": {"Authorization": "Token abc"}}):
            assert call(**wrong).status_code == 401
        assert call(auth=("ann", "pwd")).status_code == 200
    assert server.post("/webhook", {"action": "ANNOTATION_CREATED"}).status_code == 200


# --- the session behind the app


def test_click_n_costs_one_step_and_undo_and_repetition_none(server: Server) -> None:
    points = [point(50, 50), point(60, 60), point(70, 70, positive=False)]
    for count in (1, 2, 3, 3, 2, 1):
        server.click(points[:count])
    assert len(server.fake.steps) == 3
    assert server.fake.encodes == 1
    server.click([points[0], points[2]])
    assert len(server.fake.steps) == 4


def test_a_restarted_server_gives_the_same_bits(serve: Callable[..., Server]) -> None:
    points = [point(50, 50), point(52, 50), point(48, 52, positive=False)]
    live = serve()
    stepwise = [live.click(points[:count]) for count in (1, 2, 3)][-1]
    fresh = serve().click(points)
    assert stepwise["result"][0]["value"] == fresh["result"][0]["value"]
    assert stepwise["score"] == fresh["score"]


def test_a_replaced_picture_is_another_picture(server: Server) -> None:
    server.click([point(50, 50)])
    path = server.files / "imgs" / "sq600.png"
    path.write_bytes(path.read_bytes() + b"\0")
    server.click([point(50, 50)])
    assert server.fake.encodes == 2


def test_two_annotators_on_one_server_at_once_do_not_disturb_each_other(server: Server) -> None:
    server.fake.seconds = 0.005
    annotators = {
        "sq600.png": [point(20, 20), point(40, 40), point(60, 60)],
        "wide800x450.png": [point(80, 80, size=(800, 450)), point(30, 30, size=(800, 450)), point(55, 5, size=(800, 450))],
    }
    alone = {name: server.click(points, data={"image": f"imgs/{name}"})["result"][0]["value"] for name, points in annotators.items()}
    server.runtime.sessions.states.clear()
    server.runtime.sessions.encodings.clear()
    server.fake.steps.clear()
    got: dict[str, Any] = {}

    def annotate(name: str) -> None:
        for count in (1, 2, 3):
            got[name] = server.click(annotators[name][:count], data={"image": f"imgs/{name}"})["result"][0]["value"]

    threads = [threading.Thread(target=annotate, args=(name,)) for name in annotators for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert json.dumps(got, sort_keys=True) == json.dumps(alone, sort_keys=True)
    assert server.fake.overlaps == 0
    assert len(server.fake.steps) == 6
