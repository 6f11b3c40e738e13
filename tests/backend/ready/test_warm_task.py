"""What the server does when a task is opened: the encoding that the next click finds, of the model and the bands that it will ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import LABEL_STUDIO, Server, config, point

PROJECT = "3.1795327615"
TWO_VIEWS = """<View>
  <Image name="colour" value="$image"/><Image name="infrared" value="$second"/>
  <KeyPointLabels name="kp" toName="colour" smart="true"><Label value="Road"/></KeyPointLabels>
  <KeyPointLabels name="kp2" toName="colour" smart="true" model_name="other"><Label value="Road"/></KeyPointLabels>
  <KeyPointLabels name="kp3" toName="infrared" smart="true" model_name="other"><Label value="Road"/></KeyPointLabels>
  <BrushLabels name="brush" toName="colour" smart="false"><Label value="Road"/></BrushLabels>
</View>"""


def picture(name: str) -> str:
    return f"{LABEL_STUDIO}/data/local-files/?d=imgs/{name}.png"


def open_task(
    server: Server, *names: str, label_config: str | None = None, project: str = PROJECT, data: dict[str, Any] | None = None
) -> None:
    """As Label Studio does, when it opens a task without predictions or wants them for a batch."""
    tasks = [{"id": number, "data": data or {"image": picture(name)}} for number, name in enumerate(names or ("sq600",), start=4)]
    body = {"tasks": tasks, "project": project, "label_config": label_config or config(), "params": {"context": None}}
    assert server.post("/predict", body).status_code == 200
    assert server.runtime.warmer.wait(60)


def warmed(server: Server, outcome: str) -> float:
    return server.metric(f'rsiseg_warmed_total{{outcome="{outcome}"}}')


def test_the_first_click_on_an_opened_task_encodes_nothing(server: Server) -> None:
    open_task(server)
    assert server.fake.encodes == 1
    before = len(server.fake.steps)
    assert server.click([point(51, 52)])["result"]
    assert server.fake.encodes == 1
    assert len(server.fake.steps) == before + 1
    assert warmed(server, "encoded") == 1


def test_opening_it_again_costs_nothing(server: Server) -> None:
    open_task(server)
    open_task(server)
    assert server.fake.encodes == 1
    assert (warmed(server, "encoded"), warmed(server, "kept")) == (1, 1)


def test_the_model_is_that_of_the_first_smart_tag(server: Server) -> None:
    open_task(server, label_config=config(model_name="other"))
    assert (server.fake.encodes, server.segmenters["other"].encodes) == (0, 1)
    server.click([point(50, 50)], config=config(model_name="other"))
    assert server.segmenters["other"].encodes == 1


def test_the_model_is_that_of_the_project(server: Server) -> None:
    server.post("/setup", {"project": PROJECT, "schema": config(), "extra_params": {"model_name": "other"}})
    open_task(server)
    assert (server.fake.encodes, server.segmenters["other"].encodes) == (0, 1)
    server.click([point(50, 50)])
    assert server.segmenters["other"].encodes == 1


def test_refinement_asks_for_the_same_encoding(server: Server) -> None:
    refined = config(model_cfr="2", model_cfr_clicks="all")
    open_task(server, label_config=refined)
    server.click([point(50, 50)], config=refined)
    assert server.fake.encodes == 1


def test_every_image_of_the_interface_is_made_ready_with_the_model_of_its_first_smart_tag(server: Server) -> None:
    data = {"image": picture("sq600"), "second": picture("wide800x450")}
    open_task(server, label_config=TWO_VIEWS, data=data)
    assert (server.fake.encodes, server.segmenters["other"].encodes) == (1, 1)
    assert {key.source.uri for key, _ in server.runtime.sessions.encodings._entries} == set(data.values())


def test_of_a_batch_the_first_few_are_made_ready(server: Server) -> None:
    open_task(server, "sq600", "wide800x450", "small", "sq600")
    assert server.fake.encodes == 1 + server.runtime.settings.warm_tasks == 3


@pytest.mark.parametrize(
    ("data", "label_config"),
    [
        ({"image": picture("absent")}, None),
        ({"image": "/etc/passwd"}, None),
        ({"other": 3}, None),
        ({"raster": 3, "window": "x"}, None),
        (None, "no XML"),
        (None, config(model_name="absent")),
        (None, config(model_name="unheard of")),
        (None, config(model_cfr="many")),
    ],
)
def test_what_a_click_would_refuse_is_counted_and_the_request_answered(
    server: Server, data: dict[str, Any] | None, label_config: str | None
) -> None:
    open_task(server, data=data, label_config=label_config)
    assert warmed(server, "failed") == 1
    assert server.fake.encodes == 0
    open_task(server)
    assert server.fake.encodes == 1


def test_an_interface_without_a_smart_tag_has_nothing_to_be_made_ready(server: Server) -> None:
    open_task(server, label_config='<View><Image name="img" value="$image"/></View>')
    assert server.fake.encodes == 0
    assert warmed(server, "failed") == 0


def test_a_click_makes_the_tasks_after_it_ready_and_so_does_opening_the_project(
    serve: Callable[..., Server], files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label Studio does not report the opening of a task that has predictions."""
    asked: list[tuple[int, int, int]] = []

    def after(self: Any, project: int, task: int, count: int) -> list[dict[str, Any]]:
        asked.append((project, task, count))
        return [{"id": 5, "data": {"image": picture("small")}}] if task else [{"id": 4, "data": {"image": picture("wide800x450")}}]

    monkeypatch.setattr("backend.ready.next_tasks.NextTasks.after", after)
    server = serve(api_key="secret", warm_tasks=1)
    server.post("/setup", {"project": PROJECT, "schema": config()})
    assert server.runtime.warmer.wait(60)
    assert server.fake.encodes == 1
    server.click([point(50, 50)])
    assert server.runtime.warmer.wait(60)
    assert asked == [(3, 0, 1), (3, 4, 1)]
    assert server.fake.encodes == 3  # wide800x450, the click's own, small
    server.click([point(50, 50, size=(240, 160))], data={"image": picture("small")})
    assert server.fake.encodes == 3


def test_without_a_token_nobody_is_asked(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.ready.next_tasks.NextTasks.after", lambda *_: pytest.fail("asked"))
    server = serve(api_key=None)
    server.post("/setup", {"project": PROJECT, "schema": config()})
    open_task(server)
    assert server.fake.encodes == 1
    assert warmed(server, "failed") == 0


def test_no_tasks_ahead_means_the_opened_one_only(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.ready.next_tasks.NextTasks.after", lambda *_: pytest.fail("asked"))
    server = serve(api_key="secret", warm_tasks=0)
    open_task(server)
    assert server.fake.encodes == 1
    assert warmed(server, "failed") == 0


def test_another_version_of_the_weights_finds_nothing_of_the_one_before(server: Server) -> None:
    open_task(server)
    server.fake.version = "fake@retrained"
    server.runtime.models._loaded.clear()
    open_task(server)
    assert server.fake.encodes == 2
    assert {version for _, version in server.runtime.sessions.encodings._entries} == {
        server.runtime.catalogue.version("fake"),
        "fake@retrained",
    }


def test_the_counters_of_the_disk_are_shown(server: Server) -> None:
    open_task(server)
    assert server.metric('rsiseg_disk_cache_total{outcome="miss"}') == 1
    assert server.metric("rsiseg_disk_cache_bytes") == 0  # the tests' segmenter has no encoding that a file could hold
