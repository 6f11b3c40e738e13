"""The doctor on projects whose interface, tasks or pictures are broken in one way each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from clinic import CONFIG, Clinic
from PIL import Image

from converters.chips import Chip, PixelWindow
from converters.frames import Size
from converters.label_studio import chip_to_task_data

BRUSH = '<BrushLabels name="brush" toName="img" smart="false"><Label value="Road"/><Label value="Building"/></BrushLabels>'
POINTS = '<KeyPointLabels name="kp" toName="img" smart="true"><Label value="Road"/><Label value="Building"/></KeyPointLabels>'
OTHER_BRUSH = BRUSH.replace('value="Building"', 'value="House"')

# What is replaced in a good interface by what, the check that tells, what it found and what to do.
INTERFACES = [
    ("</View>", "</Vew>", {"label config": "fail"}, "no usable XML", "label_config/"),
    ('<Image name="img" value="$image"/>', "", {"label config": "fail"}, "no Image tag", "<Image"),
    ('smart="true"', 'smart="false"', {"smart tag": "fail"}, "KeyPointLabels 'kp' is smart=\"false\"", 'smart="true"'),
    (POINTS, "", {"smart tag": "fail"}, "neither KeyPointLabels nor RectangleLabels", 'smart="true"'),
    (BRUSH, "", {"smart tag": "fail"}, "are no labels of a BrushLabels or PolygonLabels tag", "same spelling"),
    (BRUSH, OTHER_BRUSH, {"tags for answers": "fail"}, "'Building' of 'kp' on 'img'", "add these labels"),
    (BRUSH, BRUSH.replace(' smart="false"', ""), {"other tags": "warn"}, "BrushLabels 'brush'", 'smart="false"'),
    ('smart="true"', 'model_output="polygon"', {"tags for answers": "fail"}, "'Road' of 'kp' on 'img'", "or PolygonLabels"),
    ('smart="true"', 'model_cfr="often"', {"settings of tags": "fail"}, "the tag 'kp'", "correct the tag"),
    ('smart="true"', 'model_name="nobody"', {"weights": "fail"}, "there is no model 'nobody'", "use one of"),
    ('smart="true"', 'model_name="absent"', {"weights": "fail"}, "the weights of absent are not on this machine", "train them"),
    ('smart="true"', 'model_name="infrared"', {"bands": "fail"}, "task 4, infrared: the raster's bands are RGB; expected IRRG", "--bands"),
    ('smart="true"', 'model_bands="RG"', {"bands": "fail"}, "2 bands, but the model reads 3", "name as many"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "instead", "ailing", "found", "todo"), INTERFACES)
def test_an_interface_that_is_wrong_in_one_place(
    part: str, instead: str, ailing: dict[str, str], found: str, todo: str, clinic: Clinic
) -> None:
    assert part in CONFIG
    clinic.studio.label_config = CONFIG.replace(part, instead)
    checks = clinic.checks()
    told = {name: one["status"] for name, one in checks.items() if one["status"] in ("warn", "fail")}
    told.pop("reached", None), told.pop("test prediction", None)  # what follows from it
    assert told == ailing
    assert found in checks[next(iter(ailing))]["found"] and todo in checks[next(iter(ailing))]["todo"]


def test_switches_a_smart_rectangle_and_a_model_by_name_are_well(clinic: Clinic) -> None:
    switch = '<KeyPointLabels name="big" toName="img" smart="true" model_name="other" model_cfr="4"><Label value="other"/></KeyPointLabels>'
    box = '<RectangleLabels name="box" toName="img" smart="true"><Label value="Road"/></RectangleLabels>'
    clinic.studio.label_config = CONFIG.replace(BRUSH, box + switch + BRUSH)
    checks = clinic.checks()
    assert {one["status"] for one in checks.values()} == {"ok"}
    assert checks["smart tag"]["found"] == "KeyPointLabels 'kp', RectangleLabels 'box'; switches: big"
    assert checks["settings of tags"]["found"] == "model_cfr, model_name can be used"
    assert "fake loads in" in checks["weights"]["found"] and "other loads in" in checks["weights"]["found"]


def test_only_a_smart_rectangle_is_tried_with_a_rectangle(clinic: Clinic) -> None:
    clinic.studio.label_config = CONFIG.replace("KeyPointLabels", "RectangleLabels")
    assert clinic.ailing() == {}
    ((click,),) = clinic.server.fake.steps
    assert (click.row, click.col) == (300, 300)  # this model reads no boxes: a click in the middle of it


def test_extra_params_that_mean_nothing(clinic: Clinic) -> None:
    clinic.studio.backends[0]["extra_params"] = "{model: default"
    checks = clinic.checks()
    assert checks["reached"]["status"] == "fail" and "no JSON" in checks["reached"]["found"]  # Label Studio shows the status line
    assert checks["settings of tags"]["status"] == "fail" and '{"model": "default"}' in checks["settings of tags"]["todo"]


def no_tasks(clinic: Clinic) -> None:
    clinic.studio.tasks.clear()


def no_picture_in_the_data(clinic: Clinic) -> None:
    clinic.studio.tasks[1]["data"] = {"photo": "a.png"}


def no_storage(clinic: Clinic) -> None:
    clinic.studio.storages.clear()


def storage_of_another_folder(clinic: Clinic) -> None:
    (clinic.studio.files / "others").mkdir()
    clinic.studio.storages[0]["path"] = str(clinic.studio.files / "others")


def storage_elsewhere(clinic: Clinic) -> None:
    clinic.studio.storages[0]["path"] = "/label-studio/files/imgs"


def picture_gone(clinic: Clinic) -> None:
    (clinic.studio.files / "imgs" / "small.png").unlink()


def picture_that_no_browser_shows(clinic: Clinic) -> None:
    (clinic.studio.files / "imgs" / "small.png").write_bytes(b"II*\0not a picture at all")


TASKS: list[tuple[Callable[[Clinic], None], dict[str, str], str, str]] = [
    (no_tasks, {"tasks": "warn"}, "has no task", "rsiseg import"),
    (no_picture_in_the_data, {"tasks": "fail"}, "task 5 has no picture under image", "import tasks"),
    (no_storage, {"storage": "fail", "pictures": "fail"}, "has no local storage", "Cloud Storage"),
    (storage_of_another_folder, {"storage": "warn"}, "no storage covers imgs/sq600.png", "Cloud Storage"),
    (storage_elsewhere, {"storage": "warn"}, "is not below the document root", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"),
    (picture_gone, {"pictures": "fail", "rasters": "fail"}, "task 6: Label Studio gives no picture for imgs/small.png", "see 'storage'"),
    (picture_that_no_browser_shows, {"pictures": "fail", "rasters": "fail"}, "that browsers cannot show", "PNG or JPEG"),
]


@pytest.mark.parametrize(("way", "ailing", "found", "todo"), TASKS, ids=[way.__name__ for way, *_ in TASKS])
def test_tasks_that_are_broken_in_one_way(
    way: Callable[[Clinic], None], ailing: dict[str, str], found: str, todo: str, clinic: Clinic
) -> None:
    way(clinic)
    checks = clinic.checks()
    assert {name: one["status"] for name, one in checks.items() if one["status"] in ("warn", "fail")} == ailing
    first = checks[next(iter(ailing))]
    assert found in first["found"] and todo in first["todo"]


def a_chip(clinic: Clinic, raster: Path, *, size: tuple[int, int] = (600, 600)) -> None:
    """The first task becomes a chip of `raster`, of 100 x 100 px at its upper left; its picture stays."""
    with rasterio.open(raster, "w", driver="GTiff", count=3, width=size[0], height=size[1], dtype="uint8", compress="deflate") as dataset:
        dataset.write(np.random.default_rng(0).integers(0, 256, (3, size[1], size[0])).astype(np.uint8))
    chip = Chip(
        image="/data/local-files/?d=imgs/sq600.png", raster=str(raster), window=PixelWindow(0, 0, 600, 600), transform=Affine.identity(),
        crs=None, bands=("R", "G", "B"), scale=1.0, gsd=None, native_size=Size(600, 600), stretch=None, nodata=None,
    )  # fmt: skip
    clinic.studio.tasks[0]["data"] = chip_to_task_data(chip)


def test_a_chip_of_a_raster_below_the_root_is_well(clinic: Clinic) -> None:
    a_chip(clinic, clinic.studio.files / "tile.tif")
    assert clinic.ailing() == {}


def test_a_raster_outside_the_roots(clinic: Clinic, tmp_path: Path) -> None:
    a_chip(clinic, tmp_path / "tile.tif")
    checks = clinic.checks()
    assert clinic.ailing() == {"rasters": "fail"}  # the click is tried on the next task
    assert "lies outside the folders" in checks["rasters"]["found"] and "as a root" in checks["rasters"]["todo"]


def test_a_raster_that_was_replaced(clinic: Clinic) -> None:
    a_chip(clinic, clinic.studio.files / "tile.tif", size=(700, 600))
    checks = clinic.checks()
    assert clinic.ailing() == {"rasters": "fail"}
    assert "task 4: the raster tile.tif is 700 x 600" in checks["rasters"]["found"] and "import it again" in checks["rasters"]["todo"]


def test_a_picture_of_another_size_than_its_task(clinic: Clinic) -> None:
    a_chip(clinic, clinic.studio.files / "tile.tif")
    Image.new("RGB", (300, 300)).save(clinic.studio.files / "imgs" / "sq600.png")
    checks = clinic.checks()
    assert checks["image sizes"]["status"] == "fail"
    assert "task 4 shows 300 x 300 px where 600 x 600 px were recorded" in checks["image sizes"]["found"]
    assert checks["test prediction"]["status"] == "fail"  # the backend refuses to answer with a garbled mask
    assert "the backend's log says why" in checks["test prediction"]["todo"]


def test_label_studio_gets_no_answer(clinic: Clinic) -> None:
    clinic.studio.answers = {"errors": ["HTTPConnectionPool(...): Read timed out."]}
    checks = clinic.checks()
    assert clinic.ailing() == {"test prediction": "fail"} and "Read timed out" in checks["test prediction"]["found"]


def test_another_backend_answers_label_studio(clinic: Clinic) -> None:
    ring = {"points": [[1, 1], [9, 1], [9, 9]], "closed": True, "polygonlabels": ["Road"]}
    clinic.studio.answers = {"data": {"result": [{"id": "x", "type": "polygonlabels", "value": ring}]}}
    checks = clinic.checks()
    assert clinic.ailing() == {"test prediction": "fail"} and "gives another answer" in checks["test prediction"]["found"]


def test_other_weights_on_the_backend_than_here(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic.server.runtime.catalogue, "versions", list)
    monkeypatch.setattr(type(clinic.server.runtime), "known_version", lambda self, project: "fake@of-another-day")
    checks = clinic.checks()
    assert clinic.ailing() == {"weights": "warn"} and "other weights of fake" in checks["weights"]["found"]


def test_pictures_from_elsewhere_are_not_asked_for(clinic: Clinic) -> None:
    for task in clinic.studio.tasks:
        task["data"] = {"image": "http://127.0.0.1:9/tiles/1.png"}
    checks = clinic.checks()
    assert checks["pictures"]["status"] == checks["storage"]["status"] == "skipped"
    assert "http://127.0.0.1:9/tiles/1.png" in checks["pictures"]["found"]
    assert "allow http://127.0.0.1:9 if you trust it" in checks["rasters"]["todo"] + checks["rasters"]["found"]


def test_a_version_that_was_learned_from_the_project_is_named(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"versions": ["fake@1", "fake@1+p1-2"], "current": {"1": "fake@1+p1-2"}, "unavailable": {}}
    monkeypatch.setitem(clinic.server.client.application.view_functions, "get_version", lambda: told)
    assert "fake@1 answers, fake@1+p1-2 in this project" in clinic.checks()["versions"]["found"]


def test_on_a_task_with_regions_a_click_may_be_answered_otherwise_when_asked_directly(clinic: Clinic) -> None:
    ring = {"points": [[1, 1], [9, 1], [9, 9]], "closed": True, "polygonlabels": ["Road"]}
    clinic.studio.answers = {"data": {"result": [{"id": "x", "type": "polygonlabels", "value": ring}]}}
    clinic.studio.tasks[0]["annotations"] = [{"id": 1, "result": [{"id": "x", "type": "polygonlabels", "value": ring}]}]
    assert clinic.ailing() == {}
