"""Cascade-forward refinement through the server: who decides, what it costs, and what Label Studio is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness import Server, config, point

from backend.errors import UsageError
from backend.inference.cfr import Cascade
from backend.settings import ServerSettings, settings_from
from backend.tag_settings import prediction_settings

PROJECT = "9.1"
POINTS = [point(50, 50), point(55, 50), point(45, 50, positive=False)]


def costs(server: Server, count: int, **attributes: str) -> list[int]:
    """Forward passes of each of the first `count` clicks, made one by one."""
    found = []
    for number in range(1, count + 1):
        before = len(server.fake.steps)
        assert server.click(POINTS[:number], config=config(**attributes), project=PROJECT)["result"]
        found.append(len(server.fake.steps) - before)
    return found


def setup(server: Server, params: Any) -> Any:
    return server.post("/setup", {"project": PROJECT, "schema": config(), "extra_params": params})


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [1, 1, 1]),
        ({"model_cfr": "off"}, [1, 1, 1]),
        ({"model_cfr": "4"}, [5, 1, 1]),
        ({"model_cfr": "2", "model_cfr_clicks": "2"}, [3, 3, 1]),
        ({"model_cfr": "2", "model_cfr_clicks": "all"}, [3, 3, 3]),
        ({"model_cfr": "auto:4", "model_cfr_clicks": "all"}, [2, 2, 2]),  # the fake's mask settles at once
    ],
)
def test_a_refined_click_costs_n_further_passes_and_undo_none(server: Server, attributes: dict[str, str], expected: list[int]) -> None:
    assert costs(server, 3, **attributes) == expected
    assert costs(server, 2, **attributes) == [0, 0]


def test_deleting_a_click_replays_the_later_ones_with_their_cascades(server: Server) -> None:
    attributes = {"model_cfr": "2", "model_cfr_clicks": "2"}
    costs(server, 3, **attributes)
    done = len(server.fake.steps)
    server.click([POINTS[0], POINTS[2]], config=config(**attributes), project=PROJECT)
    assert len(server.fake.steps) - done == 3


def test_each_way_of_refining_has_a_session_of_its_own_and_all_share_the_encoding(server: Server) -> None:
    assert costs(server, 1) == [1]
    assert costs(server, 1, model_cfr="1") == [2]
    assert costs(server, 1, model_cfr="1", model_cfr_clicks="all") == [2]
    assert costs(server, 1, model_cfr="auto:1") == [2]
    assert costs(server, 1) == costs(server, 1, model_cfr="1") == [0]
    assert server.fake.encodes == 1


def test_label_studio_is_told_how_the_click_was_refined(server: Server) -> None:
    plain = server.click(POINTS)
    refined = server.click(POINTS, config=config(model_cfr="auto:4", model_cfr_clicks="all"))
    assert refined["model_version"] == plain["model_version"] + "+acfr4@clicks=all"
    (region,) = refined["result"]
    assert region["meta"]["rsiseg"] == {
        "model": "fake",
        "version": refined["model_version"],
        "clicks": 3,
        "cfr": "auto:4@clicks=all",
    }


def test_the_tag_decides_before_the_project_before_the_server(serve: Callable[..., Server]) -> None:
    server = serve(cfr="1", cfr_clicks="all", propose="off")
    assert costs(server, 3) == [2, 2, 2]
    version = setup(server, {"model_cfr": 3}).json["model_version"]
    assert version.endswith("+cfr3@clicks=all")
    assert costs(server, 3) == [4, 4, 4], "the project says how often, the server how many clicks"
    assert server.click(POINTS, project=PROJECT)["model_version"] == version
    assert costs(server, 3, model_cfr="2", model_cfr_clicks="1") == [3, 1, 1]
    assert costs(server, 3, model_cfr="off") == [1, 1, 1]
    setup(server, {"cfr": "off"})
    server.runtime.sessions.states.clear()
    assert costs(server, 2) == [1, 1]


@pytest.mark.parametrize("params", [{"cfr": "yes"}, {"cfr": "21"}, {"cfr_clicks": "0"}])
def test_setup_refuses_what_has_no_meaning_and_keeps_what_was_there(server: Server, params: dict[str, str]) -> None:
    assert setup(server, {"cfr": "2"}).status_code == 200
    answer = setup(server, params)
    assert answer.status_code == 400
    assert "refine" in answer.status
    assert costs(server, 1) == [3]


def test_the_environment_and_the_options_name_the_servers_own(tmp_path: Any) -> None:
    settings = settings_from({"RSISEG_CFR": "auto:2", "RSISEG_CFR_CLICKS": "all"})
    assert prediction_settings({}, {}, settings.prediction).refinement.cascade == Cascade(2, True, None)
    with pytest.raises(UsageError, match=r"--cfr.*model_cfr is \"maybe\""):
        ServerSettings(cfr="maybe")
