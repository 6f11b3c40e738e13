"""/predict without a click: on opening a task, in a batch, and task by task where a batch does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from disks import FindsWhatIsThere, bright_or_dark, picture, truth
from harness import LABEL_STUDIO, Server, config
from PIL import Image

from backend.pre_annotation.classifiers import Classifiers
from converters import rle
from converters.frames import Size

PROJECT = "3.1795327615"
EMPTY = {"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/dark.png"}
DISKS = {"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/disks.png"}


@pytest.fixture
def propose(serve: Callable[..., Server]) -> Callable[..., Server]:
    """A server whose project 3 has a classifier for Building, and pictures of three disks and of none."""

    def start(**settings: Any) -> Server:
        server = serve(**settings)
        for name, model in server.segmenters.items():
            model.__class__ = FindsWhatIsThere
            assert model.name == name
        Image.fromarray(picture()).save(server.files / "imgs" / "disks.png")
        Image.fromarray(picture(())).save(server.files / "imgs" / "dark.png")
        path = Classifiers(server.runtime.settings.data_dir).path(PROJECT)
        path.parent.mkdir(parents=True)
        bright_or_dark(name="Building", shipped=False).write(path)
        return server

    return start


def ask(server: Server, *data: dict[str, str], project: str = PROJECT, label_config: str | None = None, first: int = 1) -> list[Any]:
    tasks = [{"id": number, "data": each} for number, each in enumerate(data, start=first)]
    body = {"tasks": tasks, "project": project, "label_config": label_config or config(), "params": {"context": None}}
    answer = server.post("/predict", body)
    assert answer.status_code == 200
    return answer.json["results"]


def test_a_batch_gets_every_object_of_every_task_and_an_empty_list_where_there_is_none(propose: Callable[..., Server]) -> None:
    results = ask(propose(), DISKS, EMPTY, DISKS)
    assert results[1] == []  # stored as nothing; a dict with an empty result would be stored, and keep the next one away
    wanted = truth(picture())
    for entry in (results[0], results[2]):
        assert len(entry["result"]) == len(wanted)
        masks = [rle.decode(region["value"]["rle"], Size(256, 256)) > 0 for region in entry["result"]]
        assert sum(mask.astype(int) for mask in masks).max() == 1
        for place in wanted:
            assert any(np.array_equal(mask, place.mask) for mask in masks)
        for region in entry["result"]:
            assert region["type"] == "brushlabels" and region["value"]["brushlabels"] == ["Building"]
            said = region["meta"]["rsiseg"]
            assert (said["clicks"], said["proposed"], said["model"]) == (0, True, "fake")
            assert said["version"] == entry["model_version"]
            assert 0.25 <= region["score"] <= 1
        assert entry["score"] == pytest.approx(np.mean([region["score"] for region in entry["result"]]), abs=1e-3)
    assert len({region["id"] for entry in (results[0], results[2]) for region in entry["result"]}) == 2 * len(wanted)


def test_a_task_that_is_opened_is_not_waited_for_unless_asked(propose: Callable[..., Server]) -> None:
    assert ask(propose(), DISKS) == []


def test_off_is_off(propose: Callable[..., Server]) -> None:
    assert ask(propose(propose="off"), DISKS, DISKS) == []


def test_on_opening_where_the_server_says_so(propose: Callable[..., Server]) -> None:
    server = propose(propose="on")
    assert len(ask(server, DISKS)[0]["result"]) == 3
    steps = len(server.fake.steps)
    assert len(ask(server, DISKS)[0]["result"]) == 3
    assert len(server.fake.steps) == steps, "what was proposed once is kept"
    assert ask(server, EMPTY) == []


def test_a_click_after_proposals_costs_no_encode(propose: Callable[..., Server]) -> None:
    from harness import point

    server = propose(propose="on")
    ask(server, DISKS)
    assert server.fake.encodes == 1
    assert server.click([point(23.4, 23.4, size=(256, 256))], data=DISKS)["result"]
    assert server.fake.encodes == 1


def test_projects_choose_for_themselves(propose: Callable[..., Server]) -> None:
    server = propose()
    setup = {"project": PROJECT, "schema": config(), "hostname": LABEL_STUDIO, "access_token": "x"}
    before = server.post("/setup", setup | {"extra_params": {}}).json["model_version"]
    on = server.post("/setup", setup | {"extra_params": {"propose": "on", "propose_score": 0.999}}).json["model_version"]
    assert ask(server, DISKS) == []
    assert on != before
    server.post("/setup", setup | {"extra_params": {"propose": "on", "propose_score": 0.25}})
    assert ask(server, DISKS)[0]["model_version"] == before, "the version that Label Studio skips tasks by is that of predictions"
    assert server.post("/setup", setup | {"extra_params": {"propose": "sometimes"}}).status_code == 400
    assert server.post("/setup", setup | {"extra_params": {"propose_score": "high"}}).status_code == 400


def test_the_version_changes_with_bands_threshold_and_classifier(propose: Callable[..., Server]) -> None:
    server = propose()
    runtime = server.runtime
    versions = {
        runtime.prediction_version(params, PROJECT) for params in ({}, {"bands": "RGB"}, {"propose_score": "0.7"}, {"name": "other"})
    }
    bright_or_dark(name="Road", shipped=False).write(Classifiers(runtime.settings.data_dir).path(PROJECT))
    versions.add(runtime.prediction_version({}, PROJECT))
    assert len(versions) == 5
    assert runtime.prediction_version({"propose": "off"}, PROJECT) == runtime.version_for({}, PROJECT)


def test_polygons_where_the_project_asks_for_them(propose: Callable[..., Server]) -> None:
    server = propose(propose="on")
    tag = '<PolygonLabels name="poly" toName="img"><Label value="Building"/></PolygonLabels>'
    polygons = f'<View><Image name="img" value="$image"/>{tag}</View>'
    regions = ask(server, DISKS, label_config=polygons)[0]["result"]
    assert {region["type"] for region in regions} == {"polygonlabels"} and {region["from_name"] for region in regions} == {"poly"}


def test_classes_nobody_knows_and_broken_tasks_give_nothing_and_a_reason(
    propose: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = propose(propose="on")
    caplog.set_level("WARNING")
    unknown = config().replace("Building", "Unheard of").replace("Road", "Neither").replace("Only", "Nor")
    assert ask(server, DISKS, label_config=unknown) == []
    assert "none of the classes" in caplog.text and "train-classifier" in caplog.text
    missing = {"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/missing.png"}
    results = ask(server, missing, DISKS)
    assert results[0] == [] and len(results[1]["result"]) == 3
    assert ask(server, DISKS, label_config="<View/>") == []
    assert ask(server, DISKS, label_config="<broken") == []


class SlowClock:
    """Seconds that pass only where a chip is proposed for: two readings each."""

    def __init__(self, each: float) -> None:
        self.now, self.each = 0.0, each

    def __call__(self) -> float:
        return self.now


def test_a_batch_that_does_not_fit_is_answered_by_exactly_one_entry_and_then_task_by_task(propose: Callable[..., Server]) -> None:
    server = propose()
    clock = SlowClock(30)
    server.runtime.proposer._clock = clock
    encode = server.fake.encode

    def slow_encode(image: np.ndarray) -> Any:
        clock.now += clock.each
        return encode(image)

    server.fake.encode = slow_encode
    others = []
    for number in range(5):
        Image.fromarray(picture(((60 + 20 * number, 100, 30),))).save(server.files / "imgs" / f"one{number}.png")
        others.append({"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/one{number}.png"})
    answer = ask(server, *others)
    assert len(answer) == 1, "Label Studio then repeats task by task, and ignores this entry"
    assert clock.now < 80
    # The repetition comes as single tasks, which are not taken for opened ones, in any process of the server.
    repeated = [ask(server, each, first=number) for number, each in enumerate(others, start=1)]
    assert [len(each[0]["result"]) for each in repeated] == [1] * 5
    assert ask(server, DISKS, first=77) == [], "a task that was not in the batch is one that is opened"


def test_a_batch_that_fits_is_answered_as_one(propose: Callable[..., Server]) -> None:
    server = propose()
    clock = SlowClock(0)
    server.runtime.proposer._clock = clock
    assert len(ask(server, DISKS, EMPTY)) == 2
