"""Training sets: masks bit for bit, pictures of the raster, whole rasters in one part, and readers of other projects as judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from annotated_rasters import UTM, a_chip, a_task, brush, ring, write_raster, written
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools.coco import COCO

from converters.chips import PixelWindow
from converters.errors import ExportError
from converters.exporting.chip_set import raster_key, split
from converters.exporting.chosen import Choice
from converters.exporting.shaping import Shaping
from converters.exporting.yolo import parsed
from converters.frames import Size
from converters.labelled import open_labelled

SIZE = Size(60, 40)
LEFT, RIGHT = PixelWindow(0, 0, 30, 40), PixelWindow(30, 0, 30, 40)
SETS = ("coco", "yolo", "masks", "imagefolder")


def ringed(height: int = 40, width: int = 30) -> np.ndarray:
    """A mask with two holes, one of them with an island, and a part apart."""
    mask = np.zeros((height, width), bool)
    mask[2:30, 3:25] = True
    mask[5:20, 6:15] = False
    mask[10:12, 9:11] = True
    mask[22, 20] = False
    mask[35:38, 26:29] = True
    return mask


def two_chips(home: Path, *left: dict[str, Any], right: tuple[dict[str, Any], ...] = ()) -> list[dict[str, Any]]:
    write_raster(home / "a.tif", SIZE)
    return [a_task(1, a_chip("a.tif", LEFT, SIZE), *left), a_task(2, a_chip("a.tif", RIGHT, SIZE), *right)]


# --- COCO


@settings(max_examples=15)
@given(masks=st.lists(arrays(np.bool_, (40, 30)).filter(np.any), min_size=1, max_size=3))
def test_coco_masks_areas_and_boxes_are_the_annotated_ones(masks: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("coco")
    account = written("coco", home / "set", two_chips(home, *(brush(mask, id=f"r{n}") for n, mask in enumerate(masks))), home)
    coco = COCO(str(home / "set" / "instances_train.json"))
    (image_id, _empty) = coco.getImgIds()
    found = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
    assert [one["region"] for one in found] == [f"r{n}" for n in range(len(masks))]
    for one, mask in zip(found, masks, strict=True):
        assert np.array_equal(coco.annToMask(one).astype(bool), mask)
        assert one["area"] == mask.sum()
        rows, cols = np.nonzero(mask)
        assert one["bbox"] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
    assert account.report()["facts"]["largest_deviation_px"] == 0


def test_our_own_reader_reads_the_coco_set_back(tmp_path: Path) -> None:
    other = np.zeros((40, 30), bool)
    other[0:9, 0:9] = True
    written("coco", tmp_path / "set", two_chips(tmp_path, brush(ringed()), right=(brush(other, "tree"),)), tmp_path)
    first, second = open_labelled(tmp_path / "set" / "instances_train.json").images
    (one,) = first.objects(1)
    assert (one.class_name, one.area) == ("building", ringed().sum())
    assert np.array_equal(one.mask == 1, ringed())
    assert [each.class_name for each in second.objects(1)] == ["tree"]


def test_a_chip_annotated_as_empty_is_in_the_set(tmp_path: Path) -> None:
    account = written("coco", tmp_path / "set", two_chips(tmp_path, brush(ringed())), tmp_path)
    coco = COCO(str(tmp_path / "set" / "instances_train.json"))
    assert len(coco.getImgIds()) == 2 and len(coco.getAnnIds()) == 1
    assert account.report()["facts"]["chips"] == {"train": 2, "val": 0}


def test_coco_images_keep_their_place_on_the_map(tmp_path: Path) -> None:
    written("coco", tmp_path / "set", two_chips(tmp_path), tmp_path)
    _, image = json.loads((tmp_path / "set" / "instances_train.json").read_text())["images"]
    assert image["window"] == [30, 0, 30, 40] and image["crs"] == "EPSG:32633"
    assert image["transform"] == list(UTM @ UTM.translation(30, 0))[:6]


# --- masks


def test_masks_hold_the_codes_and_our_own_reader_reads_them(tmp_path: Path) -> None:
    other = np.zeros((40, 30), bool)
    other[0:9, 0:9] = True
    tasks = two_chips(tmp_path, brush(ringed()), right=(brush(other, "tree"),))
    written("masks", tmp_path / "set", tasks, tmp_path)
    labels = sorted((tmp_path / "set" / "train" / "labels").iterdir())
    with Image.open(labels[0]) as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), np.where(ringed(), 0, 255))
    first, second = open_labelled(tmp_path / "set" / "train").images
    assert sum(one.area for one in first.objects(1)) == ringed().sum(), "class rasters know components, not annotations"
    assert [(one.class_name, one.area) for one in second.objects(1)] == [("tree", 81)]
    assert np.array_equal(second.objects(1)[0].mask == 1, other)


@settings(max_examples=20)
@given(lower=arrays(np.bool_, (40, 30)).filter(np.any), upper=arrays(np.bool_, (40, 30)).filter(np.any))
def test_where_regions_overlap_the_later_or_the_preferred_class_is_on_top(
    lower: np.ndarray, upper: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("masks")
    tasks = two_chips(home, brush(lower, "tree", "a"), brush(upper, "road", "b"))
    for shaping, on_top in ((Shaping(), upper), (Shaping(overlaps="priority", priority=("tree",)), lower)):
        written("masks", home / "set", tasks, home, shaping=shaping)
        codes = np.asarray(Image.open(min((home / "set" / "train" / "labels").iterdir())))
        road, tree = 0, 1
        over, under = (road, tree) if on_top is upper else (tree, road)
        below = lower if on_top is upper else upper
        assert np.array_equal(codes, np.select([on_top, below], [over, under], 255))


# --- pictures


@pytest.mark.parametrize("name", SETS)
def test_pictures_are_the_pixels_of_the_raster(name: str, tmp_path: Path) -> None:
    tasks = two_chips(tmp_path, brush(ringed()))
    pixels = write_raster(tmp_path / "a.tif", SIZE)
    account = written(name, tmp_path / "set", tasks, tmp_path)
    first, second = sorted(path for path in (tmp_path / "set").rglob("*.png") if "images" in path.parts)
    assert np.array_equal(np.asarray(Image.open(first)), pixels[:, :30])
    assert np.array_equal(np.asarray(Image.open(second)), pixels[:, 30:])
    assert "rendered from the rasters" in account.report()["facts"]["pictures"]


def test_the_imports_own_chips_are_copied_byte_for_byte(tmp_path: Path) -> None:
    tasks = two_chips(tmp_path, brush(ringed()))
    (tmp_path / "a.tif").unlink()
    for task in tasks:
        Image.fromarray(np.full((40, 30, 3), task["id"], np.uint8)).save(tmp_path / task["data"]["image"])
    account = written("coco", tmp_path / "set", tasks, tmp_path, options={"images": "chips"})
    copies = sorted((tmp_path / "set" / "images").iterdir())
    assert [path.read_bytes() for path in copies] == [(tmp_path / task["data"]["image"]).read_bytes() for task in tasks]
    assert "as they were annotated" in account.report()["facts"]["pictures"]


def test_a_picture_of_another_size_is_no_picture_of_the_window(tmp_path: Path) -> None:
    tasks = two_chips(tmp_path, brush(ringed()))
    for task in tasks:
        Image.new("RGB", (60, 80)).save(tmp_path / task["data"]["image"])
    with pytest.raises(ExportError, match=r"60 x 80 px, its window 30 x 40 px; expected the same"):
        written("coco", tmp_path / "set", tasks, tmp_path, options={"images": "chips"})


def test_a_missing_raster_is_named_and_its_regions_are_accounted_for(tmp_path: Path) -> None:
    tasks = two_chips(tmp_path, brush(ringed()))
    gone = a_task(3, a_chip("gone.tif", LEFT, SIZE), brush(ringed()))
    account = written("coco", tmp_path / "set", [*tasks, gone], tmp_path)
    (remark,) = account.remarks_left_out()
    assert remark.task == 3 and "gone.tif" in remark.reason
    with pytest.raises(ExportError, match=r"gone\.tif"):
        written("coco", tmp_path / "other", [gone], tmp_path)
    assert not (tmp_path / "other").exists()


def test_regions_too_small_or_without_a_pixel_are_left_out_with_the_reason(tmp_path: Path) -> None:
    thin = ring([(3.1, 3.1), (3.2, 3.1), (3.2, 3.2)], LEFT.size)
    dot = np.zeros((40, 30), bool)
    dot[5, 5] = True
    tasks = two_chips(tmp_path, thin, brush(dot, id="dot"), brush(ringed(), id="big"))
    account = written("coco", tmp_path / "set", tasks, tmp_path, choice=Choice(min_area_m2=0.01))
    reasons = {remark.region: remark.reason for remark in account.remarks_left_out()}
    assert "covers the centre of no pixel" in reasons["p1"]
    assert "smaller (0.0025 m2)" in reasons["dot"]
    assert account.report()["area_m2"] == pytest.approx(ringed().sum() * 0.0025, abs=0.001)


# --- parts


def test_whole_rasters_go_into_one_part_and_stay_there() -> None:
    names = [f"tile_{n}.tif" for n in range(40)]
    parts = split({raster_key(name) for name in names}, 0.25)
    assert 4 <= sum(part == "val" for part in parts.values()) <= 16
    more = split({raster_key(name) for name in [*names, "new.tif", "other.tif"]}, 0.25)
    assert all(more[name] == part for name, part in parts.items())


def test_the_products_of_one_tile_are_never_in_both_parts() -> None:
    keys = {raster_key(f"/data/{folder}/top_potsdam_2_10_{product}.tif") for folder, product in (("a", "RGB"), ("b", "IRRG"))}
    assert keys == {"potsdam 2_10"}


def test_a_set_of_one_raster_has_something_to_train_on() -> None:
    assert set(split({"a.tif"}, 0.999).values()) == {"train"}
    assert set(split({"a.tif", "b.tif", "c.tif"}, 1.0).values()) == {"val"}


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_each_chip_in_its_rasters_part(name: str, tmp_path: Path) -> None:
    rasters = [f"tile_{n}.tif" for n in range(8)]
    tasks = []
    for number, raster in enumerate(rasters):
        write_raster(tmp_path / raster, SIZE)
        tasks += [a_task(2 * number + side, a_chip(raster, window, SIZE), brush(ringed())) for side, window in enumerate((LEFT, RIGHT))]
    account = written(name, tmp_path / "set", tasks, tmp_path, options={"val_share": 0.4})
    parts = split(set(rasters), 0.4)
    counted = {part: 2 * list(parts.values()).count(part) for part in ("train", "val")}
    assert account.report()["facts"]["chips"] == counted and min(counted.values()) > 0


# --- YOLO


def yolo_masks(folder: Path, size: Size) -> list[np.ndarray]:
    """The masks of a label file, by a filler of its own: edges crossed on the way to the left, even-odd."""
    (text,) = [path.read_text() for path in sorted((folder / "labels" / "train").iterdir()) if path.stat().st_size]
    centres = np.meshgrid(np.arange(size.width) + 0.5, np.arange(size.height) + 0.5)
    masks = []
    for line in text.splitlines():
        corners = parsed(line.split(maxsplit=1)[1], size.width, size.height)
        inside = np.zeros((size.height, size.width), bool)
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if start[1] != end[1]:
                crossing = start[0] + (centres[1] - start[1]) / (end[1] - start[1]) * (end[0] - start[0])
                inside ^= ((start[1] > centres[1]) != (end[1] > centres[1])) & (crossing < centres[0])
        masks.append(inside)
    return masks


@settings(max_examples=25)
@given(mask=arrays(np.bool_, (40, 30)).filter(np.any))
def test_yolo_polygons_enclose_exactly_the_masks_pixels(mask: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("yolo")
    account = written("yolo", home / "set", two_chips(home, brush(mask)), home)
    assert np.array_equal(np.any(yolo_masks(home / "set", LEFT.size), axis=0), mask)
    assert account.report()["facts"]["largest_deviation_px"] == 0


def test_yolo_says_what_it_cannot_keep(tmp_path: Path) -> None:
    facts = written("yolo", tmp_path / "set", two_chips(tmp_path, brush(ringed())), tmp_path).report()["facts"]
    assert facts["holes_cut_along_a_bridge"] == 2
    assert facts["objects_in_several_lines"] == 1
    # OpenCV fills the outline, too: the right and lower borders of parts, and the upper and left ones of holes, grow by a px.
    assert 0 < facts["largest_deviation_filled_by_opencv_px"] < ringed().sum() // 2


def test_yolo_data_yaml_names_parts_and_classes(tmp_path: Path) -> None:
    tasks = two_chips(tmp_path, brush(ringed(), 'a "b": c'), ring([(1, 1), (9, 1), (9, 9)], LEFT.size, "tree"))
    written("yolo", tmp_path / "set", tasks, tmp_path)
    data = yaml.safe_load((tmp_path / "set" / "data.yaml").read_text())
    assert data["names"] == {0: 'a "b": c', 1: "tree"}
    assert data["train"] == data["val"] == "images/train", "without a val, YOLO is judged on what it learned from"
    for picture in (tmp_path / "set" / "images" / "train").iterdir():
        assert (tmp_path / "set" / "labels" / "train" / f"{picture.stem}.txt").is_file()


# --- Hugging Face


def test_the_image_folders_metadata_names_files_that_are_there(tmp_path: Path) -> None:
    written("imagefolder", tmp_path / "set", two_chips(tmp_path, brush(ringed())), tmp_path)
    train = tmp_path / "set" / "train"
    rows = [json.loads(line) for line in (train / "metadata.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and len({tuple(sorted(row)) for row in rows}) == 1, "a table: every row has the same columns"
    for row in rows:
        assert (train / row["file_name"]).is_file()
        assert Image.open(train / row["mask_file_name"]).size == (row["width"], row["height"])
    assert rows[0]["objects"] == {"bbox": [[3, 2, 26, 36]], "area": [int(ringed().sum())], "category": [0]}
    assert np.array_equal(np.asarray(Image.open(train / rows[0]["mask_file_name"])), np.where(ringed(), 0, 255))


def test_hugging_face_datasets_loads_the_image_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    written("imagefolder", tmp_path / "set", two_chips(tmp_path, brush(ringed())), tmp_path)
    row = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "set"), split="train")[0]
    assert np.array_equal(np.asarray(row["mask"]), np.where(ringed(), 0, 255))
    assert row["image"].size == (30, 40)


@pytest.mark.parametrize("name", [*SETS, "class-raster"])
def test_an_export_repeated_is_the_same_bytes(name: str, tmp_path: Path) -> None:
    tasks = two_chips(tmp_path, brush(ringed()), right=(brush(ringed(), "tree"),))
    for out in ("one", "two"):
        written(name, tmp_path / out, tasks, tmp_path)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
