"""Labelled sets: what counts as an object, in every layout, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.frames import Size
from converters.labelled import open_labelled


def raster_set(folder: Path, label: np.ndarray, classes: dict[str, Any], *, size: tuple[int, int] | None = None) -> Path:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    height, width = size or (label.shape[0], label.shape[1])
    Image.fromarray(np.full((height, width, 3), (10, 20, 30), np.uint8)).save(folder / "images" / "a.png")
    Image.fromarray(label).save(folder / "labels" / "a.png")
    (folder / "classes.json").write_text(json.dumps(classes))
    return folder


def coco_set(folder: Path, **changes: Any) -> Path:
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(folder / "images" / "b.png")
    document = {
        "images": [{"id": 1, "file_name": "b.png", "width": 40, "height": 30}],
        "categories": [{"id": 7, "name": "ship"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[5, 5, 14, 5, 14, 9, 5, 9]]},
            {"id": 2, "image_id": 1, "category_id": 7, "segmentation": [[10, 5, 19, 5, 19, 9, 10, 9]]},
        ],
    } | changes
    (folder / "c.json").write_text(json.dumps(document))
    return folder / "c.json"


def test_diagonal_pixels_are_one_object_and_ignored_pixels_are_marked(tmp_path: Path) -> None:
    label = np.zeros((6, 8), np.uint8)
    label[1, 1] = label[2, 2] = 1
    label[4:6, 5:8] = 1
    label[0] = 9
    (image,) = open_labelled(raster_set(tmp_path, label, {"classes": {"roof": 1}, "ignore": [9]})).images
    small, large = image.objects(1)
    assert (small.area, small.box, large.area, large.box) == (2, (1, 1, 3, 3), 6, (4, 5, 6, 8))
    assert small.mask[0].tolist() == [-1] * 8 and (small.mask == 1).sum() == 2 and small.mask[5, 6] == 0
    assert np.array_equal(large.boxed_mask, large.mask[4:6, 5:8])
    assert [item.area for item in image.objects(3)] == [6]
    assert image.read()[0, 0].tolist() == [10, 20, 30]


def test_a_window_has_the_components_inside_it(tmp_path: Path) -> None:
    label = np.zeros((12, 16), np.uint8)
    label[2:10, 3] = label[2:10, 9] = label[9, 3:10] = 1  # a U
    label[0] = 9
    (image,) = open_labelled(raster_set(tmp_path, label, {"classes": {"roof": 1}, "ignore": [9]})).images
    assert [each.area for each in image.objects(1)] == [8 + 8 + 5]
    arms = image.objects(1, PixelWindow(2, 0, 10, 6))
    assert [(each.area, each.box) for each in arms] == [(4, (2, 1, 6, 2)), (4, (2, 7, 6, 8))]
    assert all(each.mask.shape == (6, 10) and (each.mask == -1).sum() == 10 for each in arms)
    assert image.objects(5, PixelWindow(2, 0, 10, 6)) == []


def test_tiffs_of_any_bands_are_read_by_windows_with_their_ground_sampling_distance(tmp_path: Path) -> None:
    label = np.ones((20, 30), np.uint8)
    folder = raster_set(tmp_path, label, {"classes": {"roof": 1}})
    (folder / "images" / "a.png").unlink()
    pixels = np.random.default_rng(0).integers(0, 4000, (4, 20, 30)).astype(np.uint16)
    place = {"crs": "EPSG:32633", "transform": Affine(0.05, 0, 366_000, 0, -0.05, 5_807_000)}
    with rasterio.open(
        folder / "images" / "a.tif", "w", driver="GTiff", width=30, height=20, count=4, dtype="uint16", photometric="RGB", **place
    ) as out:
        out.write(pixels)
    labelled = open_labelled(folder, bands=("R", "G", "B", "IR"))
    (image,) = labelled.images
    assert image.bands == ("R", "G", "B", "IR") and image.gsd == pytest.approx(0.05) and image.size == Size(30, 20)
    read = image.read()
    assert read.shape == (20, 30, 4) and read.dtype == np.uint8
    assert np.corrcoef(read[..., 3].ravel(), pixels[3].ravel())[0, 1] > 0.98
    assert np.array_equal(image.read(PixelWindow(4, 5, 6, 7)), read[5:12, 4:10])
    assert np.array_equal(open_labelled(folder, bands=("IR", "R", "G")).images[0].read(), read[..., [3, 0, 1]])
    assert open_labelled(folder).notes == (
        "a.tif: the file does not say what its bands are; RGBIR is assumed; if that is wrong, import with --bands",
    )
    with pytest.raises(
        TaskError, match=r"a\.tif has the bands RGBIR; expected RL; name bands that it has, or give a letter to each of its 4"
    ):
        open_labelled(folder, bands=("R", "L"))


def test_labels_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = raster_set(tmp_path, np.ones((20, 30), np.uint8), {"classes": {"roof": 1}})
    Image.new("RGB", (30, 20)).save(folder / "images" / "m.png")
    assert open_labelled(folder).notes == ("1 images have no label and are left out, m.png among them",)
    Image.fromarray(np.full((20, 30), 700, np.uint16)).save(folder / "labels" / "m.png")
    labelled = open_labelled(folder)
    with pytest.raises(TaskError, match=r"the label .*m\.png has 1 bands of uint16; expected one band of class values"):
        labelled.images[1].objects(1)
    whole = (folder / "labels" / "a.png").read_bytes()
    (folder / "labels" / "m.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RasterError, match=r"m\.png"):
        labelled.images[1].objects(1)


def test_colours_and_palettes_are_read_as_colours(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:, 2:] = (60, 16, 152)
    folder = raster_set(tmp_path, colours, {"classes": {"building": [60, 16, 152]}})
    (item,) = open_labelled(folder).images[0].objects(1)
    assert (item.class_name, item.area) == ("building", 8)
    Image.fromarray(colours).quantize(4).save(folder / "labels" / "a.png")
    (item,) = open_labelled(folder).images[0].objects(1)
    assert item.area == 8


def test_overlapping_coco_instances_stay_apart(tmp_path: Path) -> None:
    (image,) = open_labelled(coco_set(tmp_path)).images
    first, second = image.objects(1)
    assert (first.area, second.area, first.class_name) == (36, 36, "ship")  # 9 x 4 pixel centres each
    assert ((first.mask == 1) & (second.mask == 1)).sum() == 16


@pytest.mark.parametrize(
    ("classes", "said"), [({}, "classes"), ({"classes": {"roof": [1, 2]}}, "pixel value"), ({"classes": {"roof": 300}}, "pixel value")]
)
def test_unusable_classes_are_one_sentence(tmp_path: Path, classes: dict[str, Any], said: str) -> None:
    with pytest.raises(TaskError, match=said):
        open_labelled(raster_set(tmp_path, np.zeros((4, 4), np.uint8), classes))


def test_a_label_of_another_size_is_refused(tmp_path: Path) -> None:
    labelled = open_labelled(raster_set(tmp_path, np.ones((4, 4), np.uint8), {"classes": {"roof": 1}}, size=(4, 5)))
    with pytest.raises(TaskError, match="4 x 4 px, its image 5 x 4 px"):
        labelled.images[0].objects(1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"a folder without classes\.json and without vector files"):
        open_labelled(tmp_path)
    (tmp_path / "classes.json").write_text('{"classes": {"roof": 1}}')
    with pytest.raises(TaskError, match="no folder images"):
        open_labelled(tmp_path)
    (tmp_path / "classes.json").write_text("{")
    with pytest.raises(TaskError, match="not JSON"):
        open_labelled(tmp_path)


def test_broken_coco_files_are_one_sentence(tmp_path: Path) -> None:
    boxes = [{"id": 4, "image_id": 1, "category_id": 7, "bbox": [1, 1, 4, 4]}]
    for name, changes, said in (
        ("boxes", {"annotations": boxes}, "annotation 4 has the segmentation None; expected polygons"),
        ("half", {"categories": [{"id": 7}]}, "not a whole COCO"),
        ("other", {"annotations": [{"id": 1}]}, "polygons"),
    ):
        with pytest.raises(TaskError, match=said):
            open_labelled(coco_set(tmp_path / name, **changes))
    path = coco_set(tmp_path / "gone")
    (path.parent / "images" / "b.png").unlink()
    with pytest.raises(RasterError, match=r"b\.png"):
        open_labelled(path).images[0].read()
