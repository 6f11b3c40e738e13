"""Labels that exist become pre-annotations that lie where they were drawn, whatever CRS and grid they are in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine

from converters import rle
from converters.errors import TaskError
from converters.frames import Size
from converters.importing.label_plan import LabelPlan, label_files, target_tag
from converters.importing.prelabels import TargetTag, label_of
from converters.importing.survey import ImportSummary, import_rasters
from converters.label_config import parse
from converters.labelled_folder import Classes
from converters.task_addresses import TaskAddresses

TAG = TargetTag("BrushLabels", "mask", "image", ("building", "low vegetation", "car"))
TRANSFORM = Affine(0.5, 0.1, 366976.5, 0.1, -0.5, 5809761.0)  # turned
CRS = "EPSG:32633"
SIZE = 150


def raster(path: Path, size: int = SIZE, **place: Any) -> Path:
    values = np.random.default_rng(0).integers(1, 256, (3, size, size)).astype(np.uint8)
    place = place or {"crs": CRS, "transform": TRANSFORM}
    with rasterio.open(path, "w", driver="GTiff", count=3, height=size, width=size, dtype="uint8", photometric="RGB", **place) as dataset:
        dataset.write(values)
    return path


def polygons(path: Path, shapes: list[shapely.Polygon], classes: list[str], crs: str) -> Path:
    """shapes: in native px."""
    to = pyproj.Transformer.from_crs(CRS, crs, always_xy=True)
    placed = [shapely.transform(shape, lambda p: np.stack(to.transform(*(TRANSFORM @ p.T)), axis=1)) for shape in shapes]
    blobs = np.array([shapely.to_wkb(shape) for shape in placed])
    pyogrio.raw.write(path, blobs, [np.array(classes, object)], ["class"], geometry_type="Polygon", crs=crs)
    return path


def burnt(tmp_path: Path, size: int = SIZE) -> dict[str, np.ndarray]:
    """The masks of the brush regions of all tasks, put together over the whole raster, by label."""
    found: dict[str, np.ndarray] = {}
    for task in json.loads((tmp_path / "out" / "tasks.json").read_text()):
        left, top, width, height = task["data"]["window"]
        for prediction in task.get("predictions", []):
            for item in prediction["result"]:
                assert (item["type"], item["from_name"], item["to_name"]) == ("brushlabels", "mask", "image")
                assert (item["original_width"], item["original_height"]) == (width, height)
                mask = found.setdefault(item["value"]["brushlabels"][0], np.zeros((size, size), int))
                mask[top : top + height, left : left + width] += rle.decode(item["value"]["rle"], Size(width, height))
    return found


def run(tmp_path: Path, image: Path, labels: list[Path], **options: Any) -> ImportSummary:
    plan = LabelPlan(files=label_files(labels), **{"tag": TAG, **options})
    return import_rasters([str(image)], TaskAddresses(out=tmp_path / "out", document_root=tmp_path), chip=64, labels=plan)


@pytest.mark.parametrize(("crs", "ending"), [(CRS, ".gpkg"), ("OGC:CRS84", ".geojson"), ("EPSG:3857", ".gpkg")])
def test_polygons_of_any_crs_become_regions_of_exactly_the_pixels_whose_centres_they_hold(tmp_path: Path, crs: str, ending: str) -> None:
    roof = shapely.Polygon([(20.3, 30.2), (90.7, 33.1), (85.2, 99.6), (30.4, 80.3)], [[(50.2, 50.2), (60.2, 50.2), (60.2, 70.2)]])
    car = shapely.box(120.25, 10.25, 128.25, 14.25)
    labels = polygons(tmp_path / f"labels{ending}", [roof, car], ["Building", "car"], crs)
    summary = run(tmp_path, raster(tmp_path / "a.tif"), [labels])
    expected = {"building": roof, "car": car}
    found = burnt(tmp_path)
    assert set(found) == set(expected)
    for name, shape in expected.items():
        assert np.array_equal(found[name], rasterio.features.rasterize([(shape, 1)], (SIZE, SIZE), dtype=int)), name
    assert (summary.imported[0].regions or 0) > 2
    assert summary.imported[0].left_out == ()


def test_objects_without_a_label_and_small_ones_are_counted_not_dropped_in_silence(tmp_path: Path) -> None:
    shapes = [shapely.box(5, 5, 15, 15), shapely.box(20, 5, 30, 15), shapely.box(40, 5, 42, 7), shapely.box(20, 20, 30, 30)]
    labels = polygons(tmp_path / "labels.gpkg", shapes, ["roof", "pond", "car", "LOW_vegetation"], CRS)
    summary = run(tmp_path, raster(tmp_path / "a.tif"), [labels], names=(("roof", "building"),), min_area=10)
    assert {name: int(mask.sum()) for name, mask in burnt(tmp_path).items()} == {"building": 100, "low vegetation": 100}
    assert dict(summary.imported[0].left_out) == {
        "the labelling interface has no class 'pond'": 1,
        "smaller than 10 px in its chip": 1,
    }


def test_a_class_raster_on_the_same_grid_keeps_every_pixel(tmp_path: Path) -> None:
    label = np.random.default_rng(1).integers(0, 4, (SIZE // 10, SIZE // 10)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    (tmp_path / "labels").mkdir()
    for place in ({"crs": CRS, "transform": TRANSFORM}, {}):
        path = tmp_path / "labels" / "a.tif"
        with rasterio.open(path, "w", driver="GTiff", count=1, height=SIZE, width=SIZE, dtype="uint8", **place) as dataset:
            dataset.write(label, 1)
        values = {"building": (1, 1, 1), "low vegetation": (2, 2, 2), "car": (3, 3, 3)}
        run(tmp_path, raster(tmp_path / "a.tif"), [tmp_path / "labels"], classes=Classes(values, ()))
        found = burnt(tmp_path)
        for number, name in enumerate(values, start=1):
            assert np.array_equal(found[name], (label == number).astype(int))


def test_a_class_raster_of_another_crs_and_resolution_is_laid_over_by_the_nearest_pixel(tmp_path: Path) -> None:
    """Against GDAL's own transformation of every pixel's centre."""
    to = pyproj.Transformer.from_crs(CRS, "EPSG:3857", always_xy=True)
    x, y = to.transform(*(TRANSFORM @ np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]], float).T))
    place = Affine(1.3, 0, min(x) + 20, 0, -1.3, max(y) - 10)
    label = np.random.default_rng(1).integers(0, 3, (12, 12)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    with rasterio.open(
        tmp_path / "labels.tif", "w", driver="GTiff", count=1, height=96, width=96, dtype="uint8", crs="EPSG:3857", transform=place
    ) as d:
        d.write(label, 1)
    values = {"building": (0, 0, 0), "car": (1, 1, 1)}  # 0 is a class: outside the labels there is none
    run(tmp_path, raster(tmp_path / "a.tif"), [tmp_path / "labels.tif"], classes=Classes(values, ()))
    found = burnt(tmp_path)
    cols, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    at = ~place @ np.stack(to.transform(*(TRANSFORM @ np.stack((cols.ravel(), rows.ravel())))))
    col, row = (np.floor(axis).astype(int).reshape(SIZE, SIZE) for axis in at)
    inside = (col >= 0) & (col < 96) & (row >= 0) & (row < 96)
    assert 0.2 < inside.mean() < 0.95
    wanted = np.where(inside, label[row.clip(0, 95), col.clip(0, 95)], 255)
    for number, name in enumerate(values):
        # GDAL's approximation of the change of CRS is an eighth of a pixel off at most.
        assert np.mean(found[name] != (wanted == number)) < 0.01, name


def test_class_values_without_names_are_refused_and_isprs_colours_need_none(tmp_path: Path) -> None:
    image = raster(tmp_path / "a.tif")
    path = tmp_path / "labels.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=SIZE, width=SIZE, dtype="uint8") as dataset:
        dataset.write(np.ones((SIZE, SIZE), np.uint8), 1)
    assert "--label-classes" in run(tmp_path, image, [path]).failed[0].reason
    colours = np.zeros((3, SIZE, SIZE), np.uint8)
    colours[2, 10:30, 10:40] = 250  # building, in a lossy copy
    with rasterio.open(path, "w", driver="GTiff", count=3, height=SIZE, width=SIZE, dtype="uint8") as dataset:
        dataset.write(colours)
    run(tmp_path, image, [path])
    assert np.array_equal(burnt(tmp_path)["building"], (colours[2] > 0).astype(int))


def test_a_palette_is_read_by_its_colours_or_by_its_values_whichever_the_classes_name(tmp_path: Path) -> None:
    image, path = raster(tmp_path / "a.tif"), tmp_path / "labels.tif"
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[10:30, 10:40], label[50:60, 50:60] = 1, 2
    shifted = {"crs": CRS, "transform": TRANSFORM @ Affine.translation(-7, 0)}
    for place in ({"crs": CRS, "transform": TRANSFORM}, shifted):
        with rasterio.open(path, "w", driver="GTiff", count=1, height=SIZE, width=SIZE, dtype="uint8", **place) as dataset:
            dataset.write(label, 1)
            dataset.write_colormap(1, {0: (0, 0, 0), 1: (0, 0, 255), 2: (255, 255, 0)})
        for values in ({"building": (1, 1, 1), "car": (2, 2, 2)}, {"building": (0, 0, 255), "car": (255, 255, 0)}):
            run(tmp_path, image, [path], classes=Classes(values, ()))
            assert {name: int(mask.sum()) for name, mask in burnt(tmp_path).items()} == {"building": 600, "car": 100}


def test_labels_of_another_place_and_labels_of_another_rasters_name_do_not_belong(tmp_path: Path) -> None:
    far = polygons(tmp_path / "far.gpkg", [shapely.box(5000, 5000, 5100, 5100)], ["car"], CRS)
    own = polygons(tmp_path / "a.gpkg", [shapely.box(5, 5, 15, 15)], ["car"], CRS)
    run(tmp_path, raster(tmp_path / "b.tif"), [far])
    assert burnt(tmp_path) == {}
    run(tmp_path, raster(tmp_path / "a.tif"), [own, far, polygons(tmp_path / "all.gpkg", [shapely.box(50, 50, 60, 60)], ["car"], CRS)])
    assert int(burnt(tmp_path)["car"].sum()) == 100


def test_polygon_tags_get_rings_and_lost_holes_are_counted(tmp_path: Path) -> None:
    roof = shapely.Polygon([(10, 10), (50, 10), (50, 50), (10, 50)], [[(20, 20), (30, 20), (30, 30), (20, 30)]])
    labels = polygons(tmp_path / "labels.gpkg", [roof], ["building"], CRS)
    tag = TargetTag("PolygonLabels", "outline", "image", ("building",))
    summary = run(tmp_path, raster(tmp_path / "a.tif"), [labels], tag=tag)
    task = json.loads((tmp_path / "out" / "tasks.json").read_text())[0]
    [item] = task["predictions"][0]["result"]
    assert item["type"] == "polygonlabels"
    assert np.allclose(np.array(item["value"]["points"]) * 64 / 100, [[10, 10], [50, 10], [50, 50], [10, 50]])
    assert dict(summary.imported[0].left_out) == {"holes, which polygon regions cannot have": 1}


def test_the_tag_is_the_first_brush_of_the_interface_and_there_must_be_one() -> None:
    xml = (Path(__file__).parents[3] / "label_config" / "aerial.xml").read_text()
    assert (target_tag(parse(xml)).type, target_tag(parse(xml)).name) == ("BrushLabels", "mask")
    with pytest.raises(TaskError, match="no BrushLabels or PolygonLabels"):
        target_tag(
            parse('<View><Image name="i" value="$image"/><KeyPointLabels name="k" toName="i"><Label value="a"/></KeyPointLabels></View>')
        )
    assert label_of("Low_Vegetation ", ("building", "low vegetation"), ()) == "low vegetation"
    assert label_of("roof", ("building",), ()) is None


def test_a_real_raster_gets_its_own_buildings(shared: Path, tmp_path: Path) -> None:
    """SpaceNet tile of Atlanta, EPSG:32616, and its footprints."""
    folder = shared / "data/geotiffs"
    image = next((folder / "images/nrcan").rglob("*PS-RGBNIR*.tif"))
    vector = folder / "labels/nrcan/SN4_buildings_732701_3729639.geojson"
    summary = run(tmp_path, image, [vector], names=(("object", "building"),))
    assert summary.failed == ()
    assert (summary.imported[0].regions or 0) > 20
