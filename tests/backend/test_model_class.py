"""The model class serves a host of label-studio-ml 1.0.9 and one of the 2.x in its repository."""

from __future__ import annotations

from typing import Any

from harness import LABEL_STUDIO, Server, config, point

from backend.ml_library import LabelStudioMLBase
from backend.model import RSISegModel

TASKS = [{"id": 4, "data": {"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/sq600.png"}}]
CLICK = {"result": [point(50, 50)]}


def test_called_as_1_0_9_calls_it(server: Server) -> None:
    """Instances with keyword arguments of /setup; predict with login, password and context as keywords."""
    host = RSISegModel.serving(server.runtime)
    model = host(label_config=config(), train_output={}, hostname="http://h", access_token="t", model_version=None)
    (entry,) = model.predict(TASKS, login=None, password=None, context=CLICK)
    assert len(entry["result"]) == 1
    assert model.predict(TASKS, login=None, password=None, context=None) == []


def test_called_as_2_x_calls_it(server: Server) -> None:
    """A new instance a request, made of project id and config; the context by keyword; extra params as a JSON string of the host's."""

    class Hosted(RSISegModel.serving(server.runtime)):  # type: ignore[misc]
        extra_params = '{"model": "other"}'

    (entry,) = Hosted(project_id="3", label_config=config()).predict(TASKS, context=CLICK, login=None, password=None)
    assert entry["result"][0]["meta"]["rsiseg"]["model"] == "other"


def test_instances_remember_nothing_of_each_other(server: Server) -> None:
    host = RSISegModel.serving(server.runtime)
    first: Any = host.for_request("1.1", config())
    second: Any = host.for_request("2.2", config(model_output="polygon"))
    assert first.predict(TASKS, context=CLICK)[0]["result"][0]["type"] == "brushlabels"
    assert second.predict(TASKS, context=CLICK)[0]["result"][0]["type"] == "polygonlabels"
    assert first.predict(TASKS, context=CLICK)[0]["result"][0]["type"] == "brushlabels"


def test_it_is_what_the_library_asks_for() -> None:
    assert issubclass(RSISegModel, LabelStudioMLBase)
