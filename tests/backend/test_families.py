"""Every family, with three bands and with four, under every strategy, through the whole server: the tiny random entries of the registry.

Models are loaded once for the module; every server in it begins with empty caches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from harness import config, point
from PIL import Image
from rasterio.transform import from_origin

from backend.app import create_app
from backend.evaluation.models import load_model
from backend.inference.segmenter import Segmenter
from backend.model_pool import Loader
from backend.runtime import make_runtime
from backend.segmenters import catalogue, registry
from backend.segmenters.catalogue import WEIGHTS_FOLDER, Catalogue
from backend.segmenters.catalogue_entry import Entry
from backend.settings import ServerSettings
from converters import rle
from converters.chips import Chip, PixelWindow
from converters.frames import Size
from converters.label_studio import chip_to_task_data

SIZE = Size(240, 160)
RGBIR = ("R", "G", "B", "IR")
TINY = [one for one in catalogue.entries() if one.formula is not None]
THREE = [one.name for one in TINY if one.bands == 3]
FOUR = [one.name for one in TINY if one.bands == 4]
# FocalClick is not averaged with its mirror image, and SAM's embedding is of the image as it is.
MIRRORED = [f"{one.name}_mirrored" for one in TINY if one.family not in ("focalclick", "sam")]
REFINEMENTS: list[dict[str, str]] = [
    {},
    {"model_cfr": "2"},
    {"model_cfr": "2", "model_cfr_clicks": "all"},
    {"model_cfr": "auto:3", "model_cfr_clicks": "all"},
]


def click(x: float, y: float, *, positive: bool = True) -> dict[str, Any]:
    return point(x, y, positive=positive, size=(SIZE.width, SIZE.height))


def box(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["Road"]}
    return {**click(0, 0), "type": "rectanglelabels", "from_name": "rect", "value": value}


CLICKS = [click(50, 50), click(30, 62), click(55, 45, positive=False)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The generated entries of the registry, and those that take it once more with flip averaging."""
    text = (WEIGHTS_FOLDER / "registry.toml").read_text(encoding="utf-8")
    tables = {name: table for name, table in re.findall(r"(?ms)^\[(\w+)\]\n(.*?)(?=^\[|\Z)", text) if "formula = " in table}
    lines = [f'default = "{THREE[0]}"', *(f"[{name}]\n{table}" for name, table in tables.items())]
    lines += [f"[{name}]\nflip = true\n{tables[name.removesuffix('_mirrored')]}" for name in MIRRORED]
    folder = tmp_path_factory.mktemp("weights")
    (folder / "registry.toml").write_text("\n".join(lines), encoding="utf-8")
    return Catalogue(folder)


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four bands, the same with another infrared, the first three of them, one of unknown meaning, and a picture of the three."""
    folder = tmp_path_factory.mktemp("rasters")
    values = np.random.default_rng(2).integers(1, 255, (4, SIZE.height, SIZE.width), dtype=np.uint8)
    other = np.concatenate([values[:3], 255 - values[3:]])
    for name, bands in {"four": values, "other_infrared": other, "three": values[:3], "one": values[:1]}.items():
        place = {"crs": "EPSG:32633", "transform": from_origin(0, 0, 0.05, 0.05)}
        shape = {"count": len(bands), "height": SIZE.height, "width": SIZE.width, "dtype": "uint8"}
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", **shape, **place) as file:
            file.write(bands)
    Image.fromarray(np.moveaxis(values[:3], 0, -1)).save(folder / "picture.png")
    return folder


@pytest.fixture(scope="module")
def load() -> Loader:
    loaded: dict[str, Segmenter] = {}

    def once(one: Entry, _: str) -> Segmenter:
        if one.name not in loaded:
            loaded[one.name] = registry.load_entry(one)
        return loaded[one.name]

    return once


@dataclass(frozen=True)
class Answer:
    """All that may differ between two answers but the region's id. mask: HxW of 0 and 1, as bytes; None where there is no region."""

    mask: bytes | None
    score: float
    version: str
    meta: dict[str, Any]


@dataclass
class Asker:
    """A server with a raster: `ask(*prompts, model=..., **attributes of the smart tag)`."""

    client: Any
    runtime: Any
    folder: Path

    def __call__(self, *prompts: dict[str, Any], model: str, raster: str = "four", **attributes: str) -> Answer:
        bands = {"four": RGBIR, "other_infrared": RGBIR, "three": RGBIR[:3], "one": ("X",)}.get(raster)
        data = {"image": str(self.folder / "picture.png")}
        if bands is not None:
            window = PixelWindow(0, 0, SIZE.width, SIZE.height)
            data = chip_to_task_data(
                Chip("chip.png", str(self.folder / f"{raster}.tif"), window, None, None, bands, 1.0, None, SIZE, None, None)
            )
        attributes = {"model_name": model, **attributes}
        tags = config(**attributes).replace('name="rect"', f'name="rect" model_name="{model}"')
        body = {
            "tasks": [{"id": 4, "data": data}],
            "project": "1.1",
            "label_config": tags,
            "params": {"context": {"result": list(prompts)}},
        }
        (entry,) = self.client.post("/predict", json=body).json["results"]
        if not entry["result"]:
            return Answer(None, entry["score"], entry["model_version"], {})
        (region,) = entry["result"]
        mask = rle.decode(region["value"]["rle"], SIZE)
        assert mask.any()
        return Answer(mask.tobytes(), entry["score"], entry["model_version"], region["meta"]["rsiseg"])

    def steps(self, model: str) -> float:
        """How many steps the server has computed with it."""
        return self.runtime.metrics.steps.labels(model)._value.get()


@pytest.fixture
def serve(models: Catalogue, load: Loader, rasters: Path, tmp_path: Path) -> Iterator[Callable[[], Asker]]:
    """Starts a server with nothing in its caches. One thread: what small networks compute is no work for two."""

    def start() -> Asker:
        settings = ServerSettings(device="cpu", roots=(rasters,), data_dir=tmp_path / "data", propose="off")
        runtime = make_runtime(settings, catalogue=models, load=load)
        return Asker(create_app(runtime=runtime).test_client(), runtime, rasters)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield start
    torch.set_num_threads(threads)


@pytest.fixture
def ask(serve: Callable[[], Asker]) -> Asker:
    return serve()


def test_every_family_is_here_with_three_bands_and_with_four() -> None:
    families = {one.family for one in catalogue.entries()}
    assert {one.family for one in TINY if one.bands == 3} == {one.family for one in TINY if one.bands == 4} == families
    assert len(families) == 5


# --- every model, mirrored or not, under every refinement


@pytest.mark.parametrize("attributes", REFINEMENTS, ids=lambda one: "+".join(one.values()) or "plain")
@pytest.mark.parametrize("model", [*THREE, *FOUR, *MIRRORED])
def test_clicked_one_by_one_undone_or_replayed_at_once_the_bits_are_the_same(
    serve: Callable[[], Asker], model: str, attributes: dict[str, str]
) -> None:
    ask = serve()
    stepwise = [ask(*CLICKS[:count], model=model, **attributes) for count in (1, 2, 3)]
    computed = ask.steps(model)
    assert ask(*CLICKS[:2], model=model, **attributes) == stepwise[1], "undo"
    assert ask.steps(model) == computed, "undo is a look-up"
    fresh = serve()
    assert fresh(*CLICKS, model=model, **attributes) == stepwise[2]
    assert fresh(*CLICKS[:1], model=model, **attributes) == stepwise[0]
    assert fresh.steps(model) == len(CLICKS)
    assert [(answer.meta["model"], answer.meta["clicks"]) for answer in stepwise] == [(model, 1), (model, 2), (model, 3)]
    assert len({answer.mask for answer in stepwise}) == 3


@pytest.mark.parametrize("model", [*THREE, *FOUR])
def test_every_strategy_is_an_answer_of_its_own(ask: Asker, model: str) -> None:
    """Not the same code run under four names."""
    first, refined = ask(CLICKS[0], model=model), ask(CLICKS[0], model=model, model_cfr="2")
    assert first.mask != refined.mask
    every = [ask(*CLICKS[:2], model=model, **attributes) for attributes in REFINEMENTS[:3]]
    assert len({answer.mask for answer in every}) == 3
    if f"{model}_mirrored" in MIRRORED:
        assert ask(CLICKS[0], model=f"{model}_mirrored").mask != first.mask


# --- boxes


@pytest.mark.parametrize("model", [*THREE, *FOUR])
def test_a_box_is_a_prompt_of_its_own_or_a_first_click_inside_it(serve: Callable[[], Asker], model: str) -> None:
    ask = serve()
    answers = [ask(box(x, 30, 30, 40), model=model) for x in (20, 45)]
    clicks = 0 if model.startswith("sam") else 1
    assert all((answer.meta["box"], answer.meta["clicks"]) == (True, clicks) for answer in answers)
    assert answers[0].mask != answers[1].mask
    assert ask(box(20, 30, 30, 40), model=model) == answers[0]
    assert serve()(box(20, 30, 30, 40), model=model) == answers[0]


@pytest.mark.parametrize("model", [*THREE, *FOUR])
def test_the_size_of_a_box_matters_not_only_its_centre(ask: Asker, model: str) -> None:
    """For the families that read no boxes it is the region of interest of the first click."""
    small, whole = (ask(box(50 - half, 50 - half, 2 * half, 2 * half), model=model) for half in (15, 50))
    assert small.mask != whole.mask
    assert small.mask != ask(click(50, 50), model=model).mask, "nor is it a click alone"


# --- bands


@pytest.mark.parametrize("model", THREE)
def test_a_model_of_three_bands_sees_three_of_four_and_as_many_of_a_picture(ask: Asker, model: str) -> None:
    """The same pixels, so the same bits, whatever else the raster holds."""
    answers = [ask(*CLICKS, model=model, raster=raster) for raster in ("four", "other_infrared", "three", "picture")]
    assert all(answer == answers[0] for answer in answers)
    assert {key.bands for key, _ in ask.runtime.sessions.encodings._entries} == {(1, 2, 3)}
    infrared = ask(*CLICKS, model=model, model_bands="IRRG")
    assert infrared.mask != answers[0].mask
    assert {key.bands for key, _ in ask.runtime.sessions.encodings._entries} == {(1, 2, 3), (4, 1, 2)}


@pytest.mark.parametrize("model", FOUR)
def test_a_model_of_four_bands_sees_the_fourth(ask: Asker, model: str) -> None:
    answers = [ask(*CLICKS, model=model, raster=raster) for raster in ("four", "other_infrared")]
    assert answers[0].mask != answers[1].mask
    assert {key.bands for key, _ in ask.runtime.sessions.encodings._entries} == {(1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("models_of", "raster", "attributes", "said"),
    [
        (THREE, "one", {}, r"X.*(RGB|R, G, B)"),
        (FOUR, "one", {}, r"X.*(RGBIR|R, G, B, IR)"),
        (FOUR, "three", {}, r"RGB.*RGBIR"),
        (FOUR, "picture", {}, r"RGB.*RGBIR"),
        (FOUR, "four", {"model_bands": "RGB"}, r"model_bands is RGB, 3 bands, but the model reads 4; name as many, such as RGBIR"),
        (THREE, "four", {"model_bands": "RGBIR"}, r"model_bands is RGBIR, 4 bands, but the model reads 3"),
    ],
    ids=["3 bands, 1 there", "4 bands, 1 there", "4 bands, 3 there", "4 bands, a picture", "too few asked for", "too many asked for"],
)
def test_a_raster_without_the_bands_is_refused_in_one_sentence(
    ask: Asker, models_of: list[str], raster: str, attributes: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    for model in models_of:
        caplog.clear()
        answer = ask(CLICKS[0], model=model, raster=raster, **attributes)
        assert (answer.mask, answer.score) == (None, 0)
        (record,) = [record for record in caplog.records if record.name == "backend.model"]
        assert re.search(said, record.getMessage()), record.getMessage()
        assert "\n" not in record.getMessage()


# --- one version for one way of answering


@pytest.mark.parametrize("attributes", REFINEMENTS, ids=lambda one: "+".join(one.values()) or "plain")
@pytest.mark.parametrize("model", [*THREE, *FOUR])
def test_setup_region_and_bench_name_the_same_version(ask: Asker, model: str, attributes: dict[str, str]) -> None:
    setup = {"project": "2.2", "extra_params": {"model": model, **attributes}}
    version = ask.client.post("/setup", json=setup).json["model_version"]
    assert version.startswith(f"{model}@")
    answer = ask(CLICKS[0], model=model, **attributes)
    assert answer.meta["version"] == answer.version == version
    suffix = {0: "", 1: "+cfr2", 2: "+cfr2@clicks=all", 3: "+acfr3@clicks=all"}[REFINEMENTS.index(attributes)]
    assert load_model(model + suffix).version == version
    assert version.removesuffix(suffix) in ask.client.get("/versions").json["versions"]
