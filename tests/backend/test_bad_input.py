"""What a user can get wrong gets an empty answer, its reason in the log with the task id, and a count; never a 500 (CONTRACT.md 11.7)."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from harness import LABEL_STUDIO, Server, config, point
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("points", "attributes", "reason", "words"),
    [
        ([point(5, 5, label="Unknown")], {}, "ContractError", "'Unknown'"),
        ([point(5, 5, label="Only")], {}, "ContractError", "'Only'"),
        ([point(5, 5, tag="nix")], {}, "ContractError", "'nix'"),
        ([point(5, 5)], {"model_name": "resnet"}, "ModelError", "there is no model 'resnet'; known are default, fake, other"),
        ([point(5, 5)], {"model_name": "absent"}, "ModelError", "not on this machine"),
        ([point(5, 5)], {"model_name": "/etc/x.safetensors"}, "ModelError", "there is no model"),
        ([point(5, 5)], {"model_output": "circle"}, "ContractError", "brush or polygon"),
        ([point(5, 5)], {"model_cfr": "often"}, "ContractError", 'model_cfr is "often"'),
        ([point(5, 5)], {"model_cfr": "1000"}, "ContractError", "at most 20"),
        ([point(5, 5)], {"model_cfr_clicks": "some"}, "ContractError", "model_cfr_clicks"),
        ([point(5, 5)], {"model_bands": "RGBIR"}, "ContractError", "4 bands"),
        ([point(5, 5)], {"model_name": "infrared"}, "RasterError", "IRRG"),
        ([{**point(5, 5), "type": "ellipselabels"}], {}, "ContractError", "ellipselabels"),
        ([{**point(5, 5), "to_name": "other"}], {}, "ContractError", "'other'"),
        ([{**point(5, 5), "original_width": "600"}], {}, "ContractError", "'600'"),
    ],
)
def test_what_a_user_can_get_wrong_is_logged_with_task_and_reason_and_counted(
    server: Server, points: list, attributes: dict[str, str], reason: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.click(points, config=config(**attributes))["result"] == []
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith("task 4: ") and words in record.getMessage()
    assert server.metric(f'rsiseg_failures_total{{reason="{reason}"}}') == 1
    assert server.metric('rsiseg_failures_total{reason="unexpected"}') == 0
    assert len(server.click([point(50, 50)])["result"]) == 1, "the server keeps serving"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "'image'"),
        ({"image": None}, "'image'"),
        ({"image": ["a.png", "b.png"]}, "'image'"),
        ({"image": "imgs/gone.png"}, "not there"),
        ({"image": "/etc/passwd"}, "outside"),
        ({"image": "imgs/../../secret.png"}, "outside"),
        ({"image": "http://169.254.169.254/latest/meta-data"}, "refused"),
        ({"image": f"{LABEL_STUDIO}/data/local-files/?d=../../etc/passwd"}, "leads out"),
        ({"image": "imgs/text.png"}, "not a raster"),
        ({"image": "imgs/cut.tif"}, "cut short"),
        ({"image": "x", "raster": "imgs/sq600.png", "window": [0, 0, 9999, 9999]}, "native_size"),
    ],
)
def test_an_image_that_cannot_be_used_is_logged_with_the_task(
    server: Server, data: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    (server.files / "imgs" / "text.png").write_text("no picture at all")
    (server.files / "imgs" / "cut.tif").write_bytes(b"II*\x00\x08\x00")
    entry = server.click([point(50, 50)], data={**data, "x": 1})
    assert entry["result"] == []
    assert "task 4: " in caplog.text and words in caplog.text
    assert server.metric('rsiseg_failures_total{reason="unexpected"}') == 0


def test_broken_label_configs_get_the_empty_entry(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    for broken in ("", "<View>", "<!DOCTYPE x [<!ENTITY a 'b'>]><View>&a;</View>", "<View/>"):
        assert server.click([point(50, 50)], config=broken)["result"] == []
    assert server.metric('rsiseg_failures_total{reason="unexpected"}') == 0


def test_a_config_with_an_xml_declaration_works(server: Server) -> None:
    assert len(server.click([point(50, 50)], config='<?xml version="1.0" encoding="UTF-8"?>' + config())["result"]) == 1


def test_a_bug_is_logged_with_its_traceback_counted_apart_and_still_answered(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("oops")

    server.fake.step = broken  # type: ignore[method-assign]
    entry = server.click([point(50, 50)])
    assert entry["result"] == []
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "task 4" in record.getMessage() and record.exc_info is not None
    assert server.metric('rsiseg_failures_total{reason="unexpected"}') == 1
    assert server.metric('rsiseg_answers_total{outcome="failed"}') == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"project": "1.1", "extra_params": {"model": "resnet"}}, "there is no model 'resnet'"),
        ({"project": "1.1", "extra_params": "no json"}, "no JSON"),
        ({"project": "1.1", "extra_params": [1]}, "JSON object"),
        ({"project": "1.1", "extra_params": {"model": {"a": 1}}}, "expected a text"),
        (None, "no JSON object"),
    ],
)
def test_setup_refuses_what_cannot_work_with_the_reason_where_label_studio_shows_it(server: Server, body: Any, words: str) -> None:
    response = server.post("/setup", body)
    assert response.status_code == 400
    assert words in response.status and words in response.json["error"]
    assert "\n" not in response.status and response.status.isascii()


def test_extra_params_of_other_programs_are_left_out_and_named(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    response = server.post("/setup", {"project": "1.1", "extra_params": {"device": "cpu", "threshold": 0.5}})
    assert response.status_code == 200
    assert "device, threshold" in caplog.text


@pytest.mark.parametrize("project", ["../../evil", "a/b", "", "x" * 300, "1.1\n", None])
def test_a_project_id_never_becomes_a_path_of_its_own_making(server: Server, project: Any, tmp_path: Any) -> None:
    response = server.post("/setup", {"project": project, "extra_params": {"model": "other"}})
    assert response.status_code == 200
    written = [path for path in tmp_path.rglob("*.json") if path.is_file()]
    assert [path.parent for path in written] == [tmp_path / "data" / "projects"]


ODD = [1e308, 10**400, -0.0, "\ud800", float("nan"), "keypointlabels", "rectanglelabels", "Road", "kp", "rect", "IRRG", "../x"]
KEYS = ["result", "value", "x", "type", "raster", "window", "image", "data"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes of a JSON value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with the node at `path` replaced."""
    if not path:
        return value
    copied = list(node) if isinstance(node, list) else dict(node)
    copied[path[0]] = replaced(node[path[0]], path[1:], value)
    return copied


def test_no_request_of_any_shape_is_a_500_or_counted_as_a_bug(server: Server) -> None:
    chip = {
        "image": "x", "raster": "imgs/small.png", "window": [10, 10, 100, 90], "transform": [1, 0, 0, 0, -1, 0], "crs": None,
        "bands": "RGB", "scale": 1.0, "gsd": None, "native_size": [240, 160], "stretch": None, "nodata": None,
    }  # fmt: skip
    request = {
        "tasks": [{"id": 4, "data": chip}],
        "project": "1.1",
        "label_config": config(),
        "params": {"context": {"result": [point(50, 50, size=(100, 90)), {**point(5, 5, size=(100, 90)), "is_positive": False}]}},
    }
    assert len(server.post("/predict", request).json["results"][0]["result"]) == 1
    paths = places(request)

    @given(st.lists(st.tuples(st.sampled_from(paths), ANYTHING), min_size=1, max_size=2))
    @settings(max_examples=400, deadline=None)
    def broken(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
        body: Any = request
        for path, value in changes:
            body = replaced(body, path, value) if path in places(body) else body
        bugs = server.runtime.metrics.failures.labels("unexpected")
        before = bugs._value.get()
        response = server.post("/predict", body)
        assert response.status_code in (200, 400), response.text
        if response.status_code == 200:
            json.loads(response.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert server.post("/setup", {"project": "1.1", "extra_params": body}).status_code in (200, 400)
        assert bugs._value.get() == before, body

    broken()
