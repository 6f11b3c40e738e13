"""Every family of the registry through the whole server, with its tiny random entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import config, point

from backend.app import create_app
from backend.runtime import make_runtime
from backend.segmenters import catalogue
from backend.settings import ServerSettings
from converters import rle
from converters.frames import Size

Ask = Callable[..., dict[str, Any]]
TINY = [entry.name for entry in catalogue.entries() if entry.name.endswith("_tiny")]
PICTURE = (240, 160)
CLICKS = [point(50, 50, size=PICTURE), point(30, 62, size=PICTURE), point(55, 45, positive=False, size=PICTURE)]


@pytest.fixture(params=TINY)
def server(request: pytest.FixtureRequest, files: Path, tmp_path: Path) -> Callable[[], Ask]:
    """Starts a server with nothing in its caches."""

    def start() -> Ask:
        settings = ServerSettings(model=request.param, device="cpu", roots=(files,), data_dir=tmp_path / "data")
        client = create_app(runtime=make_runtime(settings)).test_client()

        def ask(*points: dict[str, Any], **attributes: str) -> dict[str, Any]:
            body = {
                "tasks": [{"id": 4, "data": {"image": "imgs/small.png"}}],
                "project": "1.1",
                "label_config": config(**attributes),
                "params": {"context": {"result": list(points)}},
            }
            (entry,) = client.post("/predict", json=body).json["results"]
            (region,) = entry["result"]
            assert rle.decode(region["value"]["rle"], Size(*PICTURE)).any()
            return {"rle": region["value"]["rle"], "score": entry["score"], "meta": region["meta"]["rsiseg"]}

        return ask

    return start


@pytest.mark.parametrize("attributes", [{}, {"model_cfr": "2", "model_cfr_clicks": "all"}, {"model_cfr": "auto:3"}], ids=str)
def test_clicked_one_by_one_or_replayed_at_once_the_bits_are_the_same(server: Callable[[], Ask], attributes: dict[str, str]) -> None:
    ask = server()
    stepwise = [ask(*CLICKS[:count], **attributes) for count in (1, 2, 3)]
    assert ask(*CLICKS[:2], **attributes) == stepwise[1], "undo"
    fresh = server()
    assert fresh(*CLICKS, **attributes) == stepwise[2]
    assert fresh(*CLICKS[:1], **attributes) == stepwise[0]


def test_a_box_is_a_prompt_of_its_own_or_a_first_click_inside_it(server: Callable[[], Ask]) -> None:
    ask = server()
    box = {**point(0, 0, size=PICTURE), "type": "rectanglelabels", "from_name": "rect"}
    boxes = [{**box, "value": {"x": x, "y": 30, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Road"]}} for x in (20, 45)]
    answers = [ask(one) for one in boxes]
    takes_boxes = answers[0]["meta"]["model"] == "sam_tiny"
    assert all((answer["meta"]["box"], answer["meta"]["clicks"]) == (True, 0 if takes_boxes else 1) for answer in answers)
    assert answers[0]["rle"] != answers[1]["rle"]
    assert ask(boxes[0]) == answers[0]
    assert server()(boxes[0]) == answers[0]


def test_the_size_of_a_box_matters_not_only_its_centre(server: Callable[[], Ask]) -> None:
    """For the families that read no boxes it is the region of interest of the first click."""
    ask = server()
    box = {**point(0, 0, size=PICTURE), "type": "rectanglelabels", "from_name": "rect"}
    sides = [{"x": 50 - half, "y": 50 - half, "width": 2 * half, "height": 2 * half, "rotation": 0} for half in (15, 50)]
    small, whole = (ask({**box, "value": {**side, "rectanglelabels": ["Road"]}}) for side in sides)
    assert small["rle"] != whole["rle"]
    assert small["rle"] != ask(point(50, 50, size=PICTURE))["rle"], "nor is it a click alone"


def test_refinement_changes_the_answer(server: Callable[[], Ask]) -> None:
    ask = server()
    assert ask(CLICKS[0])["rle"] != ask(CLICKS[0], model_cfr="2")["rle"]


def test_the_answer_says_which_model_gave_it(server: Callable[[], Ask], request: pytest.FixtureRequest) -> None:
    meta = server()(*CLICKS[:2])["meta"]
    assert meta["model"] in TINY
    assert meta["version"].startswith(f"{meta['model']}@")
    assert (meta["clicks"], meta["cfr"]) == (2, "off")


def test_every_family_has_a_tiny_entry() -> None:
    tiny = {entry.family for entry in catalogue.entries() if entry.name in TINY}
    assert tiny == {entry.family for entry in catalogue.entries()}
