"""A project of a GeoPackage's layers over their rasters: always the same text, the picture that the annotators saw below."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine

from converters.chips import Chip, PixelWindow
from converters.exporting.formats import FORMATS, Request
from converters.exporting.run import run
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data
from converters.label_studio_export import read_export

SIDE = 30


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    path = tmp_path / "town.tif"
    profile = {
        "count": 4,
        "height": SIDE,
        "width": SIDE,
        "dtype": "uint16",
        "crs": "EPSG:32633",
        "transform": Affine(0.5, 0, 4e5, 0, -0.5, 5e6),
    }
    with rasterio.open(path, "w", driver="GTiff", **profile) as dataset:
        dataset.write(np.arange(4 * SIDE * SIDE, dtype=np.uint16).reshape(4, SIDE, SIDE))
    return path


def exported(raster: Path, out: Path, **changes: Any) -> tuple[ElementTree.Element, Request]:
    chip = Chip(
        image="a.png", raster=str(raster), window=PixelWindow(0, 0, SIDE, SIDE), transform=Affine(0.5, 0, 4e5, 0, -0.5, 5e6),
        crs="EPSG:32633", bands=("IR", "R", "G", "B"), scale=1.0, gsd=0.5, native_size=Size(SIDE, SIDE),
        stretch=((0, 9), (1, 10), (2, 11), (3, 12.5)), nodata=None,
    )  # fmt: skip
    mask = np.zeros((SIDE, SIDE), bool)
    mask[3:9, 4:20] = True
    results = [
        brush_region(mask.T if turned else mask, id=name, label=name, from_name="b", to_name="i") for turned, name in enumerate("ab")
    ]
    tasks = read_export([{"id": 1, "data": chip_to_task_data(chip), "annotations": [{"id": 1, "result": results}]}])
    request = Request(tasks=lambda: tasks, out=out, colours={"a": "#102030"}, options={"roots": [raster.parent]}, **changes)
    run(FORMATS["qgis"], request)
    return ElementTree.parse(out / "project.qgs").getroot(), request


def test_the_layers_lie_over_the_raster_in_its_crs(raster: Path, tmp_path: Path) -> None:
    project, _ = exported(raster, tmp_path / "out")
    order = [node.attrib["id"] for node in project.iter("layer-tree-layer")]
    layers = {layer.findtext("id"): layer for layer in project.iter("maplayer")}
    assert [layers[id].findtext("layername") for id in order] == ["a", "b", "town"]
    assert [layers[id].findtext("datasource") for id in order] == ["./layers.gpkg|layername=a", "./layers.gpkg|layername=b", str(raster)]
    assert {crs.findtext("authid") for crs in project.iter("spatialrefsys")} == {"EPSG:32633"}
    assert all(len(id) > 10 for id in order)  # what QGIS takes
    colours = [layer.find(".//prop[@k='outline_color']").attrib["v"] for layer in list(layers.values())[:2]]  # type: ignore[union-attr]
    assert colours[0] == "16,32,48,255" != colours[1]


def test_the_raster_looks_as_the_annotators_saw_it(raster: Path, tmp_path: Path) -> None:
    project, _ = exported(raster, tmp_path / "out")
    (renderer,) = project.iter("rasterrenderer")
    assert [renderer.attrib[f"{colour}Band"] for colour in ("red", "green", "blue")] == ["2", "3", "4"]
    limits = [
        [float(renderer.findtext(f"{colour}ContrastEnhancement/{end}Value", "")) for end in ("min", "max")] for colour in ("red", "blue")
    ]
    assert limits == [[1, 10], [3, 12.5]]


def test_the_same_export_gives_the_same_folder(raster: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        exported(raster, tmp_path / name)
    for file in ("layers.gpkg", "project.qgs"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_without_its_raster_the_project_has_the_layers_and_the_report_says_why(raster: Path, tmp_path: Path) -> None:
    raster.unlink()
    project, request = exported(raster, tmp_path / "out")
    assert [layer.attrib["type"] for layer in project.iter("maplayer")] == ["vector", "vector"]
    (why,) = request.account.report()["facts"]["rasters_without_imagery"]
    assert "town.tif" in why


def test_layers_in_px_lie_over_nothing(raster: Path, tmp_path: Path) -> None:
    project, _ = exported(raster, tmp_path / "out", pixels=True)
    assert [layer.attrib["type"] for layer in project.iter("maplayer")] == ["vector", "vector"]
    assert project.find("projectCrs") is None
