"""The procedural scene: the same for the same seed, labelled everywhere, and a real georeferenced raster on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from converters import rasters
from converters.bands import display
from converters.chips import PixelWindow
from converters.errors import RasterError
from converters.frames import Size
from converters.importing.survey import import_rasters
from converters.scene import CLASSES, CRS, Scene, make_scene, write_scene
from converters.scene_canvas import BUILDING, CAR, IMPERVIOUS, LOW_VEGETATION, TREE
from converters.task_addresses import TaskAddresses


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(1024, seed=3)


def test_a_seed_is_a_scene(scene: Scene) -> None:
    again, other = make_scene(1024, seed=3), make_scene(256, seed=4)
    assert np.array_equal(scene.image, again.image)
    assert np.array_equal(scene.classes, again.classes)
    assert np.array_equal(scene.objects, again.objects)
    assert not np.array_equal(scene.image[:256, :256], other.image)


def test_every_pixel_has_a_class_and_all_that_matter_are_there(scene: Scene) -> None:
    assert scene.image.shape == (1024, 1024, 4)
    assert scene.image.dtype == scene.classes.dtype == np.uint8
    assert set(np.unique(scene.classes)) <= set(CLASSES)
    share = {index: float((scene.classes == index).mean()) for index in CLASSES}
    assert share[IMPERVIOUS] > 0.1
    assert share[BUILDING] > 0.05
    assert share[LOW_VEGETATION] > 0.1
    assert share[TREE] > 0.02
    assert share[CAR] > 0.005


def test_numbered_objects_are_roofs_trees_and_cars_each_of_one_class(scene: Scene) -> None:
    things = np.isin(scene.classes, (BUILDING, TREE, CAR))
    assert np.array_equal(scene.objects > 0, things)
    numbers, kinds = scene.objects[things], scene.classes[things]
    highest, lowest = np.zeros(numbers.max() + 1, int), np.full(numbers.max() + 1, 9)
    np.maximum.at(highest, numbers, kinds)
    np.minimum.at(lowest, numbers, kinds)
    present = np.unique(numbers)
    assert np.array_equal(highest[present], lowest[present])
    assert len(present) > 20


def test_vegetation_is_bright_in_infrared_and_roofs_are_not(scene: Scene) -> None:
    red, infrared = scene.image[..., 0].astype(float), scene.image[..., 3].astype(float)
    index = (infrared - red) / (infrared + red + 1)
    assert np.median(index[scene.classes == TREE]) > 0.25
    assert np.median(index[scene.classes == LOW_VEGETATION]) > 0.15
    assert abs(np.median(index[scene.classes == IMPERVIOUS])) < 0.1


def test_roofs_throw_shadows_on_the_ground_beside_them(scene: Scene) -> None:
    """Ground within 2 m of a roof has a dark part; ground far from everything high has not."""
    near = np.zeros(scene.classes.shape, bool)
    building = scene.classes == BUILDING
    for shift in ((40, 0), (-40, 0), (0, 40), (0, -40)):
        near |= np.roll(building, shift, (0, 1))
    ground = scene.classes == LOW_VEGETATION
    brightness = scene.image[..., :3].mean(axis=-1)
    assert np.percentile(brightness[ground & near], 10) < 0.62 * np.median(brightness[ground & ~near])


def test_the_streets_turn_with_the_angle() -> None:
    straight = make_scene(512, seed=1, angle=0.0)
    turned = make_scene(512, seed=1, angle=0.5)
    street = straight.classes == IMPERVIOUS
    assert street.mean(axis=1).max() > 0.95 or street.mean(axis=0).max() > 0.95, "a street along rows or columns"
    other = turned.classes == IMPERVIOUS
    assert max(other.mean(axis=1).max(), other.mean(axis=0).max()) < 0.95


def test_a_written_scene_is_a_georeferenced_raster_with_its_legend(tmp_path: Path) -> None:
    paths = write_scene(tmp_path, size=300, seed=7)
    made = make_scene(300, seed=7)
    info = rasters.describe(paths.image)
    assert (info.size, info.bands, info.bands_source, info.crs) == (Size(300, 300), ("R", "G", "B", "IR"), "file", CRS)
    assert info.gsd == pytest.approx(0.05)
    assert info.transform == made.transform
    whole = PixelWindow(0, 0, 300, 300)
    assert np.array_equal(rasters.read_window(paths.image, whole, bands=(1, 2, 3, 4)), made.image)
    with rasterio.open(paths.classes) as dataset:
        assert np.array_equal(dataset.read(1), made.classes)
        assert {index: dataset.colormap(1)[index][:3] for index in CLASSES} == {index: colour for index, (_, colour) in CLASSES.items()}
    with rasterio.open(paths.objects) as dataset:
        assert np.array_equal(dataset.read(1), made.objects)
        assert dataset.crs == info.crs
    assert json.loads(paths.legend.read_text())["classes"] == {name: index for index, (name, _) in CLASSES.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scene_7.tif",
        "scene_7_classes.tif",
        "scene_7_legend.json",
        "scene_7_objects.tif",
    ]


def test_a_scene_is_imported_like_any_raster(tmp_path: Path) -> None:
    paths = write_scene(tmp_path, size=700, seed=0)
    summary = import_rasters([str(paths.image)], TaskAddresses(out=tmp_path / "out", document_root=tmp_path))
    profile = summary.imported[0].profile
    assert (summary.chips, profile.crs, profile.crs_source, profile.stretch, profile.warnings) == (4, CRS, "file", None, ())
    assert display(profile.bands) == (1, 2, 3)


def test_a_scene_too_small_for_a_house_is_refused() -> None:
    with pytest.raises(RasterError, match="at least 64 px"):
        make_scene(32)
