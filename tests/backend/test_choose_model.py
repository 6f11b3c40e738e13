"""Several smart tags in one interface: which of them answers, and that a click made with several of them is one click."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from harness import Server, point
from rasterio.transform import from_origin

from backend import answer
from backend.inference.cfr import Cascade
from backend.segmenters.catalogue import Catalogue
from converters.label_config import parse

SHIPPED = Path(answer.__file__).parents[1] / "label_config" / "choose-model.xml"
SWITCHES = """<View>
  <Image name="img" value="$image"/>
  <KeyPointLabels name="kp" toName="img" smart="true"><Label value="Road"/><Label value="Building"/></KeyPointLabels>
  <KeyPointLabels name="refined" toName="img" smart="true" model_cfr="2"><Label value="refined"/></KeyPointLabels>
  <KeyPointLabels name="other" toName="img" smart="true" model_name="other" model_cfr=""><Label value="other"/></KeyPointLabels>
  <KeyPointLabels name="absent" toName="img" smart="true" model_name="absent"><Label value="absent"/></KeyPointLabels>
  <BrushLabels name="brush" toName="img" smart="false"><Label value="Road"/><Label value="Building"/></BrushLabels>
</View>"""
SHARED = """<View>
  <Image name="img" value="$image"/>
  <KeyPointLabels name="a" toName="img" smart="true" model_name="fake" model_cfr="2">
    <Label value="Road"/><Label value="Building"/>
  </KeyPointLabels>
  <KeyPointLabels name="b" toName="img" smart="true" model_name="other">
    <Label value="Road"/><Label value="Building"/>
  </KeyPointLabels>
  <BrushLabels name="brush" toName="img" smart="false"><Label value="Road"/><Label value="Building"/></BrushLabels>
</View>"""


def made_with(*chosen: tuple[str, str], at: tuple[float, float] = (50, 50), **how: Any) -> list[dict[str, Any]]:
    """One click with several labels chosen, (tag, label) each, as the editor sends it: once for each tag, under one id.

    `labels` is that of the first tag in all of them, as measured.
    """
    items = [point(*at, tag=tag, label=label, **how) for tag, label in chosen]
    return [{**item, "value": {**item["value"], "labels": [chosen[0][1]]}} for item in items]


def told(entry: dict[str, Any]) -> tuple[str, str, int, list[str]]:
    (region,) = entry["result"]
    meta = region["meta"]["rsiseg"]
    return meta["model"], meta["cfr"], meta["clicks"], region["value"]["brushlabels"]


ROAD, REFINED, OTHER = ("kp", "Road"), ("refined", "refined"), ("other", "other")


def test_a_point_under_several_tags_is_one_click(server: Server) -> None:
    points = [*made_with(ROAD), *made_with(ROAD, REFINED, at=(40, 40), positive=False), *made_with(ROAD, at=(45, 55))]
    assert told(server.click(points, config=SWITCHES)) == ("fake", "off", 3, ["Road"])
    assert [click.positive for click in server.fake.steps[-1]] == [True, False, True]


def test_two_clicks_on_one_spot_are_two(server: Server) -> None:
    twice = [{**made_with(ROAD)[0], "id": name} for name in ("first", "second")]
    assert told(server.click(twice, config=SWITCHES))[2] == 2
    without = [{name: value for name, value in made_with(ROAD)[0].items() if name != "id"}] * 2
    assert told(server.click(without, config=SWITCHES))[2] == 2


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ((ROAD,), ("fake", "off")),
        ((ROAD, REFINED), ("fake", "2")),
        ((ROAD, OTHER), ("other", "off")),
        ((ROAD, REFINED, OTHER), ("other", "2")),
    ],
    ids=lambda value: "+".join(str(one[0]) for one in value),
)
def test_switches_say_what_the_class_does_not_in_any_order(
    server: Server, chosen: tuple[tuple[str, str], ...], expected: tuple[str, str]
) -> None:
    for order in itertools.permutations(chosen):
        assert told(server.click(made_with(*order), config=SWITCHES)) == (*expected, 1, ["Road"])


def test_the_last_click_decides_for_all_of_the_object(server: Server) -> None:
    first, second = made_with(ROAD, OTHER), made_with(ROAD, at=(52, 50))
    assert told(server.click(first, config=SWITCHES))[0] == "other"
    assert told(server.click([*first, *second], config=SWITCHES)) == ("fake", "off", 2, ["Road"])
    assert len(server.fake.steps) == 2, "the other model's click is replayed by this one"


def test_of_two_tags_with_the_class_the_last_answers_alone(server: Server) -> None:
    a, b = ("a", "Road"), ("b", "Road")
    assert told(server.click(made_with(a), config=SHARED)) == ("fake", "2", 1, ["Road"])
    assert told(server.click(made_with(a, b), config=SHARED)) == ("other", "off", 1, ["Road"])
    assert told(server.click(made_with(b, a), config=SHARED)) == ("fake", "2", 1, ["Road"])
    assert told(server.click([*made_with(b), *made_with(a, at=(9, 9))], config=SHARED)) == ("fake", "2", 2, ["Road"])
    assert told(server.click(made_with(("a", "Building"), b), config=SHARED)) == ("other", "off", 1, ["Road"])


def test_a_switch_alone_is_no_class(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert server.click(made_with(REFINED), config=SWITCHES)["result"] == []
    assert "'refined' is in no" in caplog.text


def test_switching_to_a_model_that_is_not_here_is_logged_counted_and_undone_by_switching_back(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = made_with(ROAD), made_with(ROAD, ("absent", "absent"), at=(55, 55))
    assert server.click([*first, *second], config=SWITCHES)["result"] == []
    assert "task 4: the weights of absent are not on this machine" in caplog.text
    assert server.runtime.catalogue.unavailable()["absent"] in caplog.text
    assert server.metric('rsiseg_failures_total{reason="ModelError"}') == 1
    assert server.metric('rsiseg_answers_total{outcome="failed"}') == 1
    assert told(server.click([*first, *second, *made_with(ROAD, at=(60, 60))], config=SWITCHES)) == ("fake", "off", 3, ["Road"])


def test_model_is_another_word_for_model_name(server: Server) -> None:
    config = SHARED.replace('model_name="fake"', 'model="other"')
    assert told(server.click(made_with(("a", "Road")), config=config))[:2] == ("other", "2")


def test_the_server_then_the_project_then_the_tag_choose(serve: Callable[..., Server]) -> None:
    server = serve(model="other")

    def model(*chosen: tuple[str, str], config: str = SWITCHES) -> str:
        return told(server.click(made_with(*chosen), config=config, project="9.1"))[0]

    assert model(ROAD) == "other"
    server.post("/setup", {"project": "9.1", "extra_params": {"model": "fake", "cfr": "1"}})
    assert model(ROAD) == "fake"
    assert told(server.click(made_with(ROAD, REFINED), config=SWITCHES, project="9.1"))[:2] == ("fake", "2")
    assert told(server.click(made_with(ROAD, OTHER), config=SWITCHES, project="9.1"))[:2] == ("other", "1")
    assert model(("b", "Road"), config=SHARED) == "other"


def test_each_tag_has_its_own_bands(server: Server) -> None:
    values = np.random.default_rng(2).integers(1, 255, (4, 50, 60), dtype=np.uint8)
    path = server.files / "r.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=4, height=50, width=60, dtype="uint8", crs="EPSG:32633", transform=from_origin(0, 0, 0.05, 0.05)
    ) as file:
        file.write(values)
    config = SHARED.replace('model_name="fake" model_cfr="2"', 'model_bands="IRRG"').replace('model_name="other"', 'model_bands="BGR"')
    data = {"image": "r.png", "raster": str(path), "window": [0, 0, 60, 50], "bands": "RGBIR", "scale": 1.0, "native_size": [60, 50]}
    images: list[np.ndarray] = []
    encode = server.fake.encode
    server.fake.encode = lambda image: images.append(image) or encode(image)  # type: ignore[method-assign, func-returns-value]
    for tag in ("a", "b"):
        assert told(server.click(made_with((tag, "Road"), size=(60, 50)), data=data, config=config))[0] == "fake"
    np.testing.assert_array_equal(images[0], np.moveaxis(values[[3, 0, 1]], 0, -1))
    np.testing.assert_array_equal(images[1], np.moveaxis(values[[2, 1, 0]], 0, -1))


def test_the_shipped_interface_names_models_that_there_are_and_switches_that_are_no_classes() -> None:
    config = parse(SHIPPED.read_text())
    first, *switches = [control for control in config.controls if control.smart]
    (target,) = [control for control in config.controls if control.type == "BrushLabels"]
    assert first.labels == target.labels, "M takes up the first smart tool, and a tool answers only with a label of its own tag"
    assert not any(name.startswith("model") for name in first.attributes), "without a switch the project and the server choose"
    assert not {label for switch in switches for label in switch.labels} & set(target.labels)
    listed = {entry.name: entry for entry in Catalogue(SHIPPED.parents[1] / "weights").entries}
    models = [switch.attributes["model_name"] for switch in switches if "model_name" in switch.attributes]
    assert len({listed[name].family for name in models}) == len(models) >= 2
    assert all(f"rsiseg weights pull {name}" in listed[name].how_to_get for name in models)
    refined = [switch.attributes for switch in switches if "model_cfr" in switch.attributes]
    assert [Cascade.parse(one["model_cfr"], one["model_cfr_clicks"]).suffix for one in refined] == ["+acfr4@clicks=all"]


@pytest.mark.parametrize("path", sorted(SHIPPED.parent.glob("*.xml")), ids=lambda path: path.stem)
def test_label_studio_takes_no_two_names_for_one(path: Path) -> None:
    """Its own check, a search for name="..." outside comments, finds model_name="..." too."""
    text = re.sub(r"<!--.*?-->", "", path.read_text(), flags=re.DOTALL)
    names = re.findall(r'name="([^"]*)"', text)
    assert len(names) == len(set(names)) > 2
