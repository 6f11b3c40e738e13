"""Everything bench reads can be learned from: objects, bands, patches and shares of every kind of set; bad sets say what is wrong."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from test_pixel_cache import write_set

from backend.errors import UsageError
from backend.training import sources as sources_module
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.sources import Source
from converters.errors import RSISegError, TaskError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "converters"))

import isprs_trees

RGB, IRRG, RGBIR = ("R", "G", "B"), ("IR", "R", "G"), ("R", "G", "B", "IR")


def areas(pools: tuple[Pool, ...]) -> list[int]:
    return sorted(int((item.mask == 1).sum()) for pool in pools for item in pool.objects)


def coco(folder: Path, names: tuple[str, ...] = ("a.png", "b.png", "c.png", "d.png", "e.png")) -> Path:
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, name in enumerate(names):
        Image.fromarray(np.full((50, 60, 3), number, np.uint8)).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": 60, "height": 50})
        for left in (5, 25):
            ring = [left, 10, left + 12, 10, left + 12, 20, left, 20]
            annotations.append({"id": len(annotations), "image_id": number, "category_id": 1, "segmentation": [ring], "iscrowd": 0})
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}))
    return path


def test_coco_annotations_are_objects_and_the_pool_shows_their_image(tmp_path: Path) -> None:
    pools = load_pools([Source(coco(tmp_path))], min_area=30)
    assert areas(pools) == [120] * 10
    for pool in pools:
        for item in pool.objects:
            assert item.box[0] == 10 and item.box[2] == 20 and item.box[1] in (5, 25)
            assert int(pool.images[item.image][0, 0, 0]) == item.image  # the fixture paints an image's number


def test_polygons_on_georeferenced_rasters_are_objects(tmp_path: Path) -> None:
    place = Affine(0.5, 0, 366_000.0, 0, -0.5, 5_807_000.0)
    profile = {"driver": "GTiff", "width": 100, "height": 80, "count": 4, "dtype": "uint16", "crs": "EPSG:32633", "transform": place}
    pixels = np.random.default_rng(0).integers(0, 3000, (4, 80, 100), dtype=np.uint16)
    with rasterio.open(tmp_path / "field.tif", "w", **profile) as file:
        file.write(pixels)
        file.descriptions = ("red", "green", "blue", "nir")
    ring = [
        [366_010.0, 5_806_990.0],
        [366_020.0, 5_806_990.0],
        [366_020.0, 5_806_975.0],
        [366_010.0, 5_806_975.0],
        [366_010.0, 5_806_990.0],
    ]
    feature = {"type": "Feature", "properties": {"class": "roof"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    (tmp_path / "field.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    training, validation = load_pools([Source(tmp_path)], min_area=30, recipes=(RGBIR,), cache=PixelCache(tmp_path / "cache"))
    (item,) = training.objects
    assert item.class_name == "roof" and item.box == (20, 20, 50, 40) and item.bands == RGBIR
    assert training.images[item.image].shape == (80, 100, 4) and training.images[item.image].dtype == np.uint8  # stretched
    assert not validation.objects and any("one single image" in note for note in training.notes)


@pytest.mark.parametrize(("recipe", "means"), [(RGB, [100, 120, 140]), (IRRG, [160, 100, 120]), (RGBIR, [100, 120, 140, 160])])
def test_an_isprs_tree_serves_every_choice_of_bands(tmp_path: Path, recipe: tuple[str, ...], means: list[int]) -> None:
    tree = isprs_trees.potsdam(tmp_path / "Potsdam", products=("RGBIR",))
    training, _ = load_pools([Source(tree)], min_area=30, recipes=(recipe,))
    assert areas((training,)) == sorted(area for found in isprs_trees.OBJECTS.values() for area in found)
    assert np.abs(training.images[0].mean(axis=(0, 1)) - means).max() < 2
    assert training.bands == recipe == training.objects[0].bands


def test_patches_are_images_of_their_own_with_the_objects_they_have(tmp_path: Path) -> None:
    tree = isprs_trees.potsdam(tmp_path / "Potsdam", products=("RGBIR",))
    pools = load_pools([Source(tree, patch=100)], min_area=30, cache=PixelCache(tmp_path / "cache"))
    assert len(pools[0].images) == 9 and {image.shape for image in pools[0].images} == {
        (100, 100, 3),
        (100, 40, 3),
        (40, 100, 3),
        (40, 40, 3),
    }
    for pool in pools:
        assert pool.objects
        for item in pool.objects:
            height, width = pool.images[item.image].shape[:2]
            row0, col0, row1, col1 = item.box
            assert 0 <= row0 < row1 <= height and 0 <= col0 < col1 <= width and item.mask.shape == (row1 - row0, col1 - col0)
    assert not {item.image for item in pools[0].objects} & {item.image for item in pools[1].objects}
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1  # the tile, of which patches are windows


def test_large_images_are_cut_and_others_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "set", images=4)
    whole, _ = load_pools([Source(folder)], min_area=20)
    assert {image.shape for image in whole.images} == {(70, 80, 3)}
    monkeypatch.setattr(sources_module, "LARGEST_WHOLE", 79)
    monkeypatch.setattr(sources_module, "LARGE_PATCH", 40)
    cut, _ = load_pools([Source(folder)], min_area=20)
    assert max(image.shape[0] for image in cut.images) <= 40
    asked, _ = load_pools([Source(folder, patch=0)], min_area=20)
    assert {image.shape for image in asked.images} == {(70, 80, 3)}


def test_excluded_images_are_not_read(tmp_path: Path) -> None:
    path = coco(tmp_path)
    (tmp_path / "images/b.png").write_bytes((tmp_path / "images/b.png").read_bytes()[:60])  # whoever decodes it fails
    with pytest.raises(RSISegError):
        load_pools([Source(path)], min_area=30)
    for names in (frozenset({"b.png"}), frozenset({"b"})):
        assert len(areas(load_pools([Source(path, exclude=names)], min_area=30))) == 8


def test_draws_follow_weights_of_sources_then_classes_then_sizes(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")  # roofs of 20 x 30 px, cars of 20 x 20
    pool, _ = load_pools([Source(folder, 3.0), Source(coco(tmp_path / "coco"), 1.0)], min_area=30)
    shares: Counter[str] = Counter()
    for item, probability in zip(pool.objects, pool.probabilities, strict=True):
        shares[f"{item.class_name} {item.mask.size}"] += probability
    assert shares["roof 600"] == pytest.approx(0.375) and shares["car 400"] == pytest.approx(0.375)
    assert shares["car 120"] == pytest.approx(0.25)


def test_a_set_without_a_usable_object_is_named_though_others_have_some(tmp_path: Path) -> None:
    good, small = write_set(tmp_path / "good"), write_set(tmp_path / "small")
    for label in (small / "labels").iterdir():
        Image.fromarray(np.pad(np.ones((4, 4), np.uint8), ((0, 66), (0, 76)))).save(label)
    with pytest.raises(UsageError, match=r"found no object of at least 30 px in the 10 images of .*small; give sets with labels, or lower"):
        load_pools([Source(good), Source(small)], min_area=30)
    everything = frozenset(f"n{number}" for number in range(10))
    with pytest.raises(UsageError, match="outside the 10 excluded names"):
        load_pools([Source(good, exclude=everything)], min_area=30)
    with pytest.raises(UsageError, match="no data was given"):
        load_pools([], min_area=30)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing", None, "nothing is there"),
        ("empty.json", "[]", "no task to learn from"),
        ("broken.json", "{", "is not JSON"),
        ("other.json", '{"a": 1}', "neither a COCO instances file nor"),
    ],
)
def test_what_is_no_labelled_set_is_refused_in_one_sentence(tmp_path: Path, name: str, content: str | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(TaskError, match=sentence) as caught:
        load_pools([Source(tmp_path / name)], min_area=30)
    assert "\n" not in str(caught.value)


def test_a_label_of_another_size_than_its_image_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", images=4)
    Image.fromarray(np.ones((30, 30), np.uint8)).save(folder / "labels/n2.png")
    with pytest.raises(TaskError, match=r"n2\.png is 30 x 30 px, its image 80 x 70 px"):
        load_pools([Source(folder)], min_area=30, cache=PixelCache(tmp_path / "cache"))
    assert not list((tmp_path / "cache").iterdir())


def test_every_real_set_beside_the_checkout_gives_both_pools(shared: Path, tmp_path: Path) -> None:
    for path in (shared / "data/inria_austin", shared / "data/fair_oam"):
        training, validation = load_pools([Source(path)], min_area=80, cache=PixelCache(tmp_path / "cache"))
        assert len(training.objects) > len(validation.objects) > 0
        assert not {item.image for item in training.objects} & {item.image for item in validation.objects}
        for pool in (training, validation):
            image, item = pool.draw(np.random.default_rng(0))
            row0, col0, row1, col1 = item.box
            assert image[row0:row1, col0:col1].shape[:2] == item.mask.shape and (item.mask == 1).any()
