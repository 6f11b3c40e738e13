"""f-BRS through the server: who decides, what Label Studio is told, the same bits after a restart, and what is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Server, config, point

from backend.app import create_app
from backend.errors import ContractError, UsageError
from backend.inference.refinement import Refinement
from backend.runtime import make_runtime
from backend.settings import ServerSettings, settings_from
from backend.tag_settings import prediction_settings

PICTURE = (240, 160)
CLICKS = [point(50, 50, size=PICTURE), point(52, 53, positive=False, size=PICTURE), point(54, 56, size=PICTURE)]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def start(files: Path, tmp_path: Path) -> Callable[..., Ask]:
    """Starts a server of a model with nothing in its caches."""

    def begin(model: str, **settings: Any) -> Ask:
        chosen = ServerSettings(model=model, device="cpu", roots=(files,), data_dir=tmp_path / "data", **settings)
        client = create_app(runtime=make_runtime(chosen)).test_client()

        def ask(*points: dict[str, Any], **attributes: str) -> dict[str, Any]:
            body = {
                "tasks": [{"id": 4, "data": {"image": "imgs/small.png"}}],
                "project": "1.1",
                "label_config": config(**attributes),
                "params": {"context": {"result": list(points)}},
            }
            return client.post("/predict", json=body).json["results"][0]

        return ask

    return begin


def told(answer: dict[str, Any]) -> tuple[Any, ...]:
    (region,) = answer["result"]
    return region["value"]["rle"], answer["score"], region["meta"]["rsiseg"]


@pytest.mark.parametrize("model", ["ritm_tiny", "simpleclick_tiny", "vitclick_tiny", "focalclick_tiny"])
def test_clicked_one_by_one_or_replayed_at_once_the_bits_are_the_same(start: Callable[..., Ask], model: str) -> None:
    ask = start(model)
    stepwise = [told(ask(*CLICKS[:count], model_fbrs="b")) for count in (1, 2, 3)]
    assert told(ask(*CLICKS[:2], model_fbrs="b")) == stepwise[1], "undo"
    assert told(start(model)(*CLICKS, model_fbrs="b")) == stepwise[2]


def test_the_answer_says_so_and_the_plain_model_has_answers_of_its_own(start: Callable[..., Ask]) -> None:
    ask = start("ritm_tiny")
    met, plain = (ask(*CLICKS, **attributes) for attributes in ({"model_fbrs": "c"}, {}))
    assert met["model_version"] == plain["model_version"] + "+fbrsc"
    assert told(met)[2]["fbrs"] == "c"
    assert "fbrs" not in told(plain)[2]
    assert told(met)[0] != told(plain)[0]


def test_the_server_offers_it_and_a_tag_turns_it_off(start: Callable[..., Ask]) -> None:
    ask = start("vitclick_tiny", fbrs="b")
    assert ask(CLICKS[0])["model_version"].endswith("+fbrsb")
    assert not ask(CLICKS[0], model_fbrs="off")["model_version"].endswith("+fbrsb")


@pytest.mark.parametrize(
    ("model", "attributes", "reason"),
    [
        ("sam_tiny", {"model_fbrs": "b"}, "sam_tiny does not; turn f-BRS off"),
        ("vitclick_tiny", {"model_fbrs": "c"}, "turn f-BRS off, or choose another model or place b"),
        ("vitclick_tiny", {"model_fbrs": "b", "model_cfr": "4"}, 'expected one of the two; set the other to "off"'),
        ("vitclick_tiny", {"model_fbrs": "yes"}, 'model_fbrs is "yes"; expected off, b or c'),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    start: Callable[..., Ask], caplog: pytest.LogCaptureFixture, model: str, attributes: dict[str, str], reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        assert start(model)(*CLICKS, **attributes)["result"] == []
    assert reason in caplog.text


def test_a_project_chooses_it_and_setup_refuses_it_beside_cfr(server: Server) -> None:
    def setup(params: dict[str, str]) -> Any:
        return server.post("/setup", {"project": "9.1", "schema": config(), "extra_params": params})

    assert "+fbrsb" in setup({"fbrs": "b"}).json["model_version"]
    refused = setup({"fbrs": "b", "cfr": "4"})
    assert refused.status_code == 400
    assert "one of the two" in refused.status
    assert server.runtime.projects.get("9.1") == {"fbrs": "b"}


def test_the_environment_names_the_servers_own() -> None:
    settings = settings_from({"RSISEG_FBRS": "B"})
    assert prediction_settings({}, {}, settings.prediction).refinement == Refinement(fbrs="b")
    assert prediction_settings({"model_fbrs": "off", "model_cfr": "2"}, {}, settings.prediction).refinement.suffix == "+cfr2"
    with pytest.raises(UsageError, match=r"--fbrs.*one of the two"):
        ServerSettings(fbrs="b", cfr="4")
    with pytest.raises(ContractError, match="expected off, b or c"):
        Refinement.parse(fbrs="a")
