"""COCO instances: polygons by pixel centres, both spellings of RLE, crowds, windows, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from converters import labelled_coco_rle
from converters.chips import PixelWindow
from converters.errors import RasterError, TaskError
from converters.frames import Size
from converters.labelled import LabelledImage, LabelledSet, open_labelled
from converters.labelled_shapes import burnt


def runs_of(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed counts: run lengths down the columns, beginning with zeros."""
    counts, value = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel == value:
            counts[-1] += 1
        else:
            value = pixel
            counts.append(1)
    return counts


def compressed(counts: list[int]) -> str:
    """The text of run lengths, written bit by bit."""
    text = ""
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        while True:
            group, number = number & 31, number >> 5
            last = number == (-1 if group & 16 else 0)
            text += chr(48 + group + (0 if last else 32))
            if last:
                break
    return text


def coco(folder: Path, *segmentations: Any) -> LabelledSet:
    size = Size(40, 30)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size.width, size.height)).save(folder / "images" / "b.png")
    (folder / "c.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "b.png", "width": size.width, "height": size.height}],
                "categories": [{"id": 7, "name": "ship"}],
                "annotations": [
                    {"id": number, "image_id": 1, "category_id": 7, "segmentation": one}
                    for number, one in enumerate(segmentations, start=1)
                ],
            }
        )
    )
    return open_labelled(folder / "c.json")


def masks(image: LabelledImage, window: PixelWindow | None = None) -> list[np.ndarray]:
    return [each.mask == 1 for each in image.objects(1, window)]


@given(st.lists(st.tuples(st.floats(-5, 45), st.floats(-5, 35)), min_size=3, max_size=8))
def test_a_pixel_belongs_to_a_polygon_when_its_centre_lies_inside(points: list[tuple[float, float]]) -> None:
    polygon = shapely.make_valid(shapely.Polygon(points))
    simple = shapely.Polygon(points).is_valid
    rows, cols = np.mgrid[0:30, 0:40] + 0.5
    centres = shapely.points(cols, rows)
    settled = ~shapely.dwithin(centres, shapely.LineString([*points, points[0]]), 1e-6)
    piece = burnt("ship", [[np.array(points)]], Size(40, 30), PixelWindow(0, 0, 40, 30))
    found = np.zeros((30, 40), bool)
    if piece is not None:
        height, width = piece.inside.shape
        found[piece.row : piece.row + height, piece.col : piece.col + width] = piece.inside
    if simple:  # what the inside of an outline that crosses itself is, is a matter of taste
        assert np.array_equal(found[settled], shapely.contains(polygon, centres)[settled])


def test_polygons_are_no_wider_than_they_were_drawn(tmp_path: Path) -> None:
    half = [4.4, 4.4, 9.4, 4.4, 9.4, 8.6, 4.4, 8.6]
    (image,) = coco(tmp_path, [half]).images
    (mask,) = masks(image)
    assert np.argwhere(mask).min(axis=0).tolist() == [4, 4] and np.argwhere(mask).max(axis=0).tolist() == [8, 8]


def test_an_annotation_of_several_parts_is_one_object_unless_a_window_cuts_it(tmp_path: Path) -> None:
    parts = [[2, 2, 6, 2, 6, 6, 2, 6], [10, 2, 14, 2, 14, 6, 10, 6], [10, 2, 12, 2, 12, 6, 10, 6]]
    (image,) = coco(tmp_path, parts).images
    (whole,) = image.objects(1)
    assert (whole.area, whole.box) == (32, (2, 2, 6, 14))
    assert [each.area for each in image.objects(1, PixelWindow(0, 0, 20, 20))] == [32]
    assert [(each.area, each.box) for each in image.objects(1, PixelWindow(4, 0, 9, 20))] == [(8, (2, 0, 6, 2)), (12, (2, 6, 6, 9))]
    assert [each.area for each in image.objects(9, PixelWindow(4, 0, 9, 20))] == [12]
    assert image.objects(1, PixelWindow(20, 20, 5, 5)) == []


def test_what_reaches_beyond_the_image_is_not_cut_by_a_window(tmp_path: Path) -> None:
    (image,) = coco(tmp_path, [[-4, -4, 2, -4, 2, 2, -4, 2], [38, 28, 50, 28, 50, 40, 38, 40]]).images
    assert [each.area for each in image.objects(1)] == [8]


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([3, 0], "30"),
        ([40, 16], "X1`0"),  # 40 = 8 + 32 * 1; 16 needs a second group, because its top bit is a sign
        ([2, 3, 4, 2], "234O"),  # 2 - 3 = -1
        ([100, 5, 100, 5, 68], "T35T30PO"),  # 5 - 5; 68 - 100 = -32 = 0 + 32 * -1
    ],
)
def test_compressed_counts_are_read_as_they_are_defined(counts: list[int], text: str) -> None:
    assert compressed(counts) == text
    size = Size(1, sum(counts))
    plain = labelled_coco_rle.decode({"counts": counts, "size": [size.height, 1]}, size)
    assert np.array_equal(labelled_coco_rle.decode({"counts": text, "size": [size.height, 1]}, size), plain)
    assert plain.sum() == sum(counts[1::2])


@given(arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(1, 200))
def test_any_mask_comes_back_from_both_spellings(mask: np.ndarray, times: int) -> None:
    mask = np.repeat(mask, times, axis=0)  # long runs, for numbers of several groups
    height, width = mask.shape
    counts = runs_of(mask)
    for spelling in (counts, compressed(counts)):
        assert np.array_equal(labelled_coco_rle.decode({"counts": spelling, "size": [height, width]}, Size(width, height)), mask)


def test_rle_annotations_are_objects_with_their_holes(tmp_path: Path) -> None:
    mask = np.zeros((30, 40), bool)
    mask[5:15, 8:20] = True
    mask[8:10, 10:13] = False
    mask[25, 39] = True
    rle = {"counts": compressed(runs_of(mask)), "size": [30, 40]}
    (image,) = coco(tmp_path, rle, {"counts": runs_of(~mask), "size": [30, 40]}).images
    first, second = masks(image)
    assert np.array_equal(first, mask) and np.array_equal(second, ~mask)
    window = PixelWindow(9, 6, 10, 20)
    cut, *rest = masks(image, window)
    assert np.array_equal(cut, mask[6:26, 9:19])
    assert len(rest) == 2 and np.array_equal(rest[0] | rest[1], ~mask[6:26, 9:19])  # the hole, and what lies below


def test_crowds_are_ignored_and_no_objects(tmp_path: Path) -> None:
    crowd = np.zeros((30, 40), bool)
    crowd[0:10] = True
    labelled = coco(tmp_path, [[2, 5, 6, 5, 6, 15, 2, 15]])
    document = json.loads((tmp_path / "c.json").read_text())
    document["annotations"].append(
        {"id": 2, "image_id": 1, "category_id": 7, "iscrowd": 1, "segmentation": {"counts": runs_of(crowd), "size": [30, 40]}}
    )
    (tmp_path / "c.json").write_text(json.dumps(document))
    labelled = open_labelled(tmp_path / "c.json")
    (each,) = labelled.images[0].objects(1)
    assert each.area == 40 and np.array_equal(each.mask == -1, crowd & (each.mask != 1))
    assert np.array_equal(each.boxed_mask, each.mask[5:15, 2:6])
    assert labelled.notes == ("1 crowd annotations are ignored: they are no objects, and their pixels count neither way",)


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([], "expected polygons"),
        ([[1, 2, 3, 4]], "at least three points"),
        ([[1, 2, 3, 4, 5, None]], "annotation 1 has the segmentation"),
        ({"counts": [1200], "size": [40, 30]}, r"annotation 1: its RLE is of size \[40, 30\]"),
        ({"counts": [1, 2], "size": [30, 40]}, "runs for 3 px; expected 1200"),
        ({"counts": [-1, 1201], "size": [30, 40]}, "something else than run lengths"),
        ({"counts": "X", "size": [30, 40]}, "ends in the middle of a number"),
        ({"counts": "\n", "size": [30, 40]}, "at a wrong place"),
    ],
)
def test_segmentations_that_cannot_be_read_are_one_sentence(tmp_path: Path, segmentation: Any, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        coco(tmp_path, segmentation).images[0].objects(1)


def test_files_that_contradict_themselves_are_one_sentence(tmp_path: Path) -> None:
    coco(tmp_path, [[1, 1, 5, 1, 5, 5]])
    path = tmp_path / "c.json"
    good = json.loads(path.read_text())
    for change, said in (
        ({"images": [good["images"][0], good["images"][0]]}, r"two images named b\.png"),
        ({"annotations": [good["annotations"][0] | {"image_id": 9}]}, "of the image 9, which the file does not list"),
        ({"images": []}, "lists no image"),
        ({"images": [good["images"][0] | {"file_name": "../../etc/b.png"}]}, "lies outside"),
        ({"annotations": {}}, "must be lists"),
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(TaskError, match=said):
            open_labelled(path)
    path.write_text(json.dumps(good | {"images": [good["images"][0] | {"width": 41}]}))
    with pytest.raises(TaskError, match=r"b\.png is 40 x 30 px, c\.json says 41 x 30 px"):
        open_labelled(path).images[0].objects(1)


def test_a_damaged_picture_in_the_middle_of_a_set_is_named_when_it_is_opened(tmp_path: Path) -> None:
    coco(tmp_path, [[1, 1, 5, 1, 5, 5]])
    path = tmp_path / "c.json"
    good = json.loads(path.read_text())
    good["images"] += [
        {"id": 2, "file_name": "m.png", "width": 40, "height": 30},
        {"id": 3, "file_name": "z.png", "width": 40, "height": 30},
    ]
    path.write_text(json.dumps(good))
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "z.png")
    with pytest.raises(RasterError, match=r"m\.png is not there"):
        open_labelled(path)
    (tmp_path / "images" / "m.png").write_bytes(b"not a picture")
    with pytest.raises(RasterError, match=r"m\.png is not a raster"):
        open_labelled(path)


def test_the_ships_of_nwpu_have_the_areas_of_their_polygons(shared: Path) -> None:
    path = shared / "data" / "nwpu_vhr10" / "instances_train.json"
    document = json.loads(path.read_text())
    labelled = open_labelled(path)
    assert (labelled.kind, len(labelled.images)) == ("COCO instances", 520)
    image = labelled.images[0]
    record = next(one for one in document["images"] if one["file_name"] == image.name)
    rings = [one["segmentation"] for one in document["annotations"] if one["image_id"] == record["id"]]
    areas = [sum(shapely.Polygon(np.reshape(ring, (-1, 2))).area for ring in parts) for parts in rings]
    found = [each.area for each in image.objects(1)]
    assert found == pytest.approx(areas, rel=0.05)
    assert sum(found) == pytest.approx(sum(areas), rel=0.01)  # no systematic half pixel round every object
