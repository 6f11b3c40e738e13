"""`rsiseg import`, a mask drawn on every chip, `rsiseg export`: training sets and class rasters from real files, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from PIL import Image

from backend.commands import export as export_command
from backend.commands import import_rasters as import_command
from converters.label_studio import brush_region
from converters.labelled import open_labelled

SIDE = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a raster of 100 x 80 px, its import, and the export of a project where every chip was annotated."""
    noise = np.random.default_rng(5)
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", width=100, height=80, count=4, dtype="uint16", crs="EPSG:32633",
        transform=Affine(0.1, 0, 4e5, 0, -0.1, 5e6), photometric="RGB",
    ) as raster:  # fmt: skip
        raster.write(noise.integers(100, 3000, (4, 80, 100), np.uint16))
    arguments = [str(tmp_path / "scene.tif"), "--out", str(tmp_path / "in"), "--document-root", str(tmp_path), "--chip", str(SIDE)]
    result = CliRunner().invoke(import_command.command, [*arguments, "--bands", "RGBIR"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    tasks = json.loads((tmp_path / "in" / "tasks.json").read_text())
    for number, task in enumerate(tasks, start=1):
        _, _, width, height = task["data"]["window"]
        mask = noise.random((height, width)) < 0.5
        item = brush_region(mask, id=f"r{number}", label="tree", from_name="b", to_name="img")
        said = {"id": number, "completed_by": 1, "updated_at": "2026-09-30T10:00:00Z", "result": [item]}
        task |= {"id": number, "annotations": [said]}
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    return tmp_path


def exported(project: Path, name: str, *options: str) -> dict[str, Any]:
    """The report of `rsiseg export` in a format into the folder of that name."""
    arguments = [str(project / "export.json"), "--format", name, "--out", str(project / name), "--json", *options]
    result = CliRunner().invoke(export_command.command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def masks(project: Path) -> list[np.ndarray]:
    """What was drawn, in the order of the chips."""
    return [one.objects(1)[0].mask == 1 for one in open_labelled(project / "export.json").images]


def test_a_coco_set_is_what_was_drawn_on_the_pictures_that_were_shown(project: Path) -> None:
    report = exported(project, "coco")
    assert report["facts"]["chips"] == {"train": 4, "val": 0} and report["exported"] == 4
    found = open_labelled(project / "coco" / "instances_train.json").images
    assert [np.array_equal(one.objects(1)[0].mask == 1, mask) for one, mask in zip(found, masks(project), strict=True)] == [True] * 4
    shown = {path.name: np.asarray(Image.open(path)) for path in (project / "in" / "chips").rglob("*.png")}
    for picture in (project / "coco" / "images").iterdir():
        (same,) = [pixels for name, pixels in shown.items() if picture.name.endswith(name)]
        assert np.array_equal(np.asarray(Image.open(picture)), same), "rendered again, it is the import's own picture"


def test_the_imports_chips_are_found_below_the_document_root(project: Path) -> None:
    (project / "scene.tif").unlink()
    report = exported(project, "masks", "--images", "chips", "--document-root", str(project))
    assert report["facts"]["chips"]["train"] == 4
    assert sum(one.objects(1)[0].area > 0 for one in open_labelled(project / "masks" / "train").images) == 4


def test_class_rasters_put_the_chips_together_again(project: Path) -> None:
    exported(project, "class-raster")
    with rasterio.open(project / "class-raster" / "scene_classes.tif") as raster:
        codes = raster.read(1)
        assert (raster.width, raster.height) == (100, 80) and raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    drawn = masks(project)
    whole = np.vstack((np.hstack(drawn[:2]), np.hstack(drawn[2:])))
    assert np.array_equal(codes == 0, whole)


@pytest.mark.parametrize("name", ["yolo", "imagefolder", "stac", "overview", "isprs"])
def test_every_other_format_is_written_too(name: str, project: Path) -> None:
    report = exported(project, name)
    assert report["exported"] > 0 and report["regions_left_out"] == 0
    assert any((project / name).iterdir())
